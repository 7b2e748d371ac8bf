"""A Transformer sees the order of words only with positions; the positions are those of the paper."""

import math
from collections.abc import Iterator

import numpy as np
import pytest
import torch

from tasks.metrics.downstream import PAD, SPECIAL_ROWS, Examples, classify
from tasks.metrics.transformer import POSITIONS, Positions, TransformerClassifier, fixed_positions

WORDS, LENGTH = 12, 6


def test_fixed_positions_are_those_of_the_paper() -> None:
    found = fixed_positions(50, 16).numpy()
    for position in range(50):
        for pair in range(8):
            angle = position / 10_000 ** (2 * pair / 16)
            assert found[position, 2 * pair] == pytest.approx(math.sin(angle), abs=1e-6)
            assert found[position, 2 * pair + 1] == pytest.approx(math.cos(angle), abs=1e-6)


def model(positions: Positions, dimension: int = 10) -> TransformerClassifier:
    torch.manual_seed(1)
    table = torch.randn(WORDS + SPECIAL_ROWS, dimension)
    table[PAD] = 0
    return TransformerClassifier(table, positions, LENGTH, frozen=False).eval()


@pytest.mark.parametrize("positions", POSITIONS)
def test_only_positions_make_the_order_matter(positions: Positions) -> None:
    ids = torch.tensor([[2, 3, 4, 5, 6, PAD]])
    network = model(positions)
    same = torch.allclose(network(ids), network(ids[:, [4, 2, 0, 1, 3, 5]]), atol=1e-5)
    assert same == (positions == "none")


@pytest.mark.parametrize("positions", POSITIONS)
def test_padding_changes_nothing_and_a_text_without_words_has_a_score(positions: Positions) -> None:
    network = model(positions)
    ids = torch.tensor([[2, 3, 4, PAD, PAD], [5, 6, 7, 8, 9]])
    torch.testing.assert_close(network(ids)[:1], network(ids[:1, :3]), atol=1e-5, rtol=1e-4)
    assert torch.isfinite(network(torch.full((2, 3), PAD))).all()
    network(ids).sum().backward()
    gradient = network.embedding.weight.grad
    assert gradient is not None
    assert not gradient[PAD].any()
    trained = network.positions is not None and network.positions.requires_grad
    assert trained == (positions == "learned")


def ordered_texts(count: int, seed: int) -> Examples:
    """Six words each; the label is whether word 0 precedes word 1, and all else is the same for both classes."""
    random = np.random.default_rng(seed)
    ids = random.integers(2, WORDS, (count, LENGTH))
    labels = random.integers(0, 2, count)
    places = np.sort(random.permuted(np.tile(np.arange(LENGTH), (count, 1)), axis=1)[:, :2], axis=1)
    rows = np.arange(count)
    ids[rows, places[:, 0]] = 1 - labels
    ids[rows, places[:, 1]] = labels
    return Examples(ids + SPECIAL_ROWS, labels)


@pytest.fixture
def one_thread() -> Iterator[None]:
    # Of such small batches a second thread is mostly overhead.
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.mark.long
@pytest.mark.usefixtures("one_thread")
def test_positions_decide_where_only_the_order_of_words_does() -> None:
    vectors = np.random.default_rng(0).standard_normal((WORDS, 16), dtype=np.float32)
    parts = [ordered_texts(count, seed) for seed, count in enumerate((2000, 200, 400))]

    def accuracy(positions: Positions | None) -> float:
        result = classify("fine-tuned", vectors, parts[0], parts[1], parts[2], 5, 1, positions)
        assert len(result.curve) == 5
        return result.accuracy

    assert accuracy("fixed") > 0.95
    assert accuracy("learned") > 0.95
    assert accuracy("none") < 0.6
    assert accuracy(None) < 0.6
