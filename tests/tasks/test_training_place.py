"""Matrices that do not fit in memory are trained in mapped files, or the training is refused with the figures."""

import multiprocessing
import resource
import shutil
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from numpy.typing import NDArray

from storage.errors import TrainingError
from storage.files.large_arrays import MappedMemory
from storage.models.matrices import Checkpoint, read_checkpoint, write_checkpoint
from tasks.trainers.backends import train
from tasks.trainers.bookkeeping import first_state
from tasks.trainers.config import (
    CbowConfig,
    FastTextConfig,
    GloveConfig,
    SkipGramConfig,
    TrainingConfig,
)
from tasks.trainers.interface import ArrayTokenSource, TrainingState, Vocabulary
from tasks.trainers.memory import available_bytes, memory_need
from tasks.trainers.sampling import DRAWN_NUMBERS, initial_state
from tasks.training_memory import place_matrices
from tests.trainers.cpu.test_glove import PAIRS, VOCABULARY

GIGABYTE = 10**9
SKIP_GRAM = SkipGramConfig(backend="numba", device="cpu", workers=1, dimension=300)
linux_only = pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads the memory in use from /proc")


def in_process(work: Callable[..., Any], *arguments: Any) -> Any:
    """The result of a function in a new process."""
    receiver, sender = multiprocessing.Pipe(duplex=False)
    child = multiprocessing.get_context("spawn").Process(target=_answer, args=(sender, work, arguments))
    child.start()
    sender.close()
    answer = receiver.recv()
    child.join()
    return answer


