"""Map a function over parts of the text: on the cores of this machine, or on a Dask cluster. Results come in order."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing import get_context
from typing import Any, Protocol, TypeVar

from storage.errors import CorpusError
from tasks.compute_config import ComputeConfig
from tasks.trainers.backends import available_cores

Kept = TypeVar("Kept")
Argument = TypeVar("Argument")
Result = TypeVar("Result")
# Each holds a few MiB of text and what becomes of it. The single writer can't keep up with more.
MOST_THREADS = 8
LOCAL = ComputeConfig()


class Engine(Protocol):
    """Applies functions to many arguments at once.

    shares_memory: functions run in this process, so they may add to what it holds.
    """

    shares_memory: bool

    @property
    def slots(self) -> int:
        """How many functions run at the same time."""

    def map(
        self,
        function: Callable[..., Result],
        work: Iterable[tuple[Kept, Argument]],
        *common: object,
        holds_lock: bool = False,
    ) -> Iterator[tuple[Kept, Result]]:
        """What is kept of each piece of work with `function(argument, *common)`, in order, a few ahead of the caller.

        common: the same for all arguments; read, never changed.
        holds_lock: the function runs Python code, or must not run in several threads of a process.
        """


class LocalEngine:
    """Threads, and processes for functions that hold Python's lock."""

    shares_memory = True

    @property
    def slots(self) -> int:
        """All cores that this process may use."""
        return available_cores()

    def map(
        self,
        function: Callable[..., Result],
        work: Iterable[tuple[Kept, Argument]],
        *common: object,
        holds_lock: bool = False,
    ) -> Iterator[tuple[Kept, Result]]:
        """As in Engine. Raises CorpusError if a process is killed."""
        if not holds_lock or self.slots == 1:
            workers = 1 if holds_lock else min(self.slots, MOST_THREADS)
            with ThreadPoolExecutor(workers) as threads:
                yield from _in_order(threads, workers, function, work, common)
            return
        # A forked copy of a process with threads may deadlock.
        with ProcessPoolExecutor(self.slots, mp_context=get_context("spawn")) as processes:
            try:
                yield from _in_order(processes, 2 * self.slots, function, work, common)
            except BrokenProcessPool as error:
                raise CorpusError(
                    "a process that tokenizes was killed, probably for lack of memory; run again to resume"
                ) from error
            finally:
                processes.shutdown(wait=False, cancel_futures=True)


def _in_order(
    pool: Executor,
    most: int,
    function: Callable[..., Result],
    work: Iterable[tuple[Kept, Argument]],
    common: tuple[Any, ...],
) -> Iterator[tuple[Kept, Result]]:
    waiting: deque[tuple[Kept, Future[Result]]] = deque()
    for kept, argument in work:
        waiting.append((kept, pool.submit(function, argument, *common)))
        if len(waiting) > most:
            first, future = waiting.popleft()
            yield first, future.result()
    while waiting:
        first, future = waiting.popleft()
        yield first, future.result()


@contextmanager
def opened_engine(config: ComputeConfig, packages: Iterable[str] = ()) -> Iterator[Engine]:
    """The engine of the settings, for the time of a block.

    packages: those that the functions need besides vecmill's own.  Raises what `connected` raises.
    """
    if config.engine == "local":
        yield LocalEngine()
        return
    # Deferred: an extra.
    from tasks.dask_engine import connected

    with connected(str(config.address), packages) as engine:
        yield engine


def check_compute(config: ComputeConfig, packages: Iterable[str] = ()) -> None:
    """Raise, before anything slow starts, what `opened_engine` would raise."""
    with opened_engine(config, packages):
        pass
