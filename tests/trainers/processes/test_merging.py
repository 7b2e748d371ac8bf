"""Merged tables: turned back as SciPy's Procrustes turns them, and averaged by what each rank has trained."""

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy.linalg import orthogonal_procrustes
from scipy.stats import ortho_group

from tasks.trainers.config import SkipGramConfig
from tasks.trainers.interface import TokenChunk
from tasks.trainers.processes.merging import LEAST_USE, TableMerging
from tasks.trainers.processes.shares import Piece
from tests.trainers.corpora import some_vocabulary
from tests.trainers.processes.thread_group import ThreadGroup, run_ranks

WORDS, DIMENSION, RANKS = 30, 6, 3
VOCABULARY = some_vocabulary([np.repeat(np.arange(WORDS), 5).astype(np.int32)], WORDS, threshold=1.0)
CONFIG = SkipGramConfig(dimension=8, workers=1, backend="numba")
IDS = [np.random.default_rng(rank).integers(0, WORDS // 2, 400, dtype=np.int32) for rank in range(RANKS)]


def begun() -> NDArray[np.float32]:
    return np.random.default_rng(7).normal(size=(2, WORDS, DIMENSION)).astype(np.float32)


def trained(rank: int) -> NDArray[np.float32]:
    """Both tables of a rank: what training changed, seen from a random direction."""
    noise = 0.1 * np.random.default_rng(20 + rank).normal(size=(2, WORDS, DIMENSION))
    turned: NDArray[np.float32] = ((begun() + noise) @ ortho_group.rvs(DIMENSION, random_state=rank)).astype(np.float32)
    return turned


def merge(group: ThreadGroup) -> NDArray[np.float32]:
    tables = torch.from_numpy(begun() if group.rank == 0 else np.zeros_like(begun()))
    merging = TableMerging((tables[0], tables[1]), group, VOCABULARY, CONFIG)
    np.testing.assert_array_equal(tables.numpy(), begun())
    ids = IDS[group.rank]
    merging.saw([Piece(TokenChunk(ids, np.array([0, len(ids)]), 0), 0)])
    tables.copy_(torch.from_numpy(trained(group.rank)))
    merging.after_slice(1, 0.05)
    np.testing.assert_array_equal(tables.numpy(), trained(group.rank))
    copies = merging.merged(0.05)
    merging.all_rows(0.05)
    if group.rank == 0:
        np.testing.assert_array_equal(np.stack(copies), tables.numpy())
    assert merging.values == 2 * 2 * WORDS * (DIMENSION + 1)
    return tables.numpy().copy()


def test_tables_are_turned_onto_those_of_rank_0_and_averaged_by_use() -> None:
    found = run_ranks(RANKS, merge)
    target = np.concatenate(trained(0))
    turned, weights = [], []
    for rank in range(RANKS):
        both = np.concatenate(trained(rank)).astype(np.float64)
        turn = np.eye(DIMENSION) if rank == 0 else orthogonal_procrustes(both, target)[0]
        turned.append((both @ turn).reshape(2, WORDS, DIMENSION))
        uses = np.bincount(IDS[rank], minlength=WORDS)
        noise = CONFIG.negatives_per_pair * VOCABULARY.noise_probability * len(IDS[rank])
        weights.append(np.stack([uses, uses + noise])[:, :, None] + LEAST_USE)
    expected = sum(table * weight for table, weight in zip(turned, weights, strict=True)) / sum(weights)
    for tables in found:
        np.testing.assert_array_equal(tables, found[0])
        np.testing.assert_allclose(tables, expected, atol=1e-5)
    # Words that no rank has trained are as close to their start as all the others.
    assert np.linalg.norm(found[0][0][WORDS // 2 :]) == pytest.approx(
        np.linalg.norm(begun()[0][WORDS // 2 :]), rel=0.05
    )
