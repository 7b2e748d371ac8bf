"""A small classifier learns from vectors that separate its classes, and ignores padding."""

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from tasks.metrics.downstream import (
    PAD,
    STARTS,
    UNKNOWN,
    Classified,
    Examples,
    MeanClassifier,
    Start,
    classify,
    padded_ids,
    split_texts,
)


def test_texts_that_are_the_same_stand_on_one_side() -> None:
    texts = [f"Review  {number % 300}" for number in range(900)] + [f"review {number}" for number in range(300)]
    train, validation, held_out = split_texts(texts, (0.72, 0.08, 0.2), seed=3)
    sides = [{" ".join(texts[row].lower().split()) for row in part} for part in (train, validation, held_out)]
    assert len(train) + len(validation) + len(held_out) == len(texts)
    assert not sides[0] & sides[1]
    assert not (sides[0] | sides[1]) & sides[2]
    assert [len(side) for side in sides] == pytest.approx([216, 24, 60], abs=1)
    assert not np.array_equal(held_out, split_texts(texts, (0.72, 0.08, 0.2), seed=4)[2])


def test_words_become_rows_after_padding_and_unknown() -> None:
    ids = padded_ids(np.array([0, -1, 5, 7, 8, 9]), np.array([2, 0, 4]), longest=3)
    np.testing.assert_array_equal(ids, [[2, UNKNOWN, PAD], [PAD, PAD, PAD], [7, 9, 10]])


def test_a_text_is_the_mean_of_its_words_whatever_its_padding() -> None:
    torch.manual_seed(0)
    table = torch.randn(6, 4)
    table[PAD] = 0
    model = MeanClassifier(table, frozen=False)
    ids = torch.tensor([[2, 3, PAD, PAD]])
    mean = table[[2, 3]].mean(dim=0)
    expected = model.output(torch.relu(model.hidden(mean)))
    torch.testing.assert_close(model(ids), expected)
    torch.testing.assert_close(model(ids[:, :2]), expected)
    model(ids).sum().backward()
    assert model.embedding.weight.grad is not None
    assert not model.embedding.weight.grad[PAD].any()
    assert torch.isfinite(model(torch.full((1, 3), PAD))).all()


def examples(count: int, seed: int) -> Examples:
    """Texts of five words, of the first ten of twenty words if they are good."""
    random = np.random.default_rng(seed)
    labels = random.integers(0, 2, count)
    return Examples(random.integers(0, 10, (count, 5)) + 2 + 10 * (1 - labels)[:, None], labels)


@pytest.mark.long
def test_vectors_that_separate_the_classes_serve_frozen_and_random_ones_are_trained() -> None:
    random = np.random.default_rng(0)
    vectors = random.standard_normal((20, 8), dtype=np.float32) / np.float32(4)
    vectors[:10, 0] += 1
    vectors[10:, 0] -= 1
    parts = [examples(count, seed) for seed, count in enumerate((1500, 200, 300))]

    def run(start: Start, table: NDArray[np.float32] = vectors) -> Classified:
        return classify(start, table, parts[0], parts[1], parts[2], 6, 1)

    results = {start: run(start) for start in STARTS}
    assert results["frozen"].accuracy > 0.97
    assert results["fine-tuned"].accuracy > 0.97
    for result in results.values():
        assert len(result.curve) == 6
        assert result.curve[-1].train_loss < result.curve[0].train_loss
        best = min(result.curve, key=lambda point: point.validation_loss)
        assert best.epoch == result.best_epoch
    assert run("frozen") == results["frozen"]
    # Frozen vectors that hold nothing are of no use; random ones are trained, and the table's values do not count.
    assert run("frozen", np.ones_like(vectors)).accuracy < 0.7
    assert run("random", np.ones_like(vectors)) == results["random"]
