"""Ranks that are threads of one process: a second implementation of the group, with sums in a fixed order."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import TypeVar

import torch

Result = TypeVar("Result")


class ThreadGroup:
    def __init__(self, rank: int, slots: list[torch.Tensor], barrier: threading.Barrier) -> None:
        self.rank, self.size = rank, barrier.parties
        self._slots, self._barrier = slots, barrier

    def add_up(self, values: torch.Tensor) -> None:
        everyone = self._gathered(values)
        values.copy_(sum(everyone[1:], everyone[0]))

    def start_adding(self, values: torch.Tensor) -> Callable[[], None]:
        return cache(lambda: self.add_up(values))

    def share(self, values: torch.Tensor) -> None:
        values.copy_(self._gathered(values)[0])

    def _gathered(self, values: torch.Tensor) -> list[torch.Tensor]:
        self._slots[self.rank] = values.clone()
        self._barrier.wait(60)
        gathered = list(self._slots)
        self._barrier.wait(60)
        return gathered


def run_ranks(ranks: int, work: Callable[[ThreadGroup], Result]) -> list[Result]:
    """What `work` returns on each rank. Raises the error of a rank that failed, and not that others missed it."""
    slots, barrier = [torch.zeros(0)] * ranks, threading.Barrier(ranks)

    def guarded(rank: int) -> Result:
        try:
            return work(ThreadGroup(rank, slots, barrier))
        except BaseException:
            barrier.abort()
            raise

    with ThreadPoolExecutor(ranks) as pool:
        futures = [pool.submit(guarded, rank) for rank in range(ranks)]
    errors = [error for future in futures if (error := future.exception())]
    for error in sorted(errors, key=lambda error: isinstance(error, threading.BrokenBarrierError)):
        raise error
    return [future.result() for future in futures]
