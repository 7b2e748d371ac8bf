"""A Dask cluster of real processes on this machine: a scheduler and workers that can be killed."""

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path


class Cluster:
    """Ended by `close`. options: of both commands.  environment: of all processes."""

    def __init__(self, folder: Path, workers: int, options: Sequence[str] = (), **environment: str) -> None:
        self._folder, self._options, self._environment = folder, options, environment
        self._file = folder / "scheduler.json"
        self.scheduler = self._start("scheduler", "--host", "127.0.0.1", "--port", "0", "--no-dashboard",
                                     "--scheduler-file", str(self._file))  # fmt: skip
        self.workers = [self.add_worker() for _ in range(workers)]

    @property
    def address(self) -> str:
        """Of the scheduler, once it listens."""
        deadline = time.monotonic() + 60
        while not self._file.exists() or not self._file.read_text():
            assert self.scheduler.poll() is None, (self._folder / "scheduler.log").read_text()
            assert time.monotonic() < deadline
            time.sleep(0.05)
        found: str = json.loads(self._file.read_text())["address"]
        return found

    def add_worker(self, **environment: str) -> subprocess.Popen[bytes]:
        """Start a worker of one thread; it joins some seconds later."""
        return self._start(
            "worker", "--scheduler-file", str(self._file), "--no-nanny", "--nthreads", "1", "--no-dashboard",
            "--local-directory", str(self._folder), **environment,
        )  # fmt: skip

    def worker_address(self) -> str:
        """Of a worker, once one has started."""
        log = self._folder / "worker.log"
        for _ in range(600):
            if found := re.search(r"Start worker at: +(\S+)", log.read_text()):
                return found[1]
            time.sleep(0.1)
        raise AssertionError(log.read_text())

    def close(self) -> None:
        """Kill what still runs."""
        for process in (*self.workers, self.scheduler):
            process.kill()
            process.wait()

    def _start(self, command: str, *options: str, **environment: str) -> subprocess.Popen[bytes]:
        with (self._folder / f"{command}.log").open("ab") as log:
            return subprocess.Popen(
                [sys.executable, "-m", "dask", command, *options, *self._options],
                stdout=log, stderr=log, env=os.environ | self._environment | environment, cwd=self._folder,
            )  # fmt: skip
