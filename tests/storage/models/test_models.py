"""Checkpoints and finished vectors survive the way to the disk and back."""

import tracemalloc
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file, save_file

from storage.models.combined import CONTEXT_WEIGHT, reduced_vectors
from storage.models.matrices import (
    CHECKPOINT,
    Checkpoint,
    read_checkpoint,
    read_vectors,
    write_checkpoint,
    write_vectors,
)


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
    read.center_vectors[0, 0] = 5  # training continues in these arrays


def test_other_tools_read_the_file(tmp_path: Path) -> None:
    written = some_checkpoint(3)
    write_checkpoint(tmp_path, written)
    again = tmp_path / "again.safetensors"
    read = load_file(tmp_path / CHECKPOINT)
    assert {name: tensor.dtype for name, tensor in read.items()} == dict.fromkeys(read, np.dtype("float32"))
    save_file(read, again)
    np.testing.assert_array_equal(load_file(again)["context_vectors"], written.context_vectors)


def test_a_checkpoint_is_written_in_little_memory(tmp_path: Path) -> None:
    """The rows of a trainer are padded, so a matrix as a whole would have to be copied."""
    padded = np.random.default_rng(1).random((100_000, 32), np.float32)
    tracemalloc.start()
    write_checkpoint(tmp_path, Checkpoint(padded[:, :20], padded[:, 12:], {}))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < padded.nbytes / 5
    read = read_checkpoint(tmp_path)
    assert read is not None
    np.testing.assert_array_equal(read.context_vectors, padded[:, 12:])


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
    np.testing.assert_allclose(read_vectors(tmp_path, "svd"), reduced_vectors(center, context), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(read_vectors(tmp_path, "mixed"), center + CONTEXT_WEIGHT * context, rtol=1e-6)
    assert read_vectors(tmp_path, "mixed").dtype == np.float32
