"""A run that is killed while it reads or tokenizes text redoes only the shards that are missing."""

import multiprocessing
import os
import signal
import time
from pathlib import Path

import pytest

from storage.corpus import documents, segments, shards
from storage.layout import Workspace
from storage.stages import Manifest, find_stage
from tasks.corpus import CorpusFacts, corpus_stage, fetch_corpus
from tasks.corpus_config import CorpusConfig
from tasks.text.options import TokenizerConfig
from tasks.tokens import tokenize_corpus, tokens_stage
from tests.processes import quick_processes

pytestmark = pytest.mark.long

CONFIG = TokenizerConfig()
ROWS = 400


def in_small_shards() -> None:
    documents.GROUP_ROWS = segments.GROUP_ROWS = ROWS  # type: ignore[attr-defined]
    shards.SHARD_BYTES = 1 << 16


@pytest.fixture(autouse=True)
def _small_shards(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(documents, "GROUP_ROWS", ROWS)
    monkeypatch.setattr(segments, "GROUP_ROWS", ROWS)
    monkeypatch.setattr(shards, "SHARD_BYTES", 1 << 16)


def read(config: CorpusConfig, workspace: Workspace) -> None:
    in_small_shards()
    fetch_corpus.fn(config, workspace)


def tokenize(corpus: Manifest[CorpusFacts], workspace: Workspace) -> None:
    in_small_shards()
    tokenize_corpus.fn(corpus, CONFIG, workspace)


def kill_after_shards(process: multiprocessing.process.BaseProcess, folder: Path, shards: int) -> dict[str, int]:
    """Kill a process once some shards are finished. Returns the inode of each finished shard."""
    process.start()
    while process.is_alive() and len(list(folder.glob("finished-*.parquet"))) < shards:
        time.sleep(0.001)
    assert process.pid
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    assert process.exitcode == -signal.SIGKILL, "the stage ended before it was killed; give it more text"
    recorded = len(list(folder.glob("finished-*.parquet")))
    names = sorted(path.name for path in folder.glob("*-[0-9]*.parquet") if not path.name.startswith("finished-"))
    return {name: (folder / name).stat().st_ino for name in names[:recorded]}


def same_files(found: Manifest, whole: Manifest) -> bool:  # type: ignore[type-arg]
    return bool(found.files == whole.files and found.facts == whole.facts)


def test_killed_twice_it_ends_with_the_files_of_an_undisturbed_run(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for number in range(3):
        lines = (f"line {line} of file{number} has wörd{line % 5000} and 한국어{line % 77}\n" for line in range(40_000))
        (tmp_path / f"{number}.txt").write_text("".join(lines), encoding="utf-8")
    config = CorpusConfig(path=str(tmp_path / "*.txt"))
    whole = fetch_corpus.fn(config, Workspace(tmp_path / "whole"))
    whole_tokens = tokenize_corpus.fn(whole, CONFIG, Workspace(tmp_path / "whole"))

    workspace = Workspace(tmp_path / "killed")
    stage = corpus_stage(config, workspace)
    context = quick_processes()
    folder = workspace.partial_folder(stage.kind, stage.digest)
    for shard_count in (2, 4):
        kept = kill_after_shards(context.Process(target=read, args=(config, workspace)), folder, shard_count)
    assert len(kept) >= 4
    with caplog.at_level("INFO"):
        corpus = fetch_corpus.fn(config, workspace)
    assert f"resuming: {len(kept)} shards are finished" in caplog.text
    assert {name: (corpus.path / name).stat().st_ino for name in kept} == kept
    assert same_files(corpus, whole)

    token_stage = tokens_stage(corpus, CONFIG)
    folder = workspace.partial_folder(token_stage.kind, token_stage.digest)
    for shard_count in (2, 4):
        kept = kill_after_shards(context.Process(target=tokenize, args=(corpus, workspace)), folder, shard_count)
    assert find_stage(workspace, token_stage) is None
    caplog.clear()
    with caplog.at_level("INFO"):
        tokens = tokenize_corpus.fn(corpus, CONFIG, workspace)
    assert f"resuming: {len(kept)} shards are finished" in caplog.text
    assert {name: (tokens.path / name).stat().st_ino for name in kept} == kept
    assert same_files(tokens, whole_tokens)
