"""Train over several processes: start their ranks, follow rank 0, and name the rank that was lost."""

import json
import logging
import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from pydantic import BaseModel, ConfigDict

from storage.errors import TrainingError
from tasks.trainers.backends import available_cores
from tasks.trainers.config import SharedWindowConfig, TrainerConfig
from tasks.trainers.interface import EpochResult
from tasks.trainers.processes import launcher
from tasks.training_job import JOB, NOTHING_TO_TRAIN, PEER_LOST, STOP, Job, RankTotals

logger = logging.getLogger(__name__)

RANK_MODULE = "tasks.training_rank"
# What torchrun sets for each process that it starts.
RANK, RANKS = "RANK", "WORLD_SIZE"
# A round takes a fraction of a second, and saving a large table a few seconds.
STOP_SECONDS = 60.0
END_SECONDS = 10.0
DEFAULT_TIMEOUT_SECONDS: float = SharedWindowConfig.model_fields["process_timeout_seconds"].default


@dataclass(frozen=True)
class RankReport:
    """A report of rank 0. tokens_done: encoded tokens trained by all ranks so far, in all epochs."""

    tokens_done: int
    epoch_result: EpochResult | None


class ProcessFacts(BaseModel):
    """Training over processes.

    ranks: processes that finished the training.  resumed_from: how many started it, if the number changed.
    In the last run, per rank: exchanged_bytes_per_word: numbers added up with the other ranks, per word trained.
    exchange_share: part of the time spent in exchanges, waiting for slower ranks included, 0..1.
    """

    model_config = ConfigDict(frozen=True)

    ranks: int
    resumed_from: int | None = None
    exchanged_bytes_per_word: float | None = None
    exchange_share: float | None = None


def process_facts(
    ranks: int, saved_by: int | None, totals: "RankTotals | None", words_per_token: float
) -> ProcessFacts | None:
    """The facts of a training; None if one process did it all.

    saved_by: processes that wrote the checkpoint from which this run went on.  totals: what rank 0 reported at the end.
    words_per_token: words of the corpus for each encoded token.
    """
    resumed_from = None if saved_by == ranks else saved_by
    if totals is None:
        return ProcessFacts(ranks=ranks, resumed_from=resumed_from) if resumed_from else None
    return ProcessFacts(
        ranks=ranks,
        resumed_from=resumed_from,
        exchanged_bytes_per_word=round(totals.exchanged_bytes / max(totals.tokens * words_per_token, 1), 2),
        exchange_share=round(totals.exchange_seconds / max(totals.seconds, 1e-9), 3),
    )


def torchrun_ranks(environment: Mapping[str, str] = os.environ) -> int | None:
    """Number of ranks, if torchrun has started this process as one of them."""
    return int(environment[RANKS]) if RANK in environment and RANKS in environment else None


def process_timeout(config: TrainerConfig) -> float:
    """Seconds that ranks wait for each other: as set; the default for a family that one process trains."""
    return config.process_timeout_seconds if isinstance(config, SharedWindowConfig) else DEFAULT_TIMEOUT_SECONDS


def is_helping_rank(environment: Mapping[str, str] = os.environ) -> bool:
    """Whether torchrun has started this process to help another, rank 0, that does all but the training."""
    return torchrun_ranks(environment) is not None and environment[RANK] != "0"


def help_rank_zero(timeout_seconds: float) -> None:
    """Wait until rank 0 trains, and train a share. Returns when rank 0 has nothing to train or the training has ended.

    Raises TrainingError if that fails; a rank that reports an error has printed it.
    """
    # Deferred: imports torch.
    from tasks.training_rank import main

    status = main(os.environ, timeout_seconds)
    if status:
        raise TrainingError(f"rank {os.environ[RANK]} ended with status {status}; rank 0 says why")


@contextmanager
def helping_ranks_released(timeout_seconds: float) -> Iterator[None]:
    """At the end of a run, let the ranks go that torchrun has started to help it and that still wait for a training."""
    try:
        yield
    finally:
        if torchrun_ranks():
            # Deferred: imports torch.
            from tasks.trainers.processes.group import ProcessGroup, RankLostError

            with suppress(RankLostError), ProcessGroup(os.environ, timeout_seconds) as group:
                group.publish(JOB, NOTHING_TO_TRAIN)


def _check_processes(config: SharedWindowConfig) -> None:
    """Raises TrainingError if torchrun has started another number of ranks than the settings ask for."""
    started = torchrun_ranks()
    if started is not None and started != config.processes:
        raise TrainingError(
            f"torchrun has started {started} processes and training.processes is {config.processes}; "
            f"set training.processes={started}, or start as many with torchrun (nnodes x nproc-per-node)"
        )
    cores = available_cores()
    threads = config.processes * (config.workers or 1)
    if started is None and threads > cores:
        logger.warning(
            "%d processes with %d threads each share %d cores; they do not train faster than %d",
            config.processes, config.workers or 1, cores, cores,
        )  # fmt: skip


