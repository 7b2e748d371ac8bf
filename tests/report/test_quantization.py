"""Rounded vectors keep their neighbours, and never more words than fit."""

import base64
import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from tasks.report.quantization import fit_vectors, neighbor_agreement


def unit(rows: int, dimension: int, seed: int = 1) -> NDArray[np.float32]:
    vectors = np.random.default_rng(seed).normal(size=(rows, dimension)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors


def names(rows: int) -> list[str]:
    return [f"word{number}" for number in range(rows)]


def test_eight_bits_are_enough_for_usual_vectors() -> None:
    quantized = fit_vectors(names(3000), unit(3000, 100), 10**7)
    assert quantized.bits == 8
    assert quantized.values.shape == (3000, 100)
    assert quantized.agreement >= 0.97


def test_crowded_vectors_take_sixteen_bits() -> None:
    close = 1 + 0.2 * unit(3000, 50)
    close /= np.linalg.norm(close, axis=1, keepdims=True)
    quantized = fit_vectors(names(3000), close, 10**7)
    assert quantized.bits == 16
    assert quantized.agreement >= 0.97


def test_the_agreement_is_that_of_every_word() -> None:
    vectors = unit(1500, 20)
    quantized = fit_vectors(names(1500), vectors, 10**7)
    everyone = neighbor_agreement(vectors, quantized.values, np.arange(1500))
    assert quantized.agreement == pytest.approx(everyone, abs=0.02)


@given(st.integers(1, 60), st.integers(1, 40), st.integers(0, 6000))
def test_what_fits_stays_within_the_bytes(rows: int, dimension: int, max_bytes: int) -> None:
    words = [f"{'x' * (number % 7)}<{number}é" for number in range(rows)]
    quantized = fit_vectors(words, unit(rows, dimension), max_bytes)
    count = len(quantized.values)
    size = len(base64.b64encode(quantized.values.tobytes())) + len(json.dumps(words[:count], separators=(",", ":")))
    assert count <= rows
    assert size <= max_bytes + 8


def test_fewer_words_fit_at_a_higher_dimension() -> None:
    counts = [len(fit_vectors(names(4000), unit(4000, d), 500_000).values) for d in (64, 128, 300)]
    assert counts[0] > counts[1] > counts[2] > 0


def test_the_nearest_of_two_words_are_each_other() -> None:
    assert fit_vectors(names(2), unit(2, 5), 10**4).agreement == 1.0


def test_words_and_vectors_of_other_lengths_are_refused() -> None:
    with pytest.raises(ValueError, match="3 words need vectors"):
        fit_vectors(names(3), unit(2, 5), 10**4)
