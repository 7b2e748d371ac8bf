"""The trainers to choose from. A backend's own libraries are imported when it is used, not before."""

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Literal, Protocol

from tasks.trainers.config import SkipGramConfig
from tasks.trainers.interface import TokenSource, TrainingState, TrainingStep, Vocabulary

BackendName = Literal["numba", "torch"]


@dataclass(frozen=True)
class BackendStatus:
    """Whether a backend can run here, and why, or why not."""

    name: str
    available: bool
    reason: str


class Trainer(Protocol):
    """What each backend's training function takes and gives."""

    def __call__(
        self,
        source: TokenSource,
        vocabulary: Vocabulary,
        config: SkipGramConfig,
        state: TrainingState | None = None,
        *,
        resumable_every_seconds: float = 60.0,
    ) -> Iterator[TrainingStep]:
        """Train, yielding a step after every piece of work."""


@dataclass(frozen=True)
class Backend:
    """One way to train: how to tell whether it runs here, and how to get its training function."""

    name: BackendName
    status: Callable[[], BackendStatus]
    load: Callable[[], Trainer]


def available_backends() -> list[BackendStatus]:
    """Every backend, in the order in which `auto` prefers them."""
    return [backend.status() for backend in BACKENDS]


def resolve_backend(config: SkipGramConfig) -> BackendName:
    """The backend that will run. Raises ValueError, with the reason, if it cannot."""
    statuses = {backend.name: backend.status() for backend in BACKENDS}
    if config.backend != "auto":
        chosen = statuses[config.backend]
        if not chosen.available:
            raise ValueError(f"skipgram.backend {config.backend} cannot run here: {chosen.reason}")
        return config.backend
    for backend in BACKENDS:
        if statuses[backend.name].available:
            return backend.name
    reasons = "; ".join(f"{status.name}: {status.reason}" for status in statuses.values())
    raise ValueError(f"no training backend can run here ({reasons})")


def resolve_workers(config: SkipGramConfig) -> int:
    """Threads to train with: as set, else every core that this process may use."""
    if config.workers is not None:
        return config.workers
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def resolve_config(config: SkipGramConfig) -> SkipGramConfig:
    """The settings with backend, device and workers as they will be. Raises ValueError if they cannot be met."""
    backend = resolve_backend(config)
    if backend == "numba":
        return config.model_copy(update={"backend": backend, "device": "cpu", "workers": resolve_workers(config)})
    from tasks.trainers.torch_reference import resolve_device

    return config.model_copy(update={"backend": backend, "device": resolve_device(config.device), "workers": 1})


def train(
    source: TokenSource,
    vocabulary: Vocabulary,
    config: SkipGramConfig,
    state: TrainingState | None = None,
    *,
    resumable_every_seconds: float = 60.0,
) -> Iterator[TrainingStep]:
    """Train with the backend that the settings name, yielding a step after every piece of work.

    state: where an earlier run stopped; it is trained on.
    resumable_every_seconds: how often, besides the end of each epoch, a step is to be one that can be saved.
    Raises ValueError if the settings or the state do not fit, DivergenceError if the vectors diverged.
    """
    config = resolve_config(config)
    trainer = next(backend for backend in BACKENDS if backend.name == config.backend).load()
    return trainer(source, vocabulary, config, state, resumable_every_seconds=resumable_every_seconds)


def _numba_status() -> BackendStatus:
    if find_spec("numba") is None:
        return BackendStatus("numba", False, "the package numba is not installed")
    return BackendStatus("numba", True, f"{resolve_workers(SkipGramConfig())} cores")


def _load_numba() -> Trainer:
    from tasks.trainers.numba_trainer import train_skip_gram

    return train_skip_gram


def _torch_status() -> BackendStatus:
    if find_spec("torch") is None:
        return BackendStatus("torch", False, "the package torch is not installed")
    return BackendStatus("torch", True, "the slow reference, on any device that torch knows")


def _load_torch() -> Trainer:
    from tasks.trainers.torch_reference import train_reference

    return train_reference


# Fastest first.
BACKENDS = (
    Backend("numba", _numba_status, _load_numba),
    Backend("torch", _torch_status, _load_torch),
)
