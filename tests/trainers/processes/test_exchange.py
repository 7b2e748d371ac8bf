"""The combined changes of the ranks, compared with NumPy; what is exchanged when; ranks that train together learn."""

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from tasks.trainers.config import CbowConfig, SharedWindowConfig, SkipGramConfig
from tasks.trainers.interface import ArrayTokenSource, DivergenceError, EpochResult, TrainingState, TrainingStep
from tasks.trainers.processes import shares, training
from tasks.trainers.processes.damping import DIRECTIONS, SLOPE, Pull, agreed, damped, pull_of, share_kept
from tasks.trainers.processes.exchange import Exchange, Schedule, plan_exchanges
from tasks.trainers.processes.training import ShareTraining, Wish
from tests.trainers.corpora import nearest_rows, some_vocabulary, topic_sentences
from tests.trainers.processes.thread_group import ThreadGroup, run_ranks

WORDS, DIMENSION = 40, 8
SENTENCES = topic_sentences(topics=4, words_per_topic=5, sentences=400)
VOCABULARY = some_vocabulary(SENTENCES, 20, threshold=0.2)
CONFIG = SkipGramConfig(dimension=16, window_radius=3, epochs=6, learning_rate=0.1, seed=4, workers=1, backend="numba")


def tables(seed: int) -> NDArray[np.float32]:
    return np.random.default_rng(seed).normal(size=(2, WORDS, DIMENSION)).astype(np.float32)


def sequential_way(change: NDArray[np.float64], way: NDArray[np.float64], ranks: int) -> NDArray[np.float64]:
    """What one rank would do that makes the moves of all, one after the other, each the same part of what is left."""
    whole_distance = change / (1 - np.exp(-way))
    left = whole_distance
    for _ in range(ranks):
        left = left * np.exp(-way)
    moved: NDArray[np.float64] = whole_distance - left
    return moved


def test_equal_changes_combine_as_if_one_rank_had_made_them_in_turn() -> None:
    generator = np.random.default_rng(3)
    change, meetings = generator.normal(size=(12, DIMENSION)), generator.uniform(10, 5000, size=12)
    table, use = generator.normal(size=(30, DIMENSION)), generator.uniform(size=30)
    pull = pull_of(torch.from_numpy(table).float(), torch.from_numpy(use).float())
    moments = (table * (use / use.sum())[:, None]).T @ table
    strengths, directions = np.linalg.eigh(moments)
    way = 0.05 * SLOPE * meetings[:, None] * strengths
    expected = sequential_way(change @ directions, way, 3) @ directions.T
    found = damped(torch.from_numpy(3 * change).float(), torch.from_numpy(meetings).float(), pull, 0.05, 3)
    np.testing.assert_allclose(found.numpy(), expected, rtol=2e-3, atol=2e-3)


def test_the_directions_that_pull_less_share_the_mean_of_their_pulls() -> None:
    generator = np.random.default_rng(4)
    strengths = np.concatenate([np.full(20, 0.02), np.geomspace(0.1, 4, DIRECTIONS)])
    directions = np.linalg.qr(generator.normal(size=(len(strengths),) * 2))[0]
    table = np.sqrt(len(strengths) * strengths)[:, None] * directions.T
    pull = pull_of(torch.from_numpy(table).float(), torch.ones(len(table)))
    np.testing.assert_allclose(pull.strengths.numpy(), [*np.geomspace(0.1, 4, DIRECTIONS), 0.02], rtol=1e-4)
    change, meetings = generator.normal(size=(5, len(strengths))), np.full(5, 800.0)
    way = 0.05 * SLOPE * meetings[:, None] * strengths
    expected = sequential_way(change @ directions, way, 2) @ directions.T / 2
    found = damped(torch.from_numpy(change).float(), torch.from_numpy(meetings).float(), pull, 0.05, 2)
    np.testing.assert_allclose(found.numpy(), expected, rtol=2e-3, atol=2e-3)


def test_small_changes_are_summed_and_large_ones_averaged() -> None:
    assert share_kept(torch.tensor([0.0, 1e-9]), 8).tolist() == pytest.approx([1, 1], abs=4e-3)
    assert share_kept(torch.tensor([100.0]), 8).item() == pytest.approx(1 / 8)
    pull = Pull(torch.ones(DIMENSION), torch.eye(DIMENSION))
    change = torch.randn(3, DIMENSION)
    assert damped(change, torch.ones(3), pull, 0.05, 1) is change


