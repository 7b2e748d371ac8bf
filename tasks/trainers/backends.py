"""The training backends. A backend's libraries are imported on first use."""

import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any, Literal, Protocol

from tasks.trainers.bookkeeping import MODELS, first_learning_rate
from tasks.trainers.config import (
    DistilledConfig,
    FastTextConfig,
    SharedWindowConfig,
    SkipGramConfig,
    TrainerConfig,
    TrainingConfig,
    WindowConfig,
)
from tasks.trainers.gpu.status import device_name, gpu_count, memory_obstacle, obstacle
from tasks.trainers.interface import ChunkSource, TrainingState, TrainingStep, Vocabulary
from tasks.trainers.sampling import default_buckets

# Every program of the GPU kernel goes over all words that the windows of its tile may reach.
LARGEST_GPU_RADIUS = 50
FINISHES_ELSEWHERE = "only numba finishes skip-gram with CBOW; set training.finish_with_cbow=false"
BackendName = Literal["triton", "numba", "torch"]


@dataclass(frozen=True)
class BackendStatus:
    """Whether a backend can run here, and the reason."""

    name: str
    available: bool
    reason: str


class Trainer(Protocol):
    """The signature of a backend's training function."""

    def __call__(
        self,
        source: Any,  # noqa: ANN401  # of tokens or of pairs, as the family needs
        vocabulary: Vocabulary,
        config: Any,  # noqa: ANN401  # one of the families that the backend declares
        state: TrainingState | None = None,
        *,
        resumable_every_seconds: float = 60.0,
    ) -> Iterator[TrainingStep]:
        """Train, yielding a step after every unit of work."""


@dataclass(frozen=True)
class Backend:
    """One way to train: whether it can run here, and its training function.

    loaders: model -> a function that imports its trainer; any other model is refused.
    misfit: why it cannot train with some settings and vocabulary size (None: unknown); None if it can.
    """

    name: BackendName
    status: Callable[[], BackendStatus]
    loaders: Mapping[str, Callable[[], Trainer]]
    misfit: Callable[[TrainerConfig, int | None], str | None] = lambda config, words: None


def available_backends() -> list[BackendStatus]:
    """Every backend, in the order in which `auto` prefers them."""
    return [backend.status() for backend in BACKENDS]


def resolve_backend(config: TrainerConfig, words: int | None = None) -> BackendName:
    """The backend that will run. Raises ValueError, with the reason, if it cannot.

    words: size of the vocabulary, if known: `auto` skips a GPU with too little memory for it.
    """
    return _choose_backend(config, words)[0].name


def explain_backend(config: TrainerConfig, words: int | None = None) -> str:
    """The backend that will run, and why those that `auto` prefers will not. Raises ValueError."""
    chosen, refusals = _choose_backend(config, words)
    reasons = "".join(f"; not {name}: {reason}" for name, reason in refusals.items())
    return f"{chosen.name} ({chosen.status().reason}){reasons}"


def _choose_backend(config: TrainerConfig, words: int | None) -> tuple[Backend, dict[str, str]]:
    """The backend that will run, and the reasons against those it prefers. Raises ValueError if none can run."""
    refusals: dict[str, str] = {}
    for backend in BACKENDS:
        if config.backend in ("auto", backend.name):
            status = backend.status()
            refusal = _misfit(backend, config, words) if status.available else status.reason
            if refusal is None:
                return backend, refusals
            refusals[backend.name] = refusal
    if config.backend != "auto":
        raise ValueError(f"training.backend {config.backend} cannot run here: {refusals[config.backend]}")
    reasons = "; ".join(f"{name}: {reason}" for name, reason in refusals.items())
    raise ValueError(f"no training backend can run here ({reasons})")


def _misfit(backend: Backend, config: TrainerConfig, words: int | None) -> str | None:
    if config.model not in backend.loaders:
        known = " and ".join(backend.loaders)
        return f"it trains {known}, and training.model is {config.model}"
    return backend.misfit(config, words)


