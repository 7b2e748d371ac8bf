"""Trained vectors and checkpoints as safetensors files (never pickle).

A model's folder contains `vectors.safetensors` with both matrices, rows in vocabulary order. During training, its
partial folder contains `checkpoint.safetensors`: the same matrices, with the position in the corpus as JSON in the
file's header, so that one rename replaces both.
"""

import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open

from storage.disk import replaced_file
from storage.files.large_arrays import RowBuffer, row_blocks
from storage.files.safetensors import map_tensor, write_tensors
from storage.models.combined import mix_vectors, reduced_vectors, unit_rows

logger = logging.getLogger(__name__)

VECTORS = "vectors.safetensors"
CHECKPOINT = "checkpoint.safetensors"
PROGRESS = "progress"
MATRICES = ("center_vectors", "context_vectors")
# One of a model's two matrices, both combined in one of four ways, or the trained vectors joined with those of an
# encoder.
Matrix = Literal["center", "context", "svd", "mixed", "mean", "sum", "fused"]
# The name of the joined vectors in the file; they may be longer than the trained ones.
FUSED = "fused_vectors"
# And those of the factors of the positive pointwise mutual information of the corpus, as `reduced_vectors` takes them.
PPMI_FACTORS = ("ppmi_vectors", "passage_vectors")


@dataclass(frozen=True)
class Checkpoint:
    """Both (V, D) float32 matrices, writable, and the progress of training as JSON values.

    optimizer: more float32 arrays that the model family trains or accumulates, by name.
    """

    center_vectors: NDArray[np.float32]
    context_vectors: NDArray[np.float32]
    progress: dict[str, Any]
    optimizer: dict[str, NDArray[np.float32]] = field(default_factory=dict)


def write_checkpoint(folder: Path, checkpoint: Checkpoint) -> None:
    """Replace the checkpoint of a training stage atomically: a kill at any time leaves the old or the new one."""
    with replaced_file(folder / CHECKPOINT) as written:
        _write(written, checkpoint, {PROGRESS: json.dumps(checkpoint.progress)})


def read_checkpoint(folder: Path) -> Checkpoint | None:
    """The checkpoint of an interrupted run; None if there is none or it is damaged."""
    path = folder / CHECKPOINT
    if not path.is_file():
        return None
    try:
        with safe_open(path, framework="np") as file:
            # The library has checked the header. Mapped: the trainer copies the matrices to where it trains them.
            tensors = {name: map_tensor(path, name, writable=True) for name in file.keys()}  # noqa: SIM118
            return Checkpoint(
                center_vectors=tensors.pop("center_vectors"),
                context_vectors=tensors.pop("context_vectors"),
                progress=json.loads(file.metadata()[PROGRESS]),
                optimizer=tensors,
            )
    except (OSError, SafetensorError, KeyError, ValueError) as error:
        logger.warning("%s cannot be read (%s); training starts from the beginning", path, error)
        return None


def read_progress(folder: Path) -> dict[str, Any] | None:
    """The progress in a checkpoint, without its matrices; None if there is none or it is damaged."""
    try:
        with safe_open(folder / CHECKPOINT, framework="np") as file:
            progress = json.loads(file.metadata()[PROGRESS])
    except (OSError, SafetensorError, KeyError, TypeError, ValueError):
        return None
    return progress if isinstance(progress, dict) else None


def move_checkpoint(folder: Path, target: Path) -> None:
    """Move the checkpoint of one training stage to another, replacing that one's."""
    (folder / CHECKPOINT).replace(target / CHECKPOINT)


def write_vectors(
    folder: Path,
    center_vectors: NDArray[np.float32],
    context_vectors: NDArray[np.float32],
    optimizer: Mapping[str, NDArray[np.float32]] = MappingProxyType({}),
) -> None:
    """Write the finished matrices and the arrays that a warm start continues with, and remove checkpoints."""
    _write(folder / VECTORS, Checkpoint(center_vectors, context_vectors, {}, dict(optimizer)), {})
    for leftover in folder.glob(f"*{CHECKPOINT}*"):
        leftover.unlink(missing_ok=True)


def read_vectors(folder: Path, matrix: Matrix = "center") -> NDArray[np.float32]:
    """The (V, D) float32 vectors of a finished model to publish.

    matrix: "mean" is the mean of each word's two vectors, both scaled to unit length first; "mixed" is the same with
    CONTEXT_WEIGHT for the context vector; "svd" reduces both side by side, and with them the factors of PPMI, of a
    model that has them; "sum" adds them as trained.
    "fused" are the vectors joined with those of an encoder, of a model that has them; they may be longer.
    """
    if matrix == "fused":
        return _read_tensor(folder, FUSED)
    center_vectors, context_vectors = read_matrices(folder)
    if matrix in ("center", "context"):
        return center_vectors if matrix == "center" else context_vectors
    if matrix == "svd":
        return reduced_vectors(center_vectors, context_vectors, ppmi_factors(read_optimizer(folder)))
    joined = RowBuffer(center_vectors.shape[1])
    blocks = zip(row_blocks(center_vectors), row_blocks(context_vectors), strict=True)
    for (_, center), (_, context) in blocks:
        if matrix == "mean":
            joined.append((unit_rows(center) + unit_rows(context)) / np.float32(2))
        elif matrix == "mixed":
            joined.append(mix_vectors(center, context))
        else:
            joined.append(center + context)
    return joined.finish()


def read_matrices(folder: Path) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """The (V, D) float32 center and context vectors of a finished model, mapped and read-only."""
    return _read_tensor(folder, "center_vectors"), _read_tensor(folder, "context_vectors")


def read_optimizer(folder: Path) -> dict[str, NDArray[np.float32]]:
    """The other arrays of a finished model, by name."""
    with safe_open(folder / VECTORS, framework="np") as file:
        names = [name for name in file.keys() if name not in (*MATRICES, FUSED)]  # noqa: SIM118
    return {name: map_tensor(folder / VECTORS, name) for name in names}


def ppmi_factors(others: Mapping[str, NDArray[np.float32]]) -> list[NDArray[np.float32]]:
    """The factors of PPMI among the other arrays of a model, as `reduced_vectors` takes them; none without PPMI."""
    return [others[name] for name in PPMI_FACTORS if name in others]


def _read_tensor(folder: Path, name: str) -> NDArray[np.float32]:
    # Opening checks the header against the size of the file.
    with safe_open(folder / VECTORS, framework="np"):
        values: NDArray[np.float32] = map_tensor(folder / VECTORS, name)
    return values


def _write(path: Path, matrices: Checkpoint, header: dict[str, str]) -> None:
    tensors = dict(zip(MATRICES, (matrices.center_vectors, matrices.context_vectors), strict=True)) | matrices.optimizer
    write_tensors(path, tensors, header)
