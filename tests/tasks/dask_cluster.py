"""A Dask cluster of real processes on this machine: a scheduler and workers that can be killed."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path


class Cluster:
    """Ended by `close`. extra: options of both commands."""

    def __init__(self, folder: Path, workers: int, *extra: str) -> None:
        self._folder, self._extra = folder, extra
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

    def close(self) -> None:
        """Kill what still runs."""
        for process in (*self.workers, self.scheduler):
            process.kill()
            process.wait()

    def _start(self, command: str, *options: str, **environment: str) -> subprocess.Popen[bytes]:
        with (self._folder / f"{command}.log").open("ab") as log:
            return subprocess.Popen(
                [sys.executable, "-m", "dask", command, *options, *self._extra],
                stdout=log, stderr=log, env=os.environ | environment, cwd=self._folder,
            )  # fmt: skip
