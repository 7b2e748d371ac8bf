"""Binary vectors: damage in one row never becomes silent garbage in the others."""

from pathlib import Path

import numpy as np
import pytest

from storage.errors import VectorFileError
from storage.vectors.faults import row_faults
from storage.vectors.files import find_vectors, read_vectors
from storage.vectors.formats import WordVectors

WORDS = ["the", "of", "고양이", "café", "cat", "dog", "frog", "a", "in", "to", "und", "zebra"]
DAMAGES = ("delete", "insert", "copy", "move", "cut", "zero")


def binary(words: list[bytes], vectors: np.ndarray, *, newlines: bool, header: bool = True) -> bytes:
    end = b"\n" if newlines else b""
    rows = b"".join(word + b" " + vector.tobytes() + end for word, vector in zip(words, vectors, strict=True))
    return (b"%d %d\n" % vectors.shape if header else b"") + rows


def read(path: Path, data: bytes) -> WordVectors:
    path.write_bytes(data)
    return read_vectors(find_vectors(path))


def damaged(data: bytes, damage: str, random: np.random.Generator) -> bytes:
    """Some bytes at a random place deleted, inserted, copied, moved, cut off or zeroed."""
    at, length = int(random.integers(5, len(data))), int(random.integers(1, 40))
    piece = random.bytes(length)
    other = int(random.integers(5, len(data)))
    match damage:
        case "delete":
            return data[:at] + data[at + length :]
        case "insert":
            return data[:at] + piece + data[at:]
        case "copy":
            return data[:at] + data[other : other + length] + data[at:]
        case "move":
            rest = data[:at] + data[at + length :]
            return rest[:other] + data[at : at + length] + rest[other:]
        case "cut":
            return data[:at]
    return data[:at] + b"\0" * length + data[at + length :]


@pytest.mark.parametrize("newlines", [True, False], ids=["newlines", "no newlines"])
def test_damage_is_refused_or_stays_in_the_rows_that_it_touched(tmp_path: Path, newlines: bool) -> None:
    random = np.random.default_rng(7)
    path = tmp_path / "vectors.bin"
    silent = []
    for number in range(1000):
        vectors = random.normal(size=(len(WORDS), int(random.integers(10, 30)))).astype(np.float32)
        data = binary([word.encode() for word in WORDS], vectors, newlines=newlines, header=bool(number % 5))
        damage = DAMAGES[number % len(DAMAGES)]
        try:
            found = read(path, damaged(data, damage, random))
        except VectorFileError:
            continue
        whole = {word: vector.tobytes() for word, vector in zip(WORDS, vectors, strict=True)}
        bad = {fault.row for fault in row_faults(found)}
        changed = [
            word
            for row, (word, vector) in enumerate(zip(found.words, found.vectors, strict=True))
            if row not in bad and whole.get(word) != vector.tobytes()
        ]
        # Bytes cover two neighbours at most, and are moved between two such places.
        if len(changed) > (4 if damage == "move" else 2):
            silent.append((number, damage, changed))
    assert not silent


@pytest.mark.parametrize("newlines", [True, False], ids=["newlines", "no newlines"])
@pytest.mark.parametrize("place", [0, 2, 4])
def test_a_word_with_a_blank_is_refused(tmp_path: Path, newlines: bool, place: int) -> None:
    vectors = np.random.default_rng(3).normal(size=(6, 8)).astype(np.float32)
    words = [b"the", b"of", b"cat", b"dog", b"frog", b"toad"]
    words[place] = b"new york"
    with pytest.raises(
        VectorFileError, match=r"contains a space|unexpected data|truncated|none of the supported formats"
    ):
        read(tmp_path / "v.bin", binary(words, vectors, newlines=newlines))


def test_words_that_are_not_utf8_are_kept_where_rows_fit(tmp_path: Path) -> None:
    vectors = np.random.default_rng(3).normal(size=(3, 8)).astype(np.float32)
    found = read(tmp_path / "v.bin", binary([b"the", b"caf\xe9", b"cat"], vectors, newlines=False))
    assert found.words == ["the", "caf\udce9", "cat"]
    assert [fault.reason for fault in row_faults(found)] == ["its word is not UTF-8"]
