"""Checkpoints and finished vectors survive the way to the disk and back."""

from pathlib import Path

import numpy as np

from storage.models import CHECKPOINT, Checkpoint, read_checkpoint, read_vectors, write_checkpoint, write_vectors


def some_checkpoint(seed: int) -> Checkpoint:
    generator = np.random.default_rng(seed)
    center, context = generator.normal(size=(2, 7, 12)).astype(np.float32)
    return Checkpoint(center, context, {"epoch": seed, "epochs": [{"mean_loss": 0.25}]})


def test_a_checkpoint_comes_back_as_it_was_written(tmp_path: Path) -> None:
    written = some_checkpoint(3)
    write_checkpoint(tmp_path, some_checkpoint(2))
    write_checkpoint(tmp_path, written)
    read = read_checkpoint(tmp_path)
    assert read is not None
    np.testing.assert_array_equal(read.center_vectors, written.center_vectors)
    np.testing.assert_array_equal(read.context_vectors, written.context_vectors)
    assert read.progress == written.progress
    read.center_vectors[0, 0] = 5  # training goes on in these arrays


def test_no_checkpoint_is_none(tmp_path: Path) -> None:
    assert read_checkpoint(tmp_path) is None


def test_a_truncated_checkpoint_is_left_aside(tmp_path: Path) -> None:
    write_checkpoint(tmp_path, some_checkpoint(1))
    path = tmp_path / CHECKPOINT
    path.write_bytes(path.read_bytes()[:100])
    assert read_checkpoint(tmp_path) is None


def test_finished_vectors_replace_the_checkpoint(tmp_path: Path) -> None:
    checkpoint = some_checkpoint(1)
    write_checkpoint(tmp_path, checkpoint)
    write_vectors(tmp_path, checkpoint.center_vectors, checkpoint.context_vectors)
    np.testing.assert_array_equal(read_vectors(tmp_path), checkpoint.center_vectors)
    assert [path.name for path in tmp_path.iterdir()] == ["vectors.safetensors"]


def test_the_context_vectors_or_the_mean_of_both_can_be_read(tmp_path: Path) -> None:
    checkpoint = some_checkpoint(1)
    write_vectors(tmp_path, checkpoint.center_vectors, checkpoint.context_vectors)
    np.testing.assert_array_equal(read_vectors(tmp_path, "context"), checkpoint.context_vectors)
    center = checkpoint.center_vectors / np.linalg.norm(checkpoint.center_vectors, axis=1, keepdims=True)
    context = checkpoint.context_vectors / np.linalg.norm(checkpoint.context_vectors, axis=1, keepdims=True)
    np.testing.assert_allclose(read_vectors(tmp_path, "mean"), (center + context) / 2, rtol=1e-6)
    assert read_vectors(tmp_path, "mean").dtype == np.float32
