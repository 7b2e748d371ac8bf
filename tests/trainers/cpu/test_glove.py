"""GloVe's training loop against its formulas in plain NumPy, and against the derivative of its cost."""

from contextlib import closing
from copy import deepcopy

import numpy as np
import pytest
from scipy.optimize import approx_fprime

from tasks.trainers.backends import resolve_config, train
from tasks.trainers.bookkeeping import first_state
from tasks.trainers.config import GloveConfig
from tasks.trainers.cpu.cooccurrences import count_in_memory
from tasks.trainers.cpu.glove import train_glove
from tasks.trainers.interface import ArrayPairSource, ArrayTokenSource, DivergenceError, TrainingState
from tests.trainers.corpora import nearest_rows, some_vocabulary, topic_sentences
from tests.trainers.cpu.plain_glove import both_directions, plain_cost, plain_epoch

WORDS = 40
CONFIG = GloveConfig(dimension=17, window_radius=3, epochs=3, workers=1)
NOISE = np.random.default_rng(1)
# A fifth of the words are from any topic: GloVe learns nothing from pairs that never occur.
SENTENCES = [
    np.where(NOISE.random(len(sentence)) < 0.2, NOISE.integers(WORDS, size=len(sentence)), sentence).astype(np.int32)
    for sentence in topic_sentences(topics=4, words_per_topic=10, sentences=200)
]
VOCABULARY = some_vocabulary(SENTENCES, WORDS)


COUNTS = count_in_memory(ArrayTokenSource(SENTENCES).read_chunks(), np.ones(WORDS), CONFIG.window_radius)
PAIRS = ArrayPairSource(*COUNTS, 100)
ENTRIES = both_directions(*(column.tolist() for column in COUNTS))


def trained(config: GloveConfig = CONFIG, state: TrainingState | None = None) -> tuple[TrainingState, list[float]]:
    steps = list(train_glove(PAIRS, VOCABULARY, config, state))
    return steps[-1].state, [step.epoch_result.mean_loss for step in steps if step.epoch_result]


@pytest.mark.parametrize("changes", [{}, {"x_max": 0.5}, {"alpha": 0.0}, {"learning_rate": 0.2, "dimension": 8}])
def test_an_epoch_computes_what_the_c_program_does(changes: dict[str, float]) -> None:
    config = CONFIG.model_copy(update=changes)
    plain = first_state(VOCABULARY, config)
    for name in ("center_vectors", "context_vectors"):
        setattr(plain, name, getattr(plain, name).astype(np.float64))
    plain.optimizer = {name: values.astype(np.float64) for name, values in plain.optimizer.items()}
    costs = [plain_epoch(ENTRIES, plain, config) / len(ENTRIES) for _ in range(config.epochs)]
    state, losses = trained(config)
    assert losses == pytest.approx(costs, rel=1e-4)
    for name in ("center_vectors", "context_vectors"):
        np.testing.assert_allclose(getattr(state, name), getattr(plain, name), atol=2e-4)
    for name, values in plain.optimizer.items():
        np.testing.assert_allclose(state.optimizer[name], values, rtol=2e-3, atol=2e-4, err_msg=name)


@pytest.mark.parametrize("entry", [0, 7, 100])
def test_a_step_follows_the_derivative_of_the_cost(entry: int) -> None:
    """The first step of AdaGrad is the learning rate times the gradient, because the sums of squares start at 1."""
    config = CONFIG.model_copy(update={"dimension": 8, "learning_rate": 0.01})
    state = first_state(VOCABULARY, config)
    start = np.vstack([state.center_vectors, state.context_vectors]).astype(np.float64)
    parameters = np.column_stack([start, np.zeros(2 * WORDS)])
    one = ENTRIES[entry : entry + 1]
    gradient = approx_fprime(
        parameters.ravel(), lambda flat: plain_cost(one, flat.reshape(parameters.shape), WORDS), 1e-7
    )
    plain_epoch(one, state, config)
    moved = np.column_stack(
        [
            np.vstack([state.center_vectors, state.context_vectors]),
            np.concatenate([state.optimizer["center_biases"], state.optimizer["context_biases"]]),
        ]
    )
    np.testing.assert_allclose(
        (parameters - moved) / config.learning_rate, gradient.reshape(parameters.shape), atol=2e-4
    )


def test_one_worker_is_bitwise_reproducible_and_resumes_from_any_step() -> None:
    whole, _ = trained()
    with closing(train_glove(PAIRS, VOCABULARY, CONFIG, resumable_every_seconds=1e-4)) as steps:  # type: ignore[type-var]
        middle = next(step for step in steps if step.resumable and step.tokens_done > 1.2 * PAIRS.token_count)
        stopped = deepcopy(middle.state)
    assert stopped.epoch == 1
    assert stopped.next_chunk > 0
    resumed, _ = trained(state=stopped)
    for again in (trained()[0], resumed):
        np.testing.assert_array_equal(again.center_vectors, whole.center_vectors)
        np.testing.assert_array_equal(again.optimizer["context_bias_squares"], whole.optimizer["context_bias_squares"])


@pytest.mark.parametrize("workers", [1, 2])
def test_words_of_a_topic_become_neighbors(workers: int) -> None:
    config = resolve_config(CONFIG.model_copy(update={"epochs": 20, "workers": workers}))
    *_, last = train(PAIRS, VOCABULARY, config)
    neighbors = nearest_rows(last.state.center_vectors + last.state.context_vectors, 5)
    assert (neighbors % 4 == (np.arange(WORDS) % 4)[:, None]).mean() > 0.95


@pytest.mark.parametrize("backend", ["torch", "triton"])
def test_other_backends_refuse_glove(backend: str) -> None:
    with pytest.raises(ValueError, match=rf"training.backend {backend} cannot run here"):
        resolve_config(CONFIG.model_copy(update={"backend": backend}))


def test_a_word_outside_the_vocabulary_and_vectors_that_diverged_are_refused() -> None:
    few = some_vocabulary([np.array([0, 1, 1], np.int32)], 2)
    with pytest.raises(ValueError, match="outside the vocabulary of 2 words"):
        list(train_glove(PAIRS, few, CONFIG))
    state = first_state(VOCABULARY, CONFIG)
    state.center_vectors[3] = np.nan
    with pytest.raises(DivergenceError, match=r"epoch 1 of 3.*learning_rate"):
        trained(state=state)
