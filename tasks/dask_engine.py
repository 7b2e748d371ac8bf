"""The engine that computes on a Dask cluster, whose workers need neither the workspace nor the corpus.

Text travels to the workers inside the tasks, and what becomes of it travels back. So the scheduler can run a task of a
killed worker again elsewhere, and this process alone reads and writes files, as it does without a cluster.
"""

# Dask's client has few types.
# mypy: disable-error-code="no-untyped-call"

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import CancelledError, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from threading import Lock
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pyarrow as pa

from storage.errors import ComputeError, SettingsError
from tasks.engine import Argument, Kept, Result
from tasks.installed import MISSING, installed_versions

if TYPE_CHECKING:
    from distributed import Client
    from distributed import Future as DaskFuture

logger = logging.getLogger(__name__)

# Those whose versions can change what is computed, or that must match for a connection.
PACKAGES = ("numpy", "pyarrow", "dask", "distributed")
CONNECT_SECONDS = 10
FIRST_WORKER_SECONDS = 10
# How long a run waits for a worker when all have gone.
LOST_WORKERS_SECONDS = 60
POLL_SECONDS = 2
CLOSE_SECONDS = 5
# A worker imports vecmill first.
ANSWER_SECONDS = 60
# Tasks in flight: some run and some wait on their worker, so that no worker waits for the network.
TASKS_PER_THREAD = 2
# Arguments of the tasks in flight; the scheduler holds them too.
MOST_BYTES = 512 << 20
SHOWN_DIFFERENCES = 5
REMEDY = "install the same versions on all workers, for example from one container image"
USE_LOCAL = "or use compute.engine=local"
# For functions that must not run in several threads of a process.
_one_at_a_time = Lock()


@dataclass(frozen=True)
class _Call:
    """A function with its argument, which Dask doesn't look into. expected: versions that its worker must have."""

    function: Callable[..., Any]
    argument: Any
    holds_lock: bool
    expected: dict[str, str]


@dataclass(frozen=True)
class _Common:
    """Arguments of all calls of a map, sent to each worker once."""

    values: tuple[Any, ...]


def _same(common: _Common) -> _Common:
    return common


def _run(call: _Call, common: _Common) -> Any:  # noqa: ANN401
    """Run a call on a worker, which may have joined the cluster after the check of all workers."""
    found = installed_versions(_packages(call.expected))
    if differences := list(_differences("a worker that has joined", found, call.expected)):
        raise ComputeError(f"the Dask workers changed: {'; '.join(differences)}; {REMEDY}")
    if call.holds_lock:
        with _one_at_a_time:
            return call.function(call.argument, *common.values)
    return call.function(call.argument, *common.values)


class DaskEngine:
    """Computes on the workers of a cluster."""

    shares_memory = False

    def __init__(self, client: "Client", address: str, expected: dict[str, str]) -> None:
        self._client, self._address, self._expected = client, address, expected
        self._threads, self._counted, self._workers_seen = 0, 0.0, time.monotonic()

    @property
    def slots(self) -> int:
        """Threads of all workers, which may come and go, but at least 1."""
        if time.monotonic() - self._counted > POLL_SECONDS:
            self._count_threads()
        return max(1, self._threads)

    def _count_threads(self) -> None:
        with self._lost():
            self._threads = sum(self._client.nthreads().values())
        self._counted = time.monotonic()
        self._workers_seen = self._counted if self._threads else self._workers_seen

    def map(
        self,
        function: Callable[..., Result],
        work: Iterable[tuple[Kept, Argument]],
        *common: object,
        holds_lock: bool = False,
    ) -> Iterator[tuple[Kept, Result]]:
        """As in Engine. Raises ComputeError if the cluster is lost or its workers keep dying."""
        waiting: deque[tuple[Kept, int, DaskFuture[Result]]] = deque()
        # A task and not scattered data, so that the scheduler can make it again.
        shared = self._client.submit(_same, _Common(common), pure=False)
        size = 0
        try:
            for kept, argument in work:
                call = _Call(function, _compact(argument), holds_lock, self._expected)
                future = self._client.submit(_run, call, shared, key=f"{function.__name__}-{uuid4()}", pure=False)
                waiting.append((kept, _size(argument), future))
                size += _size(argument)
                while len(waiting) > TASKS_PER_THREAD * self.slots or (size > MOST_BYTES and len(waiting) > 1):
                    first, freed, future = waiting.popleft()
                    yield first, self._result(future)
                    size -= freed
            while waiting:
                first, _, future = waiting.popleft()
                yield first, self._result(future)
        finally:
            for _, _, future in waiting:
                future.release()

    def _result(self, future: "DaskFuture[Result]") -> Result:
        from distributed import KilledWorker

        try:
            while True:
                with self._lost():
                    try:
                        return future.result(timeout=POLL_SECONDS)
                    except TimeoutError:
                        if future.done():  # just now, or the function itself has raised it
                            return future.result()
                self._check_workers_left()
        except KilledWorker as error:
            raise ComputeError(
                f"several workers of the Dask cluster at {self._address} died on the same part of the text, probably "
                "for lack of memory; start workers with more memory or fewer threads, and run again"
            ) from error

    def _check_workers_left(self) -> None:
        self._count_threads()
        if time.monotonic() - self._workers_seen > LOST_WORKERS_SECONDS:
            raise ComputeError(
                f"the Dask cluster at {self._address} has lost all its workers, and none has come back for "
                f"{LOST_WORKERS_SECONDS} s; start workers with `dask worker {self._address}` and run again"
            )

    @contextmanager
    def _lost(self) -> Iterator[None]:
        try:
            yield
        except (CancelledError, OSError) as error:
            raise ComputeError(
                f"lost the connection to the Dask scheduler at {self._address}; finished stages are kept, run again to "
                "resume"
            ) from error


