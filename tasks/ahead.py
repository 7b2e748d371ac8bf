"""Work on several cores with results in order."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

from tasks.trainers.backends import available_cores

Item = TypeVar("Item")
Result = TypeVar("Result")
# Each holds a few MiB of text and what becomes of it. The single writer can't keep up with more.
MOST_WORKERS = 8


def map_ahead(function: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[tuple[Item, Result]]:
    """Each item with the function's result, in order, computed a few items ahead in threads.

    This pays where the function releases the GIL, as Arrow's and Numba's kernels do.
    """
    workers = min(available_cores(), MOST_WORKERS)
    waiting: deque[tuple[Item, Future[Result]]] = deque()
    with ThreadPoolExecutor(workers) as threads:
        for item in items:
            waiting.append((item, threads.submit(function, item)))
            if len(waiting) > workers:
                first, result = waiting.popleft()
                yield first, result.result()
        while waiting:
            first, result = waiting.popleft()
            yield first, result.result()