def resolve_workers(config: TrainerConfig) -> int:
    """Number of training threads of a process: as set, else every core, divided among the processes of this host."""
    if config.workers is not None:
        return config.workers
    return max(1, available_cores() // _local_processes(config))


def _local_processes(config: TrainerConfig) -> int:
    """How many processes train on this host: as torchrun says, if it has started this one, else all."""
    processes = config.processes if isinstance(config, SharedWindowConfig) else 1
    return min(processes, int(os.environ.get("LOCAL_WORLD_SIZE", processes)))


def available_cores() -> int:
    """Number of cores that this process may use; containers and `taskset` allow fewer than the machine has."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def resolve_config(config: TrainingConfig, words: int | None = None) -> TrainingConfig:
    """The settings with backend, device, workers, learning rate and windows resolved.

    words: size of the vocabulary, if known.  Raises ValueError if the settings cannot be met.
    """
    if isinstance(config, DistilledConfig):
        return config
    backend = resolve_backend(config, words)
    resolved: dict[str, object] = {"backend": backend, "learning_rate": first_learning_rate(config)}
    if backend == "numba":
        resolved["workers"] = resolve_workers(config)
        if isinstance(config, WindowConfig):
            resolved["device"] = "cpu"
    elif backend == "triton":
        resolved |= {"device": "cuda", "workers": 1}
    elif isinstance(config, WindowConfig):
        from tasks.trainers.reference import DEFAULT_LEARNING_RATE, resolve_device

        resolved |= {"device": resolve_device(config.device), "workers": 1}
        if config.learning_rate is None:
            resolved["learning_rate"] = DEFAULT_LEARNING_RATE
    if isinstance(config, FastTextConfig) and config.buckets is None and words is not None:
        resolved["buckets"] = default_buckets(words)
    if isinstance(config, SkipGramConfig):
        if backend != "triton":
            resolved["centers_in_flight"] = None
        if config.narrowing_windows is None:
            resolved["narrowing_windows"] = backend != "triton"
        if config.finish_with_cbow is None:
            resolved["finish_with_cbow"] = backend == "numba"
    return config.model_copy(update=resolved)


def train(
    source: ChunkSource[Any],
    vocabulary: Vocabulary,
    config: TrainingConfig,
    state: TrainingState | None = None,
    *,
    resumable_every_seconds: float = 60.0,
) -> Iterator[TrainingStep]:
    """Train with the backend that the settings name, yielding a step after every unit of work.

    source: an encoded corpus, or for GloVe the cooccurrences of one.
    state: where an earlier run stopped; training resumes from it.
    resumable_every_seconds: interval of resumable steps, in addition to the end of each epoch.
    Raises ValueError if the settings or the state do not match, DivergenceError if the vectors diverged.
    """
    config = resolve_config(config, len(vocabulary))
    backend = next(backend for backend in BACKENDS if backend.name == config.backend)
    return backend.loaders[config.model]()(
        source, vocabulary, config, state, resumable_every_seconds=resumable_every_seconds
    )


def _triton_status() -> BackendStatus:
    reason = obstacle()
    return BackendStatus("triton", reason is None, reason or device_name())


def _triton_misfit(config: TrainerConfig, words: int | None) -> str | None:
    if isinstance(config, SharedWindowConfig) and config.processes > 1 and _local_processes(config) > gpu_count():
        return f"{_local_processes(config)} processes need a GPU each, and this machine has {gpu_count()}"
    if isinstance(config, WindowConfig) and config.device == "cpu":
        return "training.device is cpu"
    if isinstance(config, SkipGramConfig) and config.finish_with_cbow:
        return FINISHES_ELSEWHERE
    if isinstance(config, WindowConfig) and config.largest_window_radius > LARGEST_GPU_RADIUS:
        return f"its tiles hold windows of up to {LARGEST_GPU_RADIUS} words a side; lower training.window_radius"
    if config.backend == "auto" and config.workers == 1:
        return "training.workers is 1, which asks for vectors that can be reproduced bit by bit"
    return None if words is None else memory_obstacle(words, config.dimension, now=False)


def _load_triton() -> Trainer:
    from tasks.trainers.gpu.trainer import train_on_gpu

    return train_on_gpu


def _numba_status() -> BackendStatus:
    if find_spec("numba") is None:
        return BackendStatus("numba", False, "the package numba is not installed")
    return BackendStatus("numba", True, f"{resolve_workers(SkipGramConfig())} cores")


def _load_numba() -> Trainer:
    from tasks.trainers.cpu.trainer import train_skip_gram

    return train_skip_gram


def _load_glove() -> Trainer:
    from tasks.trainers.cpu.glove import train_glove

    return train_glove


def _load_fasttext() -> Trainer:
    from tasks.trainers.cpu.subwords import train_fasttext

    return train_fasttext


def _torch_status() -> BackendStatus:
    if find_spec("torch") is None:
        return BackendStatus("torch", False, "the package torch is not installed")
    return BackendStatus("torch", True, "the slow reference, on any device that torch knows")


def _torch_misfit(config: TrainerConfig, words: int | None) -> str | None:
    if isinstance(config, SharedWindowConfig) and config.processes > 1:
        return f"it trains in one process, and training.processes is {config.processes}"
    if isinstance(config, SkipGramConfig) and config.finish_with_cbow:
        return FINISHES_ELSEWHERE
    return None


def _load_torch() -> Trainer:
    from tasks.trainers.reference import train_reference

    return train_reference


# Fastest first.
BACKENDS = (
    Backend("triton", _triton_status, {"skip_gram": _load_triton}, _triton_misfit),
    Backend(
        "numba", _numba_status, {**dict.fromkeys(MODELS, _load_numba), "glove": _load_glove, "fasttext": _load_fasttext}
    ),
    Backend("torch", _torch_status, dict.fromkeys(MODELS, _load_torch), _torch_misfit),
)
