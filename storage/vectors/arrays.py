"""Word vectors as one array with the words in a separate file: NumPy's `.npy` and safetensors.

The words are in the same folder: as `vocabulary.json`, which vecmill writes ({"words": […], "counts": […]}), as a JSON
list, as a JSON object from word to row, or as text with one word per line.
"""

import json
import re
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import safe_open

from storage.files.large_arrays import MOST_BYTES_IN_MEMORY, as_float32, write_array
from storage.files.safetensors import TYPES, map_tensor, write_tensors
from storage.vectors.formats import WordVectors, decoded, unknown_counts

NUMPY_FILE = "vectors.npy"
SAFETENSORS_FILE = "vectors.safetensors"
VOCABULARY_FILE = "vocabulary.json"
TENSOR = "vectors"
WITH_NUMBER = re.compile(rb"([^ \t]+)[ \t]([0-9]{1,18})")
# Searched in the folder of the array, in this order.
WORDS_FILES = (VOCABULARY_FILE, "words.json", "words.txt", "vocab.json", "vocab.txt")


def find_words_file(array: Path) -> Path:
    """The words file of an array. Raises ValueError if there is none."""
    named = (f"{array.stem}.json", f"{array.stem}.txt")
    for name in (*named, *WORDS_FILES):
        if (array.parent / name).is_file():
            return array.parent / name
    raise ValueError(
        f"it contains vectors without words, and its folder has none of {', '.join((*WORDS_FILES, *named))}; "
        "set their file with --words"
    )


def read_numpy(path: Path, words_file: Path) -> WordVectors:
    """An (R, D) array of numbers and its R words. Raises ValueError if their lengths differ."""
    return _joined(np.lib.format.open_memmap(path, mode="r"), words_file)


def read_safetensors(path: Path, words_file: Path) -> WordVectors:
    """The tensor named `vectors`, else the only 2-D tensor. Raises ValueError if there is neither."""
    with safe_open(path, framework="numpy") as file:
        tables = [name for name in file.keys() if len(file.get_slice(name).get_shape()) == 2]  # noqa: SIM118
        if TENSOR not in tables and len(tables) != 1:
            raise ValueError(f"it contains {len(tables)} 2-D tensors and none named {TENSOR!r}")
        name = TENSOR if TENSOR in tables else tables[0]
        return _joined(read_tensor(file, path, name), words_file)


def read_tensor(file: Any, path: Path, name: str) -> NDArray[Any]:  # noqa: ANN401  # an open file of safetensors
    """A tensor of numbers in an open file. Raises ValueError for a type that has no float32."""
    kind = file.get_slice(name).get_dtype()
    if kind not in TYPES:
        raise ValueError(f"its tensor {name!r} has type {kind}; save it as float32, float16 or bfloat16")
    values = map_tensor(path, name)
    if kind != "BF16":
        return values
    # NumPy lacks the type: it is the upper half of a float32.
    numbers = values.astype(np.uint32)
    numbers <<= 16
    return numbers.view(np.float32)


def write_numpy(
    folder: Path,
    words: Sequence[str],
    counts: NDArray[np.int64],
    vectors: NDArray[np.float32],
    facts: Mapping[str, str],
) -> None:
    """Write `vectors.npy` and `vocabulary.json` to a folder. facts: metadata for the vocabulary."""
    with (folder / NUMPY_FILE).open("wb") as file:
        write_array(file, vectors)
    _write_vocabulary(folder, words, counts, facts)


def write_safetensors(
    folder: Path,
    words: Sequence[str],
    counts: NDArray[np.int64],
    vectors: NDArray[np.float32],
    facts: Mapping[str, str],
) -> None:
    """Write `vectors.safetensors` and `vocabulary.json` to a folder. facts: metadata for both."""
    write_tensors(folder / SAFETENSORS_FILE, {TENSOR: vectors}, facts)
    _write_vocabulary(folder, words, counts, facts)


def _write_vocabulary(folder: Path, words: Sequence[str], counts: NDArray[np.int64], facts: Mapping[str, str]) -> None:
    content = {"words": list(words), "counts": counts.tolist(), "release": dict(facts)}
    (folder / VOCABULARY_FILE).write_text(json.dumps(content, ensure_ascii=False) + "\n", encoding="utf-8")


def _joined(vectors: NDArray[Any], words_file: Path) -> WordVectors:
    if vectors.ndim != 2 or not np.issubdtype(vectors.dtype, np.number) or np.iscomplexobj(vectors):
        raise ValueError(f"it contains {vectors.dtype} values of shape {vectors.shape}, not a real 2-D array")
    words, counts = read_words_file(words_file)
    if len(words) != len(vectors):
        raise ValueError(f"it contains {len(vectors)} vectors, but {words_file} contains {len(words)} words")
    # Values out of float32 range become infinite, and their rows are reported as unusable.
    numbers = as_float32(vectors)
    # A small table does not depend on what becomes of its file.
    return WordVectors(words, np.array(numbers) if numbers.nbytes <= MOST_BYTES_IN_MEMORY else numbers, counts)


def read_words_file(path: Path) -> tuple[list[str], NDArray[np.int64]]:
    """Words and counts of a file in one of the forms in the module docstring."""
    data = path.read_bytes()
    if path.suffix != ".json":
        lines = [line.removesuffix(b"\r") for line in data.split(b"\n")]
        while lines and not lines[-1]:
            lines.pop()
        return _words_and_counts(lines, path)
    try:
        content = json.loads(data)
    except ValueError as error:
        raise ValueError(f"its words file {path} is not valid JSON: {error}") from error
    counts = None
    if isinstance(content, dict) and isinstance(content.get("words"), list):
        content, counts = content["words"], content.get("counts")
    elif isinstance(content, dict):
        content = _in_row_order(content, path)
    if not isinstance(content, list) or not all(isinstance(word, str) for word in content):
        raise ValueError(f"{path} is neither a list of words nor an object from word to row")
    if counts is None:
        return content, unknown_counts(len(content))
    whole = isinstance(counts, list) and all(type(count) is int and 0 <= count < 2**63 for count in counts)
    if not whole or len(counts) != len(content):
        raise ValueError(f"the counts in {path} are not {len(content)} integers, one per word")
    return content, np.array(counts, dtype=np.int64)


def _words_and_counts(lines: Sequence[bytes], path: Path) -> tuple[list[str], NDArray[np.int64]]:
    """Words of a text, and their counts if every line ends in one, as in vocabularies of word2vec and GloVe."""
    found = [WITH_NUMBER.fullmatch(line) for line in lines]
    numbers = [int(match[2]) for match in found if match]
    if len(lines) < 2 or len(numbers) < len(lines):
        return decoded(list(lines)), unknown_counts(len(lines))
    words = decoded([match[1] for match in found if match])
    if numbers == list(range(len(lines))):
        return words, unknown_counts(len(lines))
    if any(after > before for before, after in pairwise(numbers)):
        raise ValueError(
            f"{path} has numbers after the words that are neither row numbers nor descending counts; "
            "write one word per line"
        )
    return words, np.array(numbers, dtype=np.int64)


def _in_row_order(rows: Mapping[str, Any], path: Path) -> list[str]:
    try:
        ordered = sorted(rows.items(), key=lambda item: int(item[1]))
    except (TypeError, ValueError) as error:
        raise ValueError(f"{path} is neither a list of words nor an object from word to row") from error
    for expected, (word, row) in enumerate(ordered):
        if row != expected:
            raise ValueError(f"{path} assigns row {row} to the word {word!r}; rows must be 0, 1, 2, …, each once")
    return [word for word, _ in ordered]
