"""Counts of cooccurrences against a plain Python counter, for any memory and number of threads."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from storage.corpus.cooccurrences import CooccurrenceCorpus, SpilledRuns, write_cooccurrences
from tasks.text.cooccurrences import expected_pairs
from tasks.trainers.cpu import cooccurrences
from tasks.trainers.cpu.cooccurrences import count_cooccurrences, decoded, integer_weights, subsampled, unmixed
from tasks.trainers.interface import ArrayTokenSource, TokenChunk
from tasks.trainers.sampling import probability_thresholds
from tests.trainers.cpu.plain_glove import plain_counts

MEGABYTE = 1 << 20


def counted(
    folder: Path, sentences: list[list[int]], radius: int, memory: int, workers: int = 1, words: int = 2000
) -> tuple[CooccurrenceCorpus, int]:
    """What the stage does; and the number of pairs in the runs."""
    folder.mkdir()
    runs = SpilledRuns(folder)
    source = ArrayTokenSource([np.array(sentence, np.int32) for sentence in sentences], chunk_tokens=500)
    count_cooccurrences(source.read_chunks(), np.ones(words), radius, memory, workers, runs.add)
    write_cooccurrences(folder, (decoded(*batch, words, radius) for batch in runs.merged(memory)), chunk_pairs=1000)
    runs.remove()
    return CooccurrenceCorpus(folder), runs.pairs


def columns(corpus: CooccurrenceCorpus) -> list[np.ndarray]:
    chunks = list(corpus.read_chunks())
    assert [chunk.start for chunk in chunks] == np.cumsum([0, *(len(chunk.rows) for chunk in chunks[:-1])]).tolist()
    return [np.concatenate([getattr(chunk, name) for chunk in chunks]) for name in ("rows", "columns", "weights")]


@settings(deadline=None, max_examples=60)
@given(
    st.lists(st.lists(st.integers(0, 30), max_size=40), max_size=12),
    st.integers(1, 20),
    st.integers(1, 3),
)
def test_the_counts_are_those_of_a_plain_counter(
    tmp_path_factory: pytest.TempPathFactory, sentences: list[list[int]], radius: int, workers: int
) -> None:
    folder = tmp_path_factory.mktemp("counts") / "counts"
    rows, other, weights = columns(counted(folder, sentences, radius, MEGABYTE, workers, words=31)[0])
    assert np.all(rows <= other)
    found = dict(zip(zip(rows.tolist(), other.tolist(), strict=True), weights.tolist(), strict=True))
    expected = {pair: count for pair, count in plain_counts(sentences, radius).items() if pair[0] <= pair[1]}
    assert len(found) == len(rows)
    assert found == pytest.approx(expected, rel=1e-6)


def test_spilled_counts_equal_those_in_memory_bit_by_bit(tmp_path: Path) -> None:
    draws = np.random.default_rng(1).zipf(1.3, 6_000)
    sentences = [(draws[start : start + 700] % 2000).tolist() for start in range(0, len(draws), 700)]
    whole, in_memory = counted(tmp_path / "whole", sentences, 10, 64 * MEGABYTE)
    for workers in (1, 2):
        spilled, in_runs = counted(tmp_path / f"spilled{workers}", sentences, 10, 1 << 16, workers)
        assert in_runs > 1.5 * in_memory
        assert not list((tmp_path / f"spilled{workers}").glob("run-*"))
        assert spilled.chunk_count == whole.chunk_count > 3
        for ours, theirs in zip(columns(spilled), columns(whole), strict=True):
            np.testing.assert_array_equal(ours, theirs)


def test_the_pairs_come_in_an_order_without_relation_to_their_ranks(tmp_path: Path) -> None:
    sentences = [np.random.default_rng(seed).integers(0, 2000, 500).tolist() for seed in range(10)]
    rows, other, _ = columns(counted(tmp_path / "counts", sentences, 10, MEGABYTE)[0])
    order = np.arange(len(rows))
    assert abs(np.corrcoef(order, rows)[0, 1]) < 0.02
    assert abs(np.corrcoef(order, other)[0, 1]) < 0.02


@given(st.lists(st.integers(0, 2**64 - 1), min_size=1, max_size=50))
def test_mixing_is_inverted(keys: list[int]) -> None:
    mixed = np.array([cooccurrences._mixed.py_func(np.uint64(key)) for key in keys], np.uint64)
    with np.errstate(over="ignore"):
        assert unmixed(mixed).tolist() == keys


def test_weights_are_exact_for_every_radius() -> None:
    for radius in range(1, 21):
        weights = integer_weights(radius)
        assert [weights[1] / weight for weight in weights[1:]] == list(range(1, radius + 1))


@pytest.mark.parametrize("exponent", [0.0, 1.0])
def test_the_expected_pairs_are_those_of_independent_words(exponent: float) -> None:
    """Even words, and words of Zipf's law."""
    chances = 1 / np.arange(1.0, 501) ** exponent
    draws = np.random.default_rng(1).choice(500, 20_001, p=chances / chances.sum())
    pairs = {tuple(sorted(pair)) for pair in zip(draws[1:].tolist(), draws[:-1].tolist(), strict=True)}
    counts = np.sort(np.bincount(draws, minlength=500))[::-1].astype(np.float64) + 1
    expected, spilled = expected_pairs(counts, 20_000, MEGABYTE)
    assert expected == pytest.approx(len(pairs), rel=0.1)
    assert expected <= spilled <= 20_000


def test_subsampling_keeps_the_given_share_at_the_same_positions() -> None:
    token_ids = np.random.default_rng(1).integers(0, 3, 30_000).astype(np.int32)
    whole = TokenChunk(token_ids, np.array([0, 10_000, 30_000]), 0)
    thresholds = probability_thresholds(np.array([1.0, 0.5, 0.1]))
    kept, offsets = subsampled(whole, thresholds)
    counts = np.bincount(kept) / np.bincount(token_ids)
    assert counts == pytest.approx([1.0, 0.5, 0.1], abs=0.02)
    part, _ = subsampled(TokenChunk(token_ids[10_000:], np.array([0, 20_000]), 10_000), thresholds)
    np.testing.assert_array_equal(kept[offsets[1] : offsets[2]], part)
