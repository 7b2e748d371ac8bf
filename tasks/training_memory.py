"""Where the matrices of a training are: in memory, in mapped files of the workspace, or nowhere, with the figures."""

import logging
import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from storage.errors import TrainingError
from storage.files.large_arrays import MappedMemory
from tasks.trainers.config import TrainingConfig
from tasks.trainers.interface import Allocator
from tasks.trainers.memory import FLOAT_BYTES, MemoryNeed, available_bytes, memory_need

logger = logging.getLogger(__name__)

# Of the matrices on disk: those in training, a checkpoint, and the next one or the finished model.
COPIES = 3
# Without checkpoints: those in training, and the finished model.
COPIES_WITHOUT_CHECKPOINTS = 2
# Of PPMI: a matrix, and its product with the PMI of all words or passages.
FACTORS = 2


@dataclass(frozen=True)
class MatrixPlace:
    """allocate: makes the matrices.  checkpoints: whether the disk has room for them."""

    allocate: Allocator
    checkpoints: bool = True

    @property
    def in_memory(self) -> bool:
        """Whether the matrices are ordinary arrays."""
        return self.allocate is np.zeros


def place_matrices(config: TrainingConfig, words: int, folder: Path) -> MatrixPlace:
    """Where to train `words` words with resolved settings: in memory if that fits, else in files of `folder`.

    Raises TrainingError, with what is needed and available, if neither fits.
    """
    need, available = memory_need(config, words), available_bytes()
    if available is None or need.total <= available:
        return MatrixPlace(np.zeros)
    if not need.can_map or need.rest > available:
        raise TrainingError(_refusal(config, words, need, available, ""))
    free = shutil.disk_usage(folder).free + sum(file.stat().st_size for file in folder.iterdir() if file.is_file())
    for copies in (COPIES, COPIES_WITHOUT_CHECKPOINTS):
        if copies * need.matrices <= free:
            logger.warning(
                "%.1f GB of memory are needed and %.1f GB are available: the matrices (%.1f GB) are trained in mapped "
                "files in %s, which is slower unless most of their frequent words fit in memory",
                need.total / 1e9, available / 1e9, need.matrices / 1e9, folder,
            )  # fmt: skip
            if copies < COPIES:
                logger.warning(
                    "%.1f GB are free there, too few for checkpoints (%.1f GB): an interrupted training starts over",
                    free / 1e9, COPIES * need.matrices / 1e9,
                )  # fmt: skip
            return MatrixPlace(MappedMemory(folder), checkpoints=copies == COPIES)
    least = COPIES_WITHOUT_CHECKPOINTS * need.matrices
    mapped = (
        f"; in mapped files they need {least / 1e9:,.1f} GB of disk, and {free / 1e9:,.1f} GB are free in {folder}, "
        "so free some space or choose another folder with --workspace"
    )
    raise TrainingError(_refusal(config, words, need, available, mapped))


def place_factors(shape: tuple[int, int], folder: Path) -> Allocator:
    """Where the two factors of PPMI are, after the training: in memory if they fit, else in files of `folder`.

    shape: of one.  Raises TrainingError if neither has room; the training can then be resumed.
    """
    size, available = FACTORS * FLOAT_BYTES * shape[0] * shape[1], available_bytes()
    if available is None or size <= available:
        return np.zeros
    free = shutil.disk_usage(folder).free
    if size > free:
        raise TrainingError(
            f"too little memory: the factors of PPMI need {size / 1e9:,.1f} GB, {available / 1e9:,.1f} GB are "
            f"available, and {free / 1e9:,.1f} GB of disk are free in {folder}; free some space and run again, which "
            "resumes here, or set training.ppmi=false"
        )
    return MappedMemory(folder)


def _refusal(config: TrainingConfig, words: int, need: MemoryNeed, available: int, mapped: str) -> str:
    return (
        f"too little memory: training {config.model} with {words:,} words of dimension {config.dimension} needs about "
        f"{need.total / 1e9:,.1f} GB ({need.matrices / 1e9:,.1f} GB of them for its matrices), and "
        f"{available / 1e9:,.1f} GB are available{mapped}. Fewer words or numbers need less: "
        f"set vocabulary.max_size to {_rounded_down(words * available // need.total):,}, raise vocabulary.min_count, "
        "or lower training.dimension"
    )


def _rounded_down(number: int) -> int:
    """To two digits."""
    unit: int = 10 ** max(0, len(str(number)) - 2)
    return number // unit * unit