@contextmanager
def connected(address: str, packages: Iterable[str]) -> Iterator[DaskEngine]:
    """A cluster whose workers have the same versions as this process.

    packages: those that the functions need besides vecmill's own.  Raises SettingsError without the extra `dask`, and
    ComputeError if the scheduler cannot be reached, has no workers, or a worker has other versions.
    """
    try:
        from distributed import Client
    except ImportError as error:
        raise SettingsError(f"compute.engine=dask needs {error.name}: pip install 'vecmill[dask]'") from error
    _quiet_logs()
    expected = installed_versions((*PACKAGES, *packages))
    # Dask's client waits without limit for what accepts its connection and does not answer.
    with ThreadPoolExecutor(1) as thread:
        thread.submit(asyncio.run, _check_scheduler(address)).result()
    try:
        client = Client(address, timeout=CONNECT_SECONDS, set_as_default=False, name="vecmill")
    except (OSError, TimeoutError) as error:
        raise _unreachable(address, error) from error
    try:
        _check_workers(client, address, expected)
        yield DaskEngine(client, address, expected)
    finally:
        # Of a scheduler that has gone.
        with suppress(OSError, TimeoutError):
            client.close(timeout=CLOSE_SECONDS)


def _quiet_logs() -> None:
    """Drop what Dask logs to the terminal, unless its own settings ask for it: what fails is raised."""
    import dask

    if "logging" not in dask.config.config:
        for name in ("distributed", "distributed.client"):
            logging.getLogger(name).setLevel(logging.CRITICAL)


async def _check_scheduler(address: str) -> None:
    """Raise ComputeError unless a Dask scheduler answers at the address."""
    from distributed import Security
    from distributed.core import rpc

    async def identity() -> dict[str, Any]:
        arguments = Security().get_connection_args("client")
        async with rpc(address, timeout=CONNECT_SECONDS, connection_args=arguments) as scheduler:
            found: dict[str, Any] = await scheduler.identity()
            return found

    try:
        found = await asyncio.wait_for(identity(), CONNECT_SECONDS)
    except TypeError as error:
        raise ComputeError(
            f"{address} needs certificates: set distributed.comm.tls in Dask's configuration, or the environment "
            "variables DASK_DISTRIBUTED__COMM__TLS__CA_FILE, DASK_DISTRIBUTED__COMM__TLS__CLIENT__CERT and "
            "DASK_DISTRIBUTED__COMM__TLS__CLIENT__KEY"
        ) from error
    except (OSError, EOFError, ValueError) as error:
        raise _unreachable(address, error) from error
    if found.get("type") != "Scheduler":
        raise ComputeError(
            f"{address} is a Dask {found.get('type', 'process')}, not a scheduler; set compute.address to the address "
            "that `dask scheduler` prints"
        )


def _unreachable(address: str, error: Exception) -> ComputeError:
    reason = f" ({error.__cause__ or error})" if str(error) else ""
    return ComputeError(
        f"no Dask scheduler answers at {address} within {CONNECT_SECONDS} s{reason}; start `dask scheduler`, correct "
        f"compute.address, {USE_LOCAL}"
    )


def _check_workers(client: "Client", address: str, expected: dict[str, str]) -> None:
    """Raise ComputeError if there are no workers, one does not answer, or one has other versions."""
    try:
        client.wait_for_workers(1, timeout=FIRST_WORKER_SECONDS)
    except TimeoutError as error:
        raise ComputeError(
            f"the Dask cluster at {address} has no workers; start one with `dask worker {address}`, {USE_LOCAL}"
        ) from error
    try:
        answers = client.run(
            installed_versions, _packages(expected), on_error="return", callback_timeout=ANSWER_SECONDS
        )
    except (OSError, TimeoutError) as error:
        raise ComputeError(
            f"not all workers of the Dask cluster at {address} answer within {ANSWER_SECONDS} s; restart them, "
            f"{USE_LOCAL}"
        ) from error
    differences: list[str] = []
    for worker, found in sorted(answers.items()):
        if isinstance(found, dict):
            differences += _differences(worker, found, expected)
        elif isinstance(found, ImportError):
            differences.append(f"vecmill is {MISSING} or of another version on {worker} ({found})")
        else:
            differences.append(f"{worker} does not answer ({found})")
    if differences:
        more = f" and {len(differences) - SHOWN_DIFFERENCES} more" if len(differences) > SHOWN_DIFFERENCES else ""
        raise ComputeError(
            f"the workers of the Dask cluster at {address} differ from this process: "
            f"{'; '.join(differences[:SHOWN_DIFFERENCES])}{more}; {REMEDY}, {USE_LOCAL}"
        )
    threads = client.nthreads()
    logger.info("Dask at %s: %d workers with %d threads", address, len(threads), sum(threads.values()))


def _packages(versions: dict[str, str]) -> tuple[str, ...]:
    return tuple(name for name in versions if name not in ("python", "vecmill"))


def _differences(worker: str, found: dict[str, str], expected: dict[str, str]) -> Iterator[str]:
    for name, version in expected.items():
        if found[name] != version:
            yield f"{name} is {found[name]} on {worker} and {version} here"


def _compact(argument: Argument) -> Argument:
    """The argument without what a slice of an Arrow array would take along."""
    return pa.concat_arrays([argument]) if isinstance(argument, pa.Array) else argument


def _size(argument: object) -> int:
    return int(getattr(argument, "nbytes", 0))
