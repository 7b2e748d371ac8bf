"""Stability: what counts as agreement, and that every way to retrain is tried."""

from pathlib import Path

import numpy as np
import pytest
from gensim.test.utils import datapath

from benchmarks.corpora import load_corpus
from benchmarks.defaults import BASE
from benchmarks.stability import CHAIN, WARM, agreement, attempt_all, mean_of_aligned

RANDOM = np.random.default_rng(4)
VECTORS = RANDOM.standard_normal((200, 8)).astype(np.float32)
ROTATION = np.linalg.qr(RANDOM.standard_normal((8, 8)))[0].astype(np.float32)


def test_a_rotation_changes_no_neighbour_and_other_vectors_share_those_of_chance() -> None:
    assert agreement(VECTORS, VECTORS @ ROTATION) == pytest.approx(1, abs=0.002)
    assert agreement(VECTORS, RANDOM.permutation(VECTORS)) == pytest.approx(10 / 199, abs=0.03)


def test_the_mean_of_a_table_and_its_rotation_is_the_table() -> None:
    units = VECTORS / np.linalg.norm(VECTORS, axis=1, keepdims=True)
    np.testing.assert_allclose(mean_of_aligned(VECTORS, VECTORS @ ROTATION), units, atol=1e-5)


@pytest.mark.long
def test_every_way_to_retrain_is_compared_with_what_it_replaces(tmp_path: Path) -> None:
    corpus = load_corpus(Path(datapath("lee_background.cor")), tmp_path)
    attempts = list(attempt_all(corpus, BASE.model_copy(update={"dimension": 16, "workers": 1})))
    assert len({attempt.name for attempt in attempts}) == len(attempts) == len(WARM) + CHAIN + 3
    assert all(0 < attempt.agreement < 1 for attempt in attempts)
    # A low rate moves the previous vectors less.
    assert attempts[4].agreement > attempts[1].agreement
