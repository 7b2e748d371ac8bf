"""Words and vectors that are hard on file formats."""

import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray

from storage.vectors.formats import WordVectors

# Quotes, marks that combine, emoji of several code points, Hangul in both forms, numbers, other blanks, other scripts.
HARD_WORDS = [
    "the",
    '"',
    "'s",
    '"quoted"',
    "e\u0301",
    "\u00e9",
    "👩\u200d👩\u200d👧",
    "고양이",
    "\u1100\u1161",
    "가",
    "null",
    "NaN",
    "inf",
    "1",
    "-0.5",
    "#",
    "\\n",
    ",",
    "a\u00a0b",
    "\u3000",
    "\u2028",
    "\x85",
    "\ufeffbom",
    "שלום",
    "語",
    "\U0010ffff",
]
# No text form holds these; formats that store words do.
BLANK_WORDS = ["new york", "a\tb", "line\nend", "\r", " ", ". . .", "\v", "\x0c"]


def unit_rows(rows: int, dimension: int, seed: int = 1) -> NDArray[np.float32]:
    """Random (rows, dimension) vectors of length 1, as a table holds them."""
    vectors = np.random.default_rng(seed).normal(size=(rows, dimension))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors.astype(np.float32)


def sample(words: list[str] | None = None, dimension: int = 6) -> WordVectors:
    """Unit vectors of some words, with falling counts."""
    words = HARD_WORDS if words is None else words
    counts = np.arange(len(words), 0, -1, dtype=np.int64) * 3
    return WordVectors(words, unit_rows(len(words), dimension), counts)


# Every word that a table can hold; half the letters are those that end a word somewhere.
any_word = st.text(
    st.one_of(
        st.characters(exclude_categories=["Cs"], exclude_characters="\0"),
        st.sampled_from(" \t\n\r\v\f\x1c\x85\xa0\u2028\ufeff\"'\\,#1.-e"),
    ),
    max_size=6,
)
any_finite = st.floats(width=32, allow_nan=False, allow_infinity=False)


@st.composite
def any_vectors(draw: st.DrawFn) -> WordVectors:
    """Distinct words with vectors of any finite numbers, and falling counts."""
    words = draw(st.lists(any_word, min_size=1, max_size=8, unique=True))
    dimension = draw(st.integers(2, 5))
    numbers = draw(st.lists(any_finite, min_size=len(words) * dimension, max_size=len(words) * dimension))
    vectors = np.array(numbers, dtype=np.float32).reshape(len(words), dimension)
    return WordVectors(words, vectors, np.arange(len(words), 0, -1, dtype=np.int64))