def _answer(results: Connection, work: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
    results.send(work(*arguments))


def limit_data(more: int) -> None:
    """Allow this process so many bytes more of memory, as `ulimit -d` does."""
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    resource.setrlimit(resource.RLIMIT_DATA, (int(status["VmData"].split()[0]) * 1024 + more,) * 2)


def available_with(limit: int) -> int | None:
    limit_data(limit)
    return available_bytes()


class Choice(NamedTuple):
    mapped: bool
    checkpoints: bool
    refusal: str


def choices(folder: Path, *cases: tuple[TrainingConfig, int]) -> list[Choice]:
    """For settings and free bytes of the disk: where a million words are trained with a gigabyte of memory."""
    limit_data(GIGABYTE)
    return [choice(folder, config, free) for config, free in cases]


def choice(folder: Path, config: TrainingConfig, free: int) -> Choice:
    usage = shutil.disk_usage(folder)._replace(free=free)
    shutil.disk_usage = lambda path: usage  # no disk of that size is at hand
    try:
        place = place_matrices(config, 1_000_000, folder)
    except TrainingError as error:
        return Choice(False, False, str(error))
    return Choice(isinstance(place.allocate, MappedMemory), place.checkpoints, "")


def test_a_vocabulary_that_fits_is_trained_in_memory(tmp_path: Path) -> None:
    place = place_matrices(SKIP_GRAM, 1000, tmp_path)
    assert place.allocate is np.zeros
    assert place.checkpoints


def test_ten_million_words_of_300_numbers_need_27_gigabytes() -> None:
    need = memory_need(SKIP_GRAM, 10_000_000)
    assert need.matrices == 2 * 10_000_000 * 304 * 4
    assert need.total / GIGABYTE == pytest.approx(26.8, abs=0.1)
    glove = memory_need(GloveConfig(backend="numba", dimension=300), 10_000_000)
    assert glove.matrices == 2 * need.matrices
    several = memory_need(SKIP_GRAM.model_copy(update={"processes": 3}), 10_000_000)
    # Each process has the values that all have in common as well.
    assert (several.matrices, several.can_map) == (6 * need.matrices, False)


@linux_only
@pytest.mark.long
def test_the_limit_of_a_process_is_available_memory() -> None:
    found = in_process(available_with, 100 << 20)
    assert found is not None
    assert 0 < found <= 100 << 20


@linux_only
@pytest.mark.long
def test_matrices_larger_than_memory_are_mapped_while_the_disk_has_room(tmp_path: Path) -> None:
    cbow = CbowConfig(backend="numba", device="cpu", workers=2, dimension=300)
    glove = GloveConfig(backend="numba", workers=2, dimension=300)
    # 2.4 GB of matrices, twice that for GloVe.
    cases = (SKIP_GRAM, 8 * GIGABYTE), (SKIP_GRAM, 6 * GIGABYTE), (cbow, 8 * GIGABYTE), (glove, 15 * GIGABYTE)
    assert in_process(choices, tmp_path, *cases) == [(True, True, ""), (True, False, ""), *[(True, True, "")] * 2]


@linux_only
@pytest.mark.long
def test_what_fits_nowhere_is_refused_with_the_figures_and_the_remedy(tmp_path: Path) -> None:
    others = (
        FastTextConfig(backend="numba", device="cpu", workers=1, dimension=300),
        SkipGramConfig(backend="torch", device="cpu", dimension=300),
        SkipGramConfig(backend="torch", device="cuda", dimension=300),
        SkipGramConfig(backend="triton", device="cuda", dimension=300),
    )
    cases = (SKIP_GRAM, 4 * GIGABYTE), *((config, 100 * GIGABYTE) for config in others)
    no_disk, *unmapped = (choice.refusal for choice in in_process(choices, tmp_path, *cases))
    assert "needs about 2.7 GB (2.4 GB of them for its matrices), and 1.0 GB are available" in no_disk
    assert f"in mapped files they need 4.9 GB of disk, and 4.0 GB are free in {tmp_path}" in no_disk
    assert "set vocabulary.max_size to 370,000" in no_disk
    for refusal in unmapped:
        assert "1,000,000 words of dimension 300 needs about" in refusal
        assert "1.0 GB are available. Fewer words" in refusal
        assert "vocabulary.min_count" in refusal


def test_initial_vectors_do_not_depend_on_the_size_of_blocks() -> None:
    words = DRAWN_NUMBERS // 100 * 2 + 7
    vocabulary = vocabulary_of(words)
    whole = np.random.default_rng(5).random((words, 100), dtype=np.float32)
    assert np.array_equal(initial_state(vocabulary, 100, 5).center_vectors, (whole - np.float32(0.5)) / np.float32(100))


def vocabulary_of(words: int) -> Vocabulary:
    counts = np.arange(words, 0, -1)
    return Vocabulary(counts, np.full(words, 0.9), np.full(words, 1 / words))


def trained(config: TrainingConfig, folder: Path | None) -> TrainingState:
    """A small corpus trained in memory, or in mapped files of a folder."""
    vocabulary = vocabulary_of(50)
    source: Any = ArrayTokenSource(np.random.default_rng(0).integers(0, 50, (40, 30)).astype(np.int32))
    if isinstance(config, GloveConfig):
        source, vocabulary = PAIRS, VOCABULARY
    state = first_state(vocabulary, config, MappedMemory(folder) if folder else np.zeros)  # type: ignore[arg-type]
    for _ in train(source, vocabulary, config, state):
        pass
    return state


@pytest.mark.parametrize(
    "config",
    [
        SkipGramConfig(backend="numba", workers=1, dimension=20, epochs=2),
        CbowConfig(backend="numba", workers=1, dimension=20, epochs=2),
        GloveConfig(backend="numba", workers=1, dimension=20, epochs=2),
    ],
)
def test_mapped_matrices_are_trained_to_the_same_bits(tmp_path: Path, config: TrainingConfig) -> None:
    in_memory, mapped = trained(config, None), trained(config, tmp_path)
    assert np.array_equal(in_memory.center_vectors, mapped.center_vectors)
    assert np.array_equal(in_memory.context_vectors, mapped.context_vectors)
    assert file_behind(mapped.center_vectors)
    assert not file_behind(in_memory.center_vectors)


def file_behind(vectors: NDArray[np.float32]) -> bool:
    """Whether an array is in a mapped file."""
    base: Any = vectors
    while isinstance(base, np.ndarray):
        base = base.base
    return base is not None


def test_a_checkpoint_is_mapped_and_can_be_changed(tmp_path: Path) -> None:
    ones = np.ones((3, 2), np.float32)
    write_checkpoint(tmp_path, Checkpoint(ones, ones, {"epoch": 1}))
    first = read_checkpoint(tmp_path)
    assert first is not None
    first.center_vectors[:] = 5
    again = read_checkpoint(tmp_path)
    assert again is not None
    assert np.array_equal(again.center_vectors, ones)
    assert [file.name for file in tmp_path.iterdir()] == ["checkpoint.safetensors"]
