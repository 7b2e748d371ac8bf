"""The folders of model2vec: a tokenizer, one vector for each of its tokens, and a weight for each.

tokenizer.json is of the library tokenizers; model.safetensors has `embeddings` (R, D), and may have `weights` (one for
each token) and `mapping` (the row of each token, where tokens share rows).
Source: https://github.com/MinishLab/model2vec, model2vec/persistence.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import safe_open

from storage.files.safetensors import write_tensors
from storage.vectors.arrays import read_tensor
from storage.vectors.formats import WordVectors, unknown_counts

STATIC_FILE, TOKENIZER_FILE, CONFIG_FILE, MODULES_FILE = (
    "model.safetensors", "tokenizer.json", "config.json", "modules.json",
)  # fmt: skip
# model2vec's own name, and that of sentence-transformers.
TENSORS = ("embeddings", "embedding.weight")
MAPPING, WEIGHTS = "mapping", "weights"
# Words as most of vecmill's tokenizers cut them: letters, marks and digits, with apostrophes inside.
WORD = r"[\p{L}\p{M}\p{N}]+(?:['’][\p{L}\p{M}\p{N}]+)*"
# sentence-transformers loads the folder by these.
MODULES = [
    {"idx": 0, "name": "0", "path": ".", "type": "sentence_transformers.models.StaticEmbedding"},
    {"idx": 1, "name": "1", "path": "1_Normalize", "type": "sentence_transformers.models.Normalize"},
]


def is_static_model(file: Path) -> bool:
    """Whether a file is the vectors of such a folder, or the weights of another model with a tokenizer."""
    return file.name == STATIC_FILE and (file.parent / TOKENIZER_FILE).is_file()


def read_static_model(path: Path, tokenizer: Path) -> WordVectors:
    """The tokens and their vectors in the order of the tokenizer, without special tokens such as [PAD].

    Raises ValueError if the two files do not belong together, or hold an encoder instead of vectors.
    """
    tokens = _read_tokens(tokenizer)
    with safe_open(path, framework="numpy") as file:
        names = set(file.keys())
        found = [name for name in TENSORS if name in names]
        if not found:
            raise ValueError(
                f"it has neither of the tensors {' and '.join(TENSORS)}, so it is not a model2vec model; if it is a "
                "text encoder, build a table with training.model=distilled and its folder as training.encoder"
            )
        vectors = read_tensor(file, path, found[0])
        rows = file.get_tensor(MAPPING) if MAPPING in names else np.arange(len(vectors))
    if vectors.ndim != 2 or rows.ndim != 1 or (len(rows) and not 0 <= rows.min() <= rows.max() < len(vectors)):
        raise ValueError(f"its vectors have the shape {vectors.shape}, which does not fit its mapping")
    if tokens and max(tokens) >= len(rows):
        raise ValueError(f"it contains {len(rows)} vectors, but {tokenizer} has a token with the number {max(tokens)}")
    ids = sorted(tokens)
    with np.errstate(over="ignore"):
        kept = np.array(vectors[rows[ids]], dtype=np.float32, order="C")
    return WordVectors([tokens[number] for number in ids], kept, unknown_counts(len(ids)))


def write_static_model(
    folder: Path,
    words: Sequence[str],
    weights: NDArray[np.float32],
    vectors: NDArray[np.float32],
    facts: Mapping[str, str],
) -> None:
    """Write a folder that model2vec and sentence-transformers load. weights: (V,) of the words in a text's vector.

    Words that the pattern of words does not match are in the file, but no text contains them.
    """
    known = set(words)
    unknown = next(name for name in ("[UNK]", *(f"[UNK{number}]" for number in range(len(words)))) if name not in known)
    tokenizer = {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [
            {
                "id": len(words), "content": unknown, "single_word": False, "lstrip": False, "rstrip": False,
                "normalized": False, "special": True,
            }
        ],
        "normalizer": {"type": "Lowercase"} if all(word == word.lower() for word in words) else None,
        "pre_tokenizer": {"type": "Split", "pattern": {"Regex": WORD}, "behavior": "Removed", "invert": True},
        "post_processor": None,
        "decoder": None,
        "model": {
            "type": "WordLevel",
            "vocab": {word: row for row, word in enumerate([*words, unknown])},
            "unk_token": unknown,
        },
    }  # fmt: skip
    config = {
        "model_type": "model2vec",
        "architectures": ["StaticModel"],
        "normalize": True,
        "hidden_dim": vectors.shape[1],
        "embedding_dtype": "float32",
        "release": dict(facts),
    }
    for name, content in ((TOKENIZER_FILE, tokenizer), (CONFIG_FILE, config), (MODULES_FILE, MODULES)):
        (folder / name).write_text(json.dumps(content, ensure_ascii=False) + "\n", encoding="utf-8")
    tensors: dict[str, NDArray[np.float32] | tuple[NDArray[np.float32], ...]] = {
        TENSORS[0]: (vectors, np.zeros((1, vectors.shape[1]), np.float32)),
        WEIGHTS: np.append(weights, np.float32(0)).astype(np.float32),
    }
    write_tensors(folder / STATIC_FILE, tensors, facts)


def _read_tokens(path: Path) -> dict[int, str]:
    """Number -> token of a tokenizer, without its special tokens. Raises ValueError if the file is not a tokenizer."""
    try:
        content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        model = content["model"]
        vocabulary = model["vocab"]
        if isinstance(vocabulary, list):  # of Unigram: pairs of token and score
            vocabulary = {token: number for number, (token, _) in enumerate(vocabulary)}
        added = content.get("added_tokens") or []
        tokens = {int(number): str(token) for token, number in vocabulary.items()}
        tokens |= {int(token["id"]): str(token["content"]) for token in added}
        special = {int(token["id"]) for token in added if token.get("special")}
        special |= {number for token, number in vocabulary.items() if token == model.get("unk_token")}
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ValueError(f"its tokenizer {path} cannot be read ({type(error).__name__}: {error})") from error
    return {number: token for number, token in tokens.items() if number not in special}
