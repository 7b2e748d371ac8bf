"""How much memory training needs, and how much this process may still take."""

import os
import resource
from dataclasses import dataclass
from pathlib import Path

from tasks.trainers.config import FastTextConfig, GloveConfig, TrainerConfig
from tasks.trainers.sampling import default_buckets

FLOAT_BYTES = 4
# Rows are padded to this many numbers by the CPU trainers.
ROW_MULTIPLE = 16
# The word itself, its count and probabilities, and the lists that its place in the noise table is computed with.
BYTES_PER_WORD = 250
# Parameters, gradients, Adam's two moments and the state, twice each but for the moments.
TORCH_MATRICES = 10
# The state, and what comes back from the device.
DEVICE_MATRICES = 4
# Set by torchrun.
LOCAL_PROCESSES = "LOCAL_WORLD_SIZE"
PROCESS = Path("/proc/self")
MEMORY = Path("/proc/meminfo")
CONTROL_GROUPS = Path("/sys/fs/cgroup")


@dataclass(frozen=True)
class MemoryNeed:
    """Bytes that training needs. matrices: those of the trained matrices.  rest: vocabulary and sampling tables.

    can_map: whether the matrices can be in mapped files instead.
    """

    matrices: int
    rest: int
    can_map: bool

    @property
    def total(self) -> int:
        """All of it in memory."""
        return self.matrices + self.rest


def memory_need(config: TrainerConfig, words: int) -> MemoryNeed:
    """What training with resolved settings needs for a vocabulary of this many words."""
    width = -(-config.dimension // ROW_MULTIPLE) * ROW_MULTIPLE
    row = FLOAT_BYTES * width
    rest = words * BYTES_PER_WORD
    if config.backend != "numba":
        on_cpu = getattr(config, "device", "cpu") == "cpu"
        matrices = TORCH_MATRICES if on_cpu else DEVICE_MATRICES
        return MemoryNeed(matrices * words * FLOAT_BYTES * config.dimension, rest, can_map=False)
    if (processes := getattr(config, "processes", 1)) > 1:
        # Each process on this host has both matrices, and the values that all have in common.
        here = int(os.environ.get(LOCAL_PROCESSES, processes))
        return MemoryNeed(here * 4 * words * row, rest * here, can_map=False)
    if isinstance(config, FastTextConfig):
        # Own rows, contexts, those that each worker composes, and at the end contiguous copies and the result.
        buckets = config.buckets or default_buckets(words)
        return MemoryNeed(((4 + (config.workers or 1)) * words + 2 * buckets) * row, rest, can_map=False)
    # Both matrices; for GloVe their sums of squared gradients as well.
    matrices = 4 if isinstance(config, GloveConfig) else 2
    return MemoryNeed(matrices * words * row, rest, can_map=True)


def available_bytes() -> int | None:
    """Memory that this process may still take, None if the system does not say.

    The least of what the machine has available, the limits of its control groups (containers, systemd) and its own
    limit on data (`ulimit -d`). Mapped files count towards none of them while they can be written back.
    """
    found = [_machine_bytes(), _data_limit_bytes(), *_group_bytes()]
    known = [max(0, size) for size in found if size is not None]
    return min(known) if known else None


def _machine_bytes() -> int | None:
    return _kilobytes(MEMORY, "MemAvailable")


def _data_limit_bytes() -> int | None:
    limit, _ = resource.getrlimit(resource.RLIMIT_DATA)
    used = _kilobytes(PROCESS / "status", "VmData")
    return None if limit == resource.RLIM_INFINITY or used is None else limit - used


def _group_bytes() -> list[int | None]:
    """What the groups of this process, of version 2 or 1, have left; the page cache in them can be dropped."""
    return [
        _left(CONTROL_GROUPS / "memory.max", CONTROL_GROUPS / "memory.current", "inactive_file"),
        _left(
            CONTROL_GROUPS / "memory/memory.limit_in_bytes",
            CONTROL_GROUPS / "memory/memory.usage_in_bytes",
            "total_inactive_file",
        ),
    ]


def _left(limit: Path, used: Path, droppable: str) -> int | None:
    try:
        lines = (limit.parent / "memory.stat").read_text(encoding="ascii").splitlines()
        cache = int(dict(line.split(maxsplit=1) for line in lines)[droppable])
        return int(limit.read_text(encoding="ascii")) - int(used.read_text(encoding="ascii")) + cache
    except (OSError, ValueError, KeyError):
        # No such version of control groups, or no limit, which is the word max.
        return None


def _kilobytes(path: Path, field: str) -> int | None:
    """A field of a file of /proc, in bytes."""
    try:
        lines = path.read_text(encoding="ascii", errors="replace").splitlines()
    except OSError:
        return None
    values = dict(line.split(":", 1) for line in lines if ":" in line)
    return int(values[field].split()[0]) * 1024 if field in values else None
