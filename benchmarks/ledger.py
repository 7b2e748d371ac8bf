"""What was measured, where and with what: a JSON file that grows run by run, so that a stopped measurement goes on."""

import os
import platform
import subprocess
import sys
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Literal

import psutil  # type: ignore[import-untyped]
from gensim.models import KeyedVectors
from pydantic import BaseModel, ConfigDict

from benchmarks.corpora import BenchmarkCorpus
from benchmarks.quality import evaluate_quality
from benchmarks.trainers import TRAINERS, BenchmarkSettings
from storage.disk import replaced_file
from tasks.trainers.backends import available_cores

PACKAGES = ("numba", "llvmlite", "numpy", "torch", "triton", "gensim", "fasttext-numpy2-wheel")
Part = Literal["comparison", "sweep", "quality", "search"]
ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "benchmarks" / "results"


class Place(BaseModel):
    """Machine, versions and commit; runs of two places are not compared."""

    model_config = ConfigDict(frozen=True)

    processor: str
    cores: int
    memory_gigabytes: int
    system: str
    python: str
    versions: dict[str, str]
    commit: str


class Run(BaseModel):
    """One training. Words are raw tokens of the corpus x epochs, seconds those of training alone.

    part: what it is for; the vectors of a sweep over one setting are not evaluated. A search chooses a peer's settings.
    """

    model_config = ConfigDict(frozen=True)

    part: Part
    corpus: str
    tokens: int
    trainer: str
    settings: BenchmarkSettings
    seconds: float
    words_per_second: float
    quality: dict[str, float]


class Ledger(BaseModel):
    """Every run so far. `load_before` is the machine's load before the first run: near 0 if it was idle.

    peers: when and where the peers' runs were measured, if not with vecmill's.
    """

    place: Place
    date: str
    load_before: float
    peers: str = ""
    runs: list[Run]

    def has(self, part: Part, corpus: str, trainer: str, settings: BenchmarkSettings) -> bool:
        """Whether a run of these settings, seed included, is recorded."""
        wanted = (part, corpus, trainer, settings)
        return any((run.part, run.corpus, run.trainer, run.settings) == wanted for run in self.runs)

    def save(self, path: Path) -> None:
        """Replace the file at once, so that a kill leaves the old or the new one."""
        path.parent.mkdir(parents=True, exist_ok=True)
        with replaced_file(path) as written:
            written.write_text(self.model_dump_json(indent=1) + "\n", encoding="utf-8")


def open_ledger(path: Path, place: Place, date: str) -> Ledger:
    """The runs that a stopped measurement left in the file, if it ran in the same place, or none."""
    if path.exists():
        ledger = Ledger.model_validate_json(path.read_text(encoding="utf-8"))
        if ledger.place == place:
            return ledger
    return Ledger(place=place, date=date, load_before=round(os.getloadavg()[0], 2), runs=[])


def measure(
    part: Part,
    corpus: BenchmarkCorpus,
    trainer: str,
    settings: BenchmarkSettings,
    evaluate: Callable[[KeyedVectors], dict[str, float]] = evaluate_quality,
) -> Run:
    """Train once, and evaluate the vectors unless they are part of a sweep."""
    trained = TRAINERS[trainer](corpus, settings)
    return Run(
        part=part,
        corpus=corpus.name,
        tokens=corpus.token_count,
        trainer=trainer,
        settings=settings,
        seconds=trained.seconds,
        words_per_second=corpus.token_count * settings.epochs / trained.seconds,
        quality={} if part == "sweep" else evaluate(trained.vectors),
    )


def this_place() -> Place:
    """Where this process runs, and with what."""
    return Place(
        processor=_processor(),
        cores=available_cores(),
        memory_gigabytes=round(psutil.virtual_memory().total / (1 << 30)),
        system=f"{platform.system()} {platform.release().split('-')[0]}",
        python=sys.version.split()[0],
        versions={name: found for name in PACKAGES if (found := _version(name))},
        commit=commit_of(ROOT, "tasks/trainers", "tasks/text"),
    )


def _processor() -> str:
    """The processor's name, where Linux reports it, and its widest vector instructions."""
    info = Path("/proc/cpuinfo")
    if not info.exists():
        return platform.processor() or platform.machine()
    fields = dict(line.split(":", 1) for line in info.read_text().split("\n\n")[0].splitlines() if ":" in line)
    described = {name.strip(): value.strip() for name, value in fields.items()}
    flags = described.get("flags", "").split()
    widest = next((name for name in ("avx512f", "avx2") if name in flags), "no AVX2")
    return f"{described.get('model name', platform.machine())} ({widest})"


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def commit_of(checkout: Path, *parts: str) -> str:
    """The last commit that touched these parts, or any; with a plus if they were changed since, unknown without git."""

    def git(*arguments: str) -> str:
        asked = ["git", "-C", str(checkout), *arguments, "--", *parts]
        return subprocess.run(asked, capture_output=True, text=True, check=True).stdout.strip()

    try:
        commit = git("log", "-1", "--format=%h")
        changed = git("status", "--porcelain", "--untracked-files=no")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return commit + ("+" if changed else "")
