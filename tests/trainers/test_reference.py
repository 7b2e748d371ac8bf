"""The windows, losses and gradients of the reference, compared with loops over words in NumPy."""

from collections.abc import Iterator

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.special import expit, log_expit

from tasks.trainers.config import WindowConfig, training_config
from tasks.trainers.interface import TokenChunk, TrainingState
from tests.trainers.corpora import some_vocabulary

torch = pytest.importorskip("torch")

from tasks.trainers.reference import Batch, TwoEmbeddings, _batches  # noqa: E402  torch may be missing

Doubles = NDArray[np.float64]
# The words of a predictor, and its outputs with their labels.
Example = tuple[list[int], list[tuple[int, int]]]


def config_of(model: str, reduced_windows: bool, radius: int = 3) -> WindowConfig:
    values = {"model": model, "reduced_windows": reduced_windows, "window_radius": radius, "backend": "torch"}
    config = training_config(values)
    assert isinstance(config, WindowConfig)
    return config


def examples_of(batch: Batch) -> Iterator[Example]:
    """The predictors of a batch, one at a time."""
    inputs, owners = batch.inputs.tolist(), batch.owners.tolist()
    edges = [*batch.input_starts.tolist(), len(inputs)]
    outputs = list(zip(batch.outputs.tolist(), map(int, batch.labels.tolist()), strict=True))
    for number in range(len(edges) - 1):
        own = [output for owner, output in zip(owners, outputs, strict=True) if owner == number]
        yield inputs[edges[number] : edges[number + 1]], own


@pytest.mark.parametrize("model", ["skip_gram", "cbow"])
@pytest.mark.parametrize("reduced_windows", [True, False])
def test_the_windows_of_the_reference_are_as_set(model: str, reduced_windows: bool) -> None:
    words, radius = 700, 3
    config = config_of(model, reduced_windows, radius)
    # A word alone in its sentence, an empty sentence, and one that is longer than a batch.
    chunk = TokenChunk(np.arange(words + 1, dtype=np.int32), np.array([0, 1, 1, words + 1]), 0)
    vocabulary = some_vocabulary([chunk.token_ids], words + 1)
    batches = list(_batches(chunk, vocabulary, config, radius, np.random.default_rng(1)))
    examples = [example for batch in batches for example in examples_of(batch)]
    assert len(batches) == 2
    assert len(examples) == words
    for center, (inputs, outputs) in enumerate(examples, 1):
        positives = [word for word, label in outputs if label]
        negatives = [word for word, label in outputs if not label]
        of_the_center, around = (inputs, positives) if model == "skip_gram" else (positives, inputs)
        own_radius = max(abs(word - center) for word in around)
        expected = [word for word in range(center - own_radius, center + own_radius + 1) if 1 <= word <= words]
        assert of_the_center == [center]
        assert around == [word for word in expected if word != center]
        assert 1 <= own_radius <= radius
        assert reduced_windows or own_radius == radius
        assert 0 <= len(positives) * config.negatives_per_pair - len(negatives) <= 2
        assert not {*negatives} & {*positives} or len(positives) > 1


def loss_and_gradients(examples: list[Example], centers: Doubles, contexts: Doubles) -> tuple[float, Doubles, Doubles]:
    """The loss summed over all pairs, and the gradients of the mean loss, one pair at a time."""
    loss, pairs = 0.0, sum(len(outputs) for _, outputs in examples)
    of_centers, of_contexts = np.zeros_like(centers), np.zeros_like(contexts)
    for inputs, outputs in examples:
        predictor = centers[inputs].mean(axis=0)
        for word, label in outputs:
            logit = predictor @ contexts[word]
            loss -= log_expit(logit if label else -logit)
            slope = (expit(logit) - label) / pairs
            of_contexts[word] += slope * predictor
            for own in inputs:
                of_centers[own] += slope * contexts[word] / len(inputs)
    return loss, of_centers, of_contexts


@pytest.mark.parametrize("model", ["skip_gram", "cbow"])
def test_the_gradients_of_a_batch_are_those_of_its_pairs(model: str) -> None:
    generator = np.random.default_rng(3)
    # Few words, so that many appear twice in a window and as noise of their own window.
    sentences = [generator.integers(12, size=length).astype(np.int32) for length in (30, 1, 0, 45, 2)]
    chunk = TokenChunk(np.concatenate(sentences), np.cumsum([0, *map(len, sentences)]), 0)
    vocabulary = some_vocabulary(sentences, 12, threshold=0.1)
    (batch,) = _batches(chunk, vocabulary, config_of(model, True), 5, generator)
    state = TrainingState(*generator.normal(0, 0.5, (2, 12, 16)).astype(np.float32))
    network = TwoEmbeddings(state)
    logits = network(batch.inputs, batch.input_starts, batch.outputs, batch.owners)
    loss = torch.nn.functional.binary_cross_entropy_with_logits(logits, batch.labels, reduction="sum")
    (loss / len(logits)).backward()

    examples = list(examples_of(batch))
    plain = loss_and_gradients(examples, state.center_vectors.astype(float), state.context_vectors.astype(float))
    assert len(examples) > 20
    assert loss.item() == pytest.approx(plain[0], rel=1e-5)
    for embedding, gradient in zip((network.centers, network.contexts), plain[1:], strict=True):
        assert embedding.weight.grad is not None
        np.testing.assert_allclose(embedding.weight.grad.numpy(), gradient, atol=1e-7)
