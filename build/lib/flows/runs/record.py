"""Record the duration, memory, metrics and outcome of a run, however it ends."""

import logging
import re
import resource
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

from prefect.runtime import flow_run

from flows.runs.result import BuildResult, StageReport, stage_report
from flows.runs.stop_signal import stopped_once
from storage.errors import GateRefusedError, WorkspaceError, errors_without_credentials
from storage.layout import Workspace
from storage.redaction import redact_logs, without_credentials
from storage.run_history import RunRow, forget_run, is_recorded, start_of, write_run
from storage.runs import registered_run, table_turn
from storage.stages import Manifest, StageFacts, collected_stages
from tasks.evaluation import EvaluationFacts
from tasks.publication_config import PublicationConfig
from tasks.training import ModelFacts
from tasks.vocabulary import EncodedFacts, VocabularyFacts

logger = logging.getLogger(__name__)

LONGEST_REASON = 500
STOPS = {"TerminationSignal": "SIGTERM: the run was cancelled or its worker stopped"}
PEAK = re.compile(r"VmHWM:\s*(\d+) kB")


class RunRecorder:
    """Collects what the record of the current run needs."""

    def __init__(self) -> None:
        self.result: BuildResult | None = None

    def ended(self, result: BuildResult) -> BuildResult:
        """Keep the result for the record, and return it."""
        self.result = result
        return result


@contextmanager
def recorded_build(workspace: Workspace, publication: PublicationConfig) -> Iterator[RunRecorder]:
    """Run a build: stoppable by a signal, protected from housekeeping, recorded, and alone on its table.

    Raises WorkspaceError if the workspace is not writable, TableBusyError if the table is busy and `when_busy` is
    `refuse`.
    """
    workspace.check_writable()
    wait = publication.when_busy == "wait"
    with (
        stopped_once(),
        registered_run(workspace),
        recorded_run(workspace, publication.table) as run,
        table_turn(workspace, publication.table, wait=wait),
    ):
        yield run


@contextmanager
def recorded_run(workspace: Workspace, table: str) -> Iterator[RunRecorder]:
    """Write the record of a run when it starts and again when it ends, even if it fails."""
    started = time.perf_counter()
    redact_logs()
    run = RunRow(run_id=str(flow_run.id or uuid4()), table_name=table, started_at=datetime.now(UTC))
    recorder = RunRecorder()
    failure: dict[str, object] = {}
    forget_run(workspace, run.run_id)
    _write(workspace, run)
    with collected_stages() as stages:
        try:
            with errors_without_credentials():
                yield recorder
        except GateRefusedError:
            raise
        except Exception as error:
            failure = {"outcome": "failed", "reason": _shortened(f"{type(error).__name__}: {error}")}
            raise
        except BaseException as error:
            # Ctrl-C, or Prefect's signal to cancel the run.
            failure = {"outcome": "stopped", "reason": STOPS.get(type(error).__name__, type(error).__name__)}
            raise
        finally:
            figures = {"seconds": round(time.perf_counter() - started, 3), "peak_memory_bytes": peak_memory_bytes()}
            result = _result(recorder.result) if recorder.result else {}
            known = run.model_dump() | figures | _stages(stages) | result | failure
            _write(workspace, RunRow.model_validate(known))


def record_lost_run(workspace: Workspace, run_id: str, table: str, outcome: str, reason: str) -> None:
    """Record the end of a run that could not record it itself. An end already recorded is kept."""
    try:
        if is_recorded(workspace, run_id):
            return
        started_at = start_of(workspace, run_id) or datetime.now(UTC)
    except (OSError, ValueError) as error:
        logger.warning("cannot read the record of run %s: %s", run_id, error)
        return
    _write(
        workspace,
        RunRow(run_id=run_id, table_name=table, started_at=started_at, outcome=outcome, reason=_shortened(reason)),
    )


def peak_memory_bytes() -> int:
    """Peak resident memory of this process so far, in bytes."""
    try:
        found = PEAK.search(Path("/proc/self/status").read_text(encoding="ascii"))
    except OSError:
        found = None
    if found:
        return int(found[1]) * 1024
    # Second choice on Linux, where a child process inherits the peak of its parent.
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def _stages(manifests: Sequence[Manifest[StageFacts]]) -> dict[str, object]:
    """The columns that the finished stages determine, whatever came after them."""
    found: dict[str, object] = {"stages": _rows(stage_report(manifest) for manifest in manifests)}
    for manifest in manifests:
        match manifest.facts:
            case VocabularyFacts(words=words):
                found["vocabulary_size"] = words
            case EncodedFacts(corpus_tokens=tokens):
                found["corpus_tokens"] = tokens
            case ModelFacts() as model:
                found["backend"] = model.backend
                found["epochs"] = len(model.epochs)
                found["words_per_second"] = None if manifest.reused else model.words_per_second
            case EvaluationFacts(metrics=metrics):
                found["metrics"] = metrics
    return found


def _result(result: BuildResult) -> dict[str, object]:
    return {
        "outcome": result.outcome.value,
        "reason": _shortened(result.message),
        "version": result.version,
        "files": result.files.files,
        "new_files": len(result.files.new),
        "changed_files": len(result.files.changed),
        "gone_files": len(result.files.gone),
        "refused_by": [verdict["metric"] for verdict in result.verdicts if not verdict["passed"]],
        "stages": _rows(result.stages),
    }


def _rows(stages: Iterable[StageReport]) -> list[dict[str, object]]:
    return [stage.model_dump(exclude={"path"}) for stage in stages]


def _shortened(reason: str) -> str:
    text = " ".join(without_credentials(reason).split())
    return text if len(text) <= LONGEST_REASON else f"{text[: LONGEST_REASON - 1]}…"


def _write(workspace: Workspace, run: RunRow) -> None:
    """Write the record. A failure to write it is logged and does not fail the run."""
    try:
        write_run(workspace, run)
    except (WorkspaceError, OSError) as error:
        logger.warning("cannot write the record of this run: %s", error)