class RankProcesses:
    """The ranks of one training. totals: set when they have ended."""

    def __init__(self, job: Job) -> None:
        self._job, self._config = job, job.config
        self.totals: RankTotals | None = None

    def reports(self) -> Generator[RankReport]:
        """Start the ranks, and yield a report after every round until they end.

        Closing the generator, Ctrl-C and Prefect's signal to cancel let them save a checkpoint first.
        Raises TrainingError naming the rank if one is lost or fails.
        """
        _check_processes(self._config)
        with self._started() as (process, errors):
            assert process.stdout is not None
            problems: list[dict[str, Any]] = []
            try:
                for line in process.stdout:
                    report = _parsed(line)
                    if "tokens_done" in report:
                        epoch = report["epoch"]
                        yield RankReport(report["tokens_done"], EpochResult(**epoch) if epoch else None)
                    elif "exchanged_bytes" in report:
                        self.totals = RankTotals(**report)
                    elif report:
                        problems.append(report)
            except BaseException as error:
                if not isinstance(error, Exception):
                    _stop(process)
                raise
            if process.wait() or self.totals is None:
                raise TrainingError(_explanation(problems, process.returncode, errors, self._config.processes))

    @contextmanager
    def _started(self) -> Iterator[tuple["subprocess.Popen[str]", IO[str]]]:
        """The process to follow: torch's launcher, or under torchrun rank 0 itself; and what it prints as errors."""
        with tempfile.TemporaryDirectory() as scratch, tempfile.TemporaryFile("w+") as errors:
            job_file = Path(scratch) / "job.json"
            job_file.write_text(self._job.as_json(), encoding="utf-8")
            launched = [launcher.__name__, str(self._config.processes), RANK_MODULE]
            command = [sys.executable, "-m", *([RANK_MODULE] if torchrun_ranks() else launched), str(job_file)]
            # One thread for torch's sums: the others would take cores from the training.
            with subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                env=os.environ | {"OMP_NUM_THREADS": "1"},
                # Ctrl-C in a terminal goes to this process alone, which lets the ranks save.
                start_new_session=True,
            ) as process:
                try:
                    yield process, errors
                finally:
                    _end(process)


def _parsed(line: str) -> dict[str, Any]:
    """A report; empty for anything else that a library prints."""
    with suppress(ValueError):
        report = json.loads(line)
        if isinstance(report, dict):
            return report
    return {}


def _stop(process: "subprocess.Popen[str]") -> None:
    """Let the ranks finish the round and save."""
    assert process.stdin is not None
    assert process.stdout is not None
    with suppress(OSError, subprocess.TimeoutExpired):
        process.stdin.write(f"{STOP}\n")
        process.stdin.flush()
        # Rank 0 keeps reporting, and a full pipe would block it.
        drain = threading.Thread(target=process.stdout.read, daemon=True)
        drain.start()
        process.wait(STOP_SECONDS)
    logger.warning("training stopped; the next run resumes from its checkpoint")


def _end(process: "subprocess.Popen[str]") -> None:
    """End the launcher, and with it the ranks, if they still run."""
    if process.poll() is None:
        # The launcher ends its ranks. If it cannot, rank 0 ends when its input does, and the others miss it.
        process.terminate()
        with suppress(subprocess.TimeoutExpired):
            process.wait(END_SECONDS)
        process.kill()


def _explanation(problems: list[dict[str, Any]], status: int, errors: IO[str], ranks: int) -> str:
    """What ended the ranks: an error that one has reported, else the rank that ended first, else the last output."""
    for problem in problems:
        if "error" in problem:
            return str(problem["error"])
    failures = [failure for problem in problems for failure in problem.get("failures", ())]
    resume = "the next run resumes from the last checkpoint, with any training.processes"
    for failure in failures:
        if failure["exit_code"] != PEER_LOST:
            lost = f"rank {failure['rank']} of {ranks} (process {failure['pid']})"
            return f"{lost} {_ending(failure['exit_code'])}; {resume}"
    for problem in problems:
        if "lost" in problem:
            return f"rank {problem['rank']}: {problem['lost']}; {resume}"
    errors.seek(0)
    last = next((line.strip() for line in reversed(errors.readlines()) if line.strip()), "it has printed nothing")
    return f"the processes that train ended with status {status}: {last}"


def _ending(exit_code: int) -> str:
    if exit_code >= 0:
        return f"ended with status {exit_code}"
    name = signal.Signals(-exit_code).name
    return f"was killed by {name}" + (", as the kernel does when memory runs out" if name == "SIGKILL" else "")