def test_many_ranks_that_agree_take_a_step_and_a_half_and_others_their_sum() -> None:
    equal, apart = 8 * torch.ones(1, DIMENSION), torch.ones(1, DIMENSION)
    assert agreed(equal, torch.tensor([8.0 * DIMENSION]), 8).tolist() == [pytest.approx([1.5] * DIMENSION)]
    assert agreed(apart, torch.tensor([1.0 * DIMENSION]), 8).tolist() == apart.tolist()
    assert agreed(equal, torch.tensor([2.0 * DIMENSION]), 2) is equal


def exchanged(group: ThreadGroup) -> tuple[list[NDArray[np.float32]], int]:
    """Train at random on three ranks, exchange 16 rows while training more, and then all; the tables after each."""
    schedule = Schedule((16, WORDS), (np.full(WORDS, 1e-6, np.float32), np.full(WORDS, 1e-6, np.float32)))
    mine = torch.from_numpy(tables(0 if group.rank == 0 else 99))
    exchange = Exchange((mine[0], mine[1]), group, schedule)
    found = []
    for slice_ in (1, 2):
        mine += torch.from_numpy(tables(10 * slice_ + group.rank))
        exchange.after_slice(slice_, 0.05)
        found.append(mine.numpy().copy())
    centers, contexts = exchange.merged(0.05)
    exchange.all_rows(0.05)
    if group.rank == 0:
        np.testing.assert_array_equal(np.stack([centers, contexts]), mine.numpy())
    else:
        assert not len(centers)
    return [*found, mine.numpy().copy()], exchange.values


def test_an_exchange_adds_the_changes_of_all_ranks_on_top_of_which_each_has_trained_meanwhile() -> None:
    found = run_ranks(3, exchanged)
    first, second = (np.stack([tables(10 * slice_ + rank) for rank in range(3)]) for slice_ in (1, 2))
    for rank, ((sent, received, last), values) in enumerate(found):
        np.testing.assert_array_equal(sent, tables(0) + first[rank])
        summed = tables(0) + first.sum(0) + second[rank]
        np.testing.assert_allclose(received[:, :16], summed[:, :16], rtol=0, atol=0.02)
        np.testing.assert_array_equal(received[:, 16:], (tables(0) + first[rank] + second[rank])[:, 16:])
        np.testing.assert_allclose(last, tables(0) + first.sum(0) + second.sum(0), rtol=0, atol=0.04)
        np.testing.assert_array_equal(last, found[0][0][2])
        assert values == 2 * DIMENSION * (16 + 3 * WORDS)


def test_rows_are_exchanged_before_all_ranks_have_used_them_too_often() -> None:
    counts = np.sort(np.random.default_rng(1).zipf(1.3, 2000).clip(5, 10**4))[::-1]
    vocabulary = some_vocabulary([np.repeat(np.arange(2000), counts).astype(np.int32)], 2000, threshold=1e-3)
    config = SkipGramConfig(narrowing_windows=False)
    schedule = plan_exchanges(vocabulary, config, 1 << 14, ranks=4, uses=400)
    assert list(schedule.rows) == sorted(schedule.rows)
    assert schedule.rows[-1] == 2000
    assert [schedule.rows_after(slices) for slices in (1, 2, 3, 4)] == [
        schedule.rows[k] for k in (0, 1, 0, min(2, len(schedule.rows) - 1))
    ]
    kept = vocabulary.counts * vocabulary.keep_probability
    windows = 4 * (1 << 14) * kept.sum() / vocabulary.counts.sum()
    outputs = windows * (kept / kept.sum() + 5 * vocabulary.noise_probability)
    for doublings, last in enumerate(schedule.rows[:-1]):
        assert np.all(outputs[last:] * 2 ** (doublings + 1) <= 400 * 1.001)
    # A use of a center row meets six outputs, one of a context row on average six inputs.
    np.testing.assert_allclose(schedule.meetings[1], outputs / 4 * 6, rtol=1e-5)


