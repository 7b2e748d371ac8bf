"""Commands of vecmill in processes that start at once, as an ordinary user, against one Prefect server.

A process is forked from one that has imported everything, so hundreds of builds fit into minutes.
"""

import atexit
import ctypes
import os
import random
import resource
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from multiprocessing.context import ForkServerContext, ForkServerProcess
from pathlib import Path

from benchmarks.fault_readers import fresh_context
from flows.server.environment import prepare_prefect

PRELOADED = ("benchmarks.fault_imports",)
CAPABILITY_VERSION = 0x20080522
TABLE = "news"
WORDS, LINES, WORDS_A_LINE = 400, 3000, 12
LONGEST_COMMAND_SECONDS = 300
SERVER_START_SECONDS = 120
# Small enough for seconds; every stage runs, the map and the report too.
SETTINGS = (
    f"publication.table={TABLE}", "evaluation.reference=none", "training.dimension=16", "training.epochs=2",
    "training.workers=1", "report.map_words=50", "report.map_method=pca",
)  # fmt: skip


@dataclass(frozen=True)
class Ended:
    """How commands ended: the exit code of the last one, and all that they wrote."""

    code: int
    said: str

    def wrong(self) -> str | None:
        """What a user must never see: a traceback, another exit code, or a failure without its error line."""
        if "Traceback (most recent call last)" in self.said:
            return f"a traceback: {self.said.splitlines()[-1]}"
        if self.code not in (0, 1, 2):
            return f"exit code {self.code}: {self.said[-300:]}"
        if self.code and "error:" not in self.said and "problem" not in self.said:
            return f"exit code {self.code} without an error: {self.said[-300:]}"
        return None


@dataclass(frozen=True)
class Stage:
    """Where the commands run: a folder of the ordinary user with a corpus and a workspace."""

    folder: Path
    context: ForkServerContext

    @property
    def corpus(self) -> Path:
        """The text that is built."""
        return self.folder / "corpus.txt"

    @property
    def workspace(self) -> Path:
        """The workspace that is built in."""
        return self.folder / "workspace"

    def build_arguments(self, seed: int, *extra: str) -> list[str]:
        """The build of a seed; each seed trains another model on the same text. extra: more settings."""
        settings = [f"corpus.path={self.corpus}", f"training.seed={seed}", *SETTINGS, *extra]
        options = [word for setting in settings for word in ("--set", setting)]
        return ["build", "adhoc", "--workspace", str(self.workspace), *options]

    def start(self, *commands: Sequence[str], largest_file: int | None = None) -> tuple[ForkServerProcess, Path]:
        """Start commands in turn; returns each process and the file of its output."""
        handle, name = tempfile.mkstemp(dir=self.folder, prefix="said-")
        os.close(handle)
        said = Path(name)
        said.chmod(0o666)
        process = self.context.Process(target=run_commands, args=([list(c) for c in commands], said, largest_file))
        process.start()
        return process, said

    def run(self, *commands: Sequence[str], largest_file: int | None = None) -> Ended:
        """Run commands to their end; those after one that fails run all the same."""
        process, said = self.start(*commands, largest_file=largest_file)
        return ended(process, said)


def ended(process: ForkServerProcess, said: Path) -> Ended:
    """Wait for a process; one that does not end is killed and counts as wrong."""
    process.join(LONGEST_COMMAND_SECONDS)
    if process.is_alive():
        process.kill()
        process.join()
    text = said.read_text(encoding="utf-8", errors="replace")
    said.unlink()
    return Ended(-1 if process.exitcode is None else process.exitcode, text)


def run_commands(commands: list[list[str]], said: Path, largest_file: int | None) -> None:
    """Become an ordinary user and run commands; the process ends with the exit code of the last one."""
    from flows.cli import app as cli

    os.dup2(os.open(said, os.O_WRONLY | os.O_APPEND), 1)
    os.dup2(1, 2)
    drop_capabilities()
    os.chdir(said.parent)
    if largest_file is not None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (largest_file, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))
    code = 0
    for command in commands:
        sys.argv = ["vecmill", *command]
        try:
            cli.main()
            code = 0
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else int(end.code is not None)
    sys.exit(code)


def drop_capabilities() -> None:
    """Take from root what it may do beyond an ordinary user: the modes of files then bind it as everybody."""
    header = (ctypes.c_uint32 * 2)(CAPABILITY_VERSION, 0)
    nothing = (ctypes.c_uint32 * 6)()
    if os.getuid() == 0 and ctypes.CDLL(None, use_errno=True).capset(header, nothing) != 0:
        raise OSError(ctypes.get_errno(), "the capabilities of root cannot be dropped")


@cache
def start_server() -> str:
    """Start the Prefect server that all stages of this process share; it ends with the process. Returns its address.

    Prefect reads its home once per process, so a second server would look for the home of the first.
    """
    home = tempfile.mkdtemp(prefix="vecmill-faults-prefect-")
    atexit.register(shutil.rmtree, home, ignore_errors=True)
    os.environ["PREFECT_HOME"] = home
    prepare_prefect()
    from prefect.server.api.server import SubprocessASGIServer

    server = SubprocessASGIServer()
    server.start(timeout=SERVER_START_SECONDS)
    return server.api_url


@contextmanager
def command_stage(builds: int = 1) -> Iterator[Stage]:
    """A folder with a corpus and a workspace with so many releases, removed at the end."""
    with tempfile.TemporaryDirectory(prefix="vecmill-faults-") as name:
        folder = Path(name)
        os.environ["PREFECT_API_URL"] = start_server()
        stage = Stage(folder, fresh_context("benchmarks.fault_commands", *PRELOADED))
        write_corpus(stage.corpus, seed=1)
        stage.workspace.mkdir()
        try:
            for seed in range(builds):
                first = stage.run(stage.build_arguments(seed))
                assert first.code == 0, first.said
            yield stage
        finally:
            os.environ.pop("PREFECT_API_URL", None)


def write_corpus(path: Path, seed: int) -> None:
    """Synthetic text with the word frequencies of a natural language."""
    chosen = random.Random(seed)
    words = ["".join(chosen.choices("abcdefghij", k=5)) for _ in range(WORDS)]
    weights = [1 / (rank + 1) for rank in range(WORDS)]
    lines = (" ".join(chosen.choices(words, weights, k=WORDS_A_LINE)) for _ in range(LINES))
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def timed_build(stage: Stage, seed: int, *extra: str) -> float:
    """Seconds of one build that must go well."""
    started = time.perf_counter()
    done = stage.run(stage.build_arguments(seed, *extra))
    assert done.code == 0, done.said
    return time.perf_counter() - started
