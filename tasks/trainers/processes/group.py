"""The ranks that train together, by torch.distributed: how they meet, add up numbers and notice who is missing.

torchrun starts the ranks, sets RANK, WORLD_SIZE, MASTER_ADDR and MASTER_PORT for each, and keeps the store in which
they find each other.
"""

import os
import socket
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import timedelta
from typing import Self

import psutil  # type: ignore[import-untyped]
import torch
from torch import distributed
from torch._C._distributed_c10d import TCPStore
from torch.distributed.distributed_c10d import PrefixStore

# Each rank counts up its own number in the store; a number that stays the same for this long has no process.
BEAT_SECONDS = 1.0
SILENT_SECONDS = 4.0
WAIT_SECONDS = 0.2


class RankLostError(ConnectionError):
    """Another rank, or its host, does not answer. The message names it if this rank can know."""


class ProcessGroup:
    """The ranks, connected. Use as a context; raises RankLostError if a rank does not come or is lost.

    environment: as torchrun sets it.  timeout_seconds: how long to wait for another rank.
    """

    def __init__(self, environment: Mapping[str, str], timeout_seconds: float) -> None:
        self.rank, self.size = int(environment["RANK"]), int(environment["WORLD_SIZE"])
        self._local_size = int(environment.get("LOCAL_WORLD_SIZE", self.size))
        self._host, self._port = environment["MASTER_ADDR"], int(environment["MASTER_PORT"])
        self._timeout = timedelta(seconds=timeout_seconds)
        self._ended = threading.Event()

    def __enter__(self) -> Self:
        self._store = self._find_store()
        address = own_address(self._host, self._port)
        self._store.set(f"vecmill/host/{self.rank}", address)
        self._beating = threading.Thread(target=self._beat, daemon=True)
        self._beating.start()
        return self

    def __exit__(self, *details: object) -> None:
        self._ended.set()
        if distributed.is_initialized():
            # A lost rank makes this fail.
            with suppress(RuntimeError):
                distributed.destroy_process_group()

    def publish(self, key: str, value: str) -> None:
        """Leave a value for all ranks."""
        self._store.set(key, value)

    def read(self, key: str) -> str:
        """A value that a rank has left or will leave; waits for it, however long that takes."""
        while not self.is_published(key):
            self._ended.wait(WAIT_SECONDS)
        return str(self._store.get(key).decode())

    def is_published(self, key: str) -> bool:
        """Whether a rank has left a value. Raises RankLostError if the meeting point is gone."""
        try:
            return bool(self._store.check([key]))
        except RuntimeError as error:
            raise RankLostError(f"{self._host}:{self._port}, where the ranks meet, no longer answers") from error

    def connect(self, device: str = "cpu") -> None:
        """Connect to all other ranks. Raises RankLostError naming those that do not come or cannot be reached.

        device: of what is added up: "cpu" (gloo) or "cuda" (nccl, one GPU for each rank of a host).
        """
        for rank in range(self.size):
            self._wait_for(rank)
        # On every host, however torchrun was started: the rounding of torch's products depends on the number of
        # threads, and more than one would take cores from the training.
        torch.set_num_threads(1)
        # Otherwise gloo takes the interface that the host's own name resolves to, often the loopback.
        interface = interface_of(own_address(self._host, self._port))
        if interface is not None:
            os.environ.setdefault("GLOO_SOCKET_IFNAME", interface)
            os.environ.setdefault("NCCL_SOCKET_IFNAME", interface)
        if device == "cuda":
            torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")))
        try:
            distributed.init_process_group(
                "nccl" if device == "cuda" else "gloo",
                store=PrefixStore("vecmill", self._store),
                rank=self.rank,
                world_size=self.size,
                timeout=self._timeout,
            )
        except RuntimeError as error:
            others = {self._address(rank) for rank in range(self.size) if rank != self.rank}
            raise RankLostError(
                f"rank {self.rank} cannot connect to the ranks at {', '.join(sorted(others))} within "
                f"{self._timeout.total_seconds():g} seconds: {_first_line(error)}"
            ) from error

    def add_up(self, values: torch.Tensor) -> None:
        """Replace the values by their sum over all ranks, the same bits on each."""
        self.start_adding(values)()

    def start_adding(self, values: torch.Tensor) -> Callable[[], None]:
        """Start replacing the values by their sum over all ranks. Returns a function that waits for the sum.

        Both may raise RankLostError. All ranks start their sums in the same order.
        """
        try:
            work = distributed.all_reduce(values, async_op=True)
        except RuntimeError as error:
            raise RankLostError(self._loss(error)) from error

        def wait() -> None:
            try:
                work.wait()
            except RuntimeError as error:
                raise RankLostError(self._loss(error)) from error

        return wait

    def share(self, values: torch.Tensor) -> None:
        """Replace the values by those of rank 0."""
        try:
            distributed.broadcast(values, src=0)
        except RuntimeError as error:
            raise RankLostError(self._loss(error)) from error

    def _find_store(self) -> TCPStore:
        # torchrun's agent keeps the store; with its static rendezvous, rank 0 does.
        served = os.environ.get("TORCHELASTIC_USE_AGENT_STORE") != "True" and self.rank == 0
        try:
            return TCPStore(self._host, self._port, None, served, self._timeout, wait_for_workers=False)
        except RuntimeError as error:
            raise RankLostError(
                f"rank {self.rank} cannot reach {self._host}:{self._port}, where the ranks meet, within "
                f"{self._timeout.total_seconds():g} seconds: {_first_line(error)}"
            ) from error

    def _wait_for(self, rank: int) -> None:
        try:
            self._store.wait([f"vecmill/host/{rank}"], self._timeout)
        except RuntimeError as error:
            raise RankLostError(
                f"rank {rank} of {self.size} has not reached {self._host}:{self._port} within "
                f"{self._timeout.total_seconds():g} seconds; is its torchrun running, and is that address reachable "
                "from its host?"
            ) from error

    def _address(self, rank: int) -> str:
        return str(self._store.get(f"vecmill/host/{rank}").decode())

    def _beat(self) -> None:
        store = self._store.clone()  # type: ignore[attr-defined]  # missing in the stubs of torch 2.13
        with suppress(RuntimeError):
            while not self._ended.wait(BEAT_SECONDS):
                store.add(f"vecmill/beats/{self.rank}", 1)

    def _loss(self, error: RuntimeError) -> str:
        """Which ranks no longer answer."""
        found = _first_line(error)
        try:
            before = self._beats()
            threading.Event().wait(SILENT_SECONDS)
            silent = [rank for rank, count in self._beats().items() if before[rank] == count]
            lost = ", ".join(f"rank {rank} at {self._address(rank)}" for rank in silent)
        except RuntimeError:
            lost = f"the host of the ranks' meeting point, {self._host}:{self._port},"
        return f"{lost or 'a rank'} no longer answers ({found})"

    def _beats(self) -> dict[int, int]:
        return {
            rank: int(self._store.add(f"vecmill/beats/{rank}", 0)) for rank in range(self.size) if rank != self.rank
        }


def own_address(host: str, port: int) -> str:
    """The address from which this host reaches another. Sends nothing."""
    family, kind, _, _, target = socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM)[0]
    with socket.socket(family, kind) as probe:
        probe.connect(target)
        return str(probe.getsockname()[0])


def interface_of(address: str) -> str | None:
    """The network interface with this address, if there is one."""
    for name, addresses in psutil.net_if_addrs().items():
        if any(entry.address == address for entry in addresses):
            return str(name)
    return None


def _first_line(error: BaseException) -> str:
    return next(iter(str(error).splitlines()), type(error).__name__)