def train_ranks(
    ranks: int, config: SharedWindowConfig, state: TrainingState | None = None, wishes: list[Wish] | None = None
) -> list[tuple[list[TrainingStep], TrainingState]]:
    source = ArrayTokenSource(SENTENCES, 600)

    def work(group: ThreadGroup) -> tuple[list[TrainingStep], TrainingState]:
        remaining = iter(wishes or [])
        training = ShareTraining(
            source, VOCABULARY, config, group, state if group.rank == 0 else None,
            lambda: next(remaining, Wish.GO_ON),
        )  # fmt: skip
        steps = list(training.steps())
        return steps, steps[-1].state

    return run_ranks(ranks, work)


@pytest.fixture(autouse=True)
def small_slices(monkeypatch: pytest.MonkeyPatch) -> None:
    """Several slices in a chunk of a tiny corpus."""
    monkeypatch.setattr(shares, "SLICE_TOKENS", 150)
    monkeypatch.setattr(shares, "TOKENS_BETWEEN_EXCHANGES", 300)


def source_tokens() -> int:
    return ArrayTokenSource(SENTENCES, 600).token_count


def results(steps: list[TrainingStep]) -> list[EpochResult]:
    return [step.epoch_result for step in steps if step.epoch_result]


@pytest.mark.parametrize(
    "config",
    [
        CONFIG,
        CbowConfig(**CONFIG.model_dump(exclude={"model", "centers_in_flight", "finish_with_cbow"})),
        CONFIG.model_copy(update={"process_exchange": "tables", "epochs": 12}),
    ],
    ids=["skip_gram", "cbow", "merged tables"],
)
def test_three_ranks_learn_the_topics_and_end_with_the_same_tables(config: SharedWindowConfig) -> None:
    found = train_ranks(3, config)
    vectors = found[0][1].center_vectors
    assert np.mean(nearest_rows(vectors, 4) % 4 == np.arange(20)[:, None] % 4) > 0.95
    for steps, state in found[1:]:
        np.testing.assert_array_equal(state.center_vectors, vectors)
        assert [r.mean_loss for r in results(steps)] == [r.mean_loss for r in results(found[0][0])]
    alone = results(train_ranks(1, config)[0][0])
    assert [r.tokens for r in results(found[0][0])] == [r.tokens for r in alone]
    assert results(found[0][0])[-1].mean_loss == pytest.approx(alone[-1].mean_loss, rel=0.03)


def test_the_same_seed_gives_the_same_bits_and_saving_changes_none() -> None:
    (_, once), (steps, saved) = train_ranks(2, CONFIG)[0], train_ranks(2, CONFIG, wishes=[Wish.SAVE] * 5)[0]
    np.testing.assert_array_equal(once.center_vectors, saved.center_vectors)
    # An epoch has four rounds. A wish is known one round later, and the end of an epoch is resumable anyway.
    assert [step.tokens_done for step in steps if step.resumable and step.epoch_result is None] == [
        pytest.approx(fraction * source_tokens()) for fraction in (0.5, 1.5)
    ]


def test_another_number_of_ranks_goes_on_from_where_two_stopped() -> None:
    steps, stopped = train_ranks(2, CONFIG, wishes=[Wish.STOP])[0]
    assert steps[-1].resumable
    assert (stopped.epoch, stopped.next_chunk) == (0, 4)
    assert not np.all(stopped.center_vectors == 0)
    finished = train_ranks(3, CONFIG, state=stopped)[0][0]
    assert [r.epoch for r in results(finished)] == [1, 2, 3, 4, 5, 6]
    assert finished[0].tokens_done > steps[-1].tokens_done
    whole = results(train_ranks(2, CONFIG)[0][0])
    assert results(finished)[-1].mean_loss == pytest.approx(whole[-1].mean_loss, rel=0.03)
    # A rank trains another part of the corpus, but all ranks together all of it.
    assert results(finished)[0].pairs == pytest.approx(whole[0].pairs, rel=0.05)


def test_all_ranks_name_a_divergence() -> None:
    with pytest.raises(DivergenceError, match=r"epoch 1.*learning_rate"):
        train_ranks(2, CONFIG.model_copy(update={"learning_rate": 1e30}))
    assert training.always_go_on() is Wish.GO_ON
