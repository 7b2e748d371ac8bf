"""Tables larger than memory are files, and everything reads and writes them block by block."""

import multiprocessing
import resource
import threading
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from safetensors import safe_open

from storage.errors import WorkspaceError
from storage.files import large_arrays
from storage.files.large_arrays import (
    MappedMemory,
    RowBuffer,
    as_float32,
    release_pages,
    row_blocks,
)
from storage.files.safetensors import map_tensor, write_tensors
from storage.models.matrices import read_vectors, write_vectors
from storage.releases.file import ReleaseContent, content_sha256
from storage.releases.schema import Provenance
from storage.vectors.arrays import write_numpy, write_safetensors
from storage.vectors.binary import read_binary, write_binary
from storage.vectors.faults import row_faults
from storage.vectors.tables import read_parquet, write_parquet
from storage.vectors.text import write_glove

ROWS, DIMENSION = 200_000, 1000
MEGABYTE = 1 << 20


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VECMILL_CACHE", str(tmp_path / "cache"))


def table(rows: int, dimension: int = 3) -> NDArray[np.float32]:
    return np.arange(1, rows * dimension + 1, dtype=np.float32).reshape(rows, dimension)


def collected(parts: list[NDArray[np.float32]]) -> NDArray[np.float32]:
    buffer = RowBuffer(parts[0].shape[1])
    for part in parts:
        buffer.append(part)
    return buffer.finish()


def test_a_small_table_stays_in_memory(tmp_path: Path) -> None:
    rows = collected([table(2), table(3)])
    assert np.array_equal(rows, np.vstack([table(2), table(3)]))
    assert rows.flags.writeable
    assert not (tmp_path / "cache").exists()


def test_a_large_table_is_a_mapped_file_of_which_nothing_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(large_arrays, "MOST_BYTES_IN_MEMORY", 40)
    rows = collected([table(2), table(3)])
    assert np.array_equal(rows, np.vstack([table(2), table(3)]))
    assert not rows.flags.writeable
    assert not list((tmp_path / "cache/spill").iterdir())
    release_pages(rows)
    assert np.array_equal(rows[2:], table(3))


def test_a_large_table_stays_in_memory_where_no_file_can_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(large_arrays, "MOST_BYTES_IN_MEMORY", 40)
    (tmp_path / "cache").write_text("a file, where a folder should be")
    assert np.array_equal(collected([table(2), table(3)]), np.vstack([table(2), table(3)]))


def test_a_full_disk_is_reported_with_the_space_that_is_needed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(large_arrays, "MOST_BYTES_IN_MEMORY", 40)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 16, limits[1]))
    try:
        with pytest.raises(WorkspaceError, match=r"is full.*need .* GB there.*VECMILL_CACHE"):
            collected([table(10_000), table(10_000)])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


def test_blocks_cover_every_row_once() -> None:
    starts, blocks = zip(*row_blocks(table(10), 4), strict=True)
    assert starts == (0, 4, 8)
    assert np.array_equal(np.vstack(blocks), table(10))


def test_other_numbers_become_float32_and_float32_is_not_copied() -> None:
    rows = table(5)
    assert as_float32(rows) is rows
    assert np.array_equal(as_float32(rows.astype(">f8")), rows)
    assert np.array_equal(as_float32(np.asfortranarray(rows)), rows)
    assert np.isinf(as_float32(np.full((1, 2), 1e300))).all()


def test_mapped_memory_is_zero_writable_and_leaves_no_file(tmp_path: Path) -> None:
    rows = MappedMemory(tmp_path)((4, 3), np.float32)
    assert not rows.any()
    rows[1] = 7
    release_pages(rows)
    assert rows[1].tolist() == [7, 7, 7]
    assert not list(tmp_path.iterdir())


def test_the_library_reads_written_tensors_and_they_can_be_mapped(tmp_path: Path) -> None:
    path = tmp_path / "some.safetensors"
    write_tensors(path, {"rows": (table(2), table(1)), "weights": np.ones(4, np.float32)}, {"source": "a test"})
    joined = np.vstack([table(2), table(1)])
    with safe_open(path, framework="np") as file:
        assert np.array_equal(file.get_tensor("rows"), joined)
        assert file.get_tensor("weights").tolist() == [1, 1, 1, 1]
        assert file.metadata() == {"source": "a test"}
    assert np.array_equal(map_tensor(path, "rows"), joined)
    changed = map_tensor(path, "rows", writable=True)
    changed[:] = 0
    assert np.array_equal(map_tensor(path, "rows"), joined)


def large_content(path: Path) -> ReleaseContent:
    found = read_binary(path)
    provenance = Provenance(
        model_digest="0", architecture="imported", backend="none", seed=0, corpus_digest="0", config_digest="0",
        library_versions="{}", corpus_source="a test", corpus_licence="", reference_source="none",
        reference_licence="none",
    )  # fmt: skip
    return ReleaseContent(found.words, found.counts, found.vectors, provenance)


def stream_everything(folder: Path) -> None:
    """Read a table larger than what is kept in memory, hash it, and write it in the formats of other tools."""
    content = large_content(folder / "vectors.bin")
    words, counts, vectors = list(content.words), content.counts, content.vectors
    assert not vectors.flags.writeable
    content_sha256(content)
    assert not row_faults(read_binary(folder / "vectors.bin"))
    with (folder / "copy.bin").open("wb") as file:
        write_binary(file, words, vectors)
    with (folder / "copy.txt").open("wb") as file:
        write_glove(file, words[:20_000], vectors[:20_000])
    write_numpy(folder, words, counts, vectors, {})
    write_safetensors(folder, words, counts, vectors, {})
    write_parquet(folder / "copy.parquet", words, counts, vectors, {})
    assert np.array_equal(read_parquet(folder / "copy.parquet").vectors[-1], vectors[-1])
    write_vectors(folder / "model", vectors, vectors)
    assert read_vectors(folder / "model", "sum")[-1].tolist() == (2 * vectors[-1]).tolist()


def peak_of(results: Connection, work: Callable[[Path], None], folder: Path) -> None:
    """Send by how many bytes the memory of this process, without mapped files, grew at most."""

    def memory() -> int:
        status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
        return int(status["RssAnon"].split()[0]) * 1024

    before, done, peaks = memory(), threading.Event(), [0]

    def watch() -> None:
        while not done.wait(0.01):
            peaks.append(memory())

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        work(folder)
    finally:
        done.set()
        watcher.join()
    results.send(max(peaks) - before)


@pytest.mark.long
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads the memory in use from Linux's /proc")
def test_a_large_table_is_never_in_memory_as_a_whole(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    (tmp_path / "model").mkdir()
    with (tmp_path / "vectors.bin").open("wb") as file:
        file.write(b"%d %d\n" % (ROWS, DIMENSION))
        for start in range(0, ROWS, 10_000):
            block = random.standard_normal((10_000, DIMENSION), dtype=np.float32)
            file.write(b"".join(b"word%d %s" % (start + row, block[row].tobytes()) for row in range(10_000)))
    receiver, sender = multiprocessing.Pipe(duplex=False)
    child = multiprocessing.get_context("spawn").Process(target=peak_of, args=(sender, stream_everything, tmp_path))
    child.start()
    sender.close()
    peak = receiver.recv()
    child.join()
    # The table has 763 MiB. What is kept in memory of it, words and the largest blocks take about 500.
    assert peak < 650 * MEGABYTE
