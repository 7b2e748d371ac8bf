"""Training on two hosts by torchrun, over a slow link that loses packets: same vectors, and a lost host is named."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import psutil  # type: ignore[import-untyped]
import pytest

from storage.models.matrices import CHECKPOINT, read_vectors
from storage.stages import MANIFEST
from tests.flows.hosts import another_host
from tests.flows.server_stack import free_port

pytestmark = pytest.mark.long

HERE, THERE = "10.77.7.1", "10.77.7.2"
# Bursts of an exchange overflow this queue: what overflows is lost, and TCP sends it again.
LIMIT = "root tbf rate 100mbit burst 16kb limit 40kb"
# And one packet in a hundred is lost on its way.
LOSS = 0.01
SMALL = (
    "training.dimension=64", "training.epochs=2", "training.workers=1", "training.processes=2",
    "training.process_timeout_seconds=20", "publication.table=news", "evaluation.reference=none",
    "report.enabled=false",
)  # fmt: skip


def build(workspace: Path, *settings: str) -> list[str]:
    assignments = [word for setting in (*SMALL, *settings) for word in ("--set", setting)]
    return [str(Path(sys.executable).parent / "vecmill"), "build", "adhoc", "--json", *assignments,
            "--workspace", str(workspace)]  # fmt: skip


def on_hosts(namespace: str, command: list[str], folder: Path) -> list[subprocess.Popen[str]]:
    """The same command under torchrun on both hosts, rank 0 on this one."""
    port = free_port()
    started = []
    for rank, prefix in enumerate(([], ["ip", "netns", "exec", namespace])):
        torchrun = [
            *prefix, sys.executable, "-m", "torch.distributed.run", "--nnodes", "2", "--node-rank", str(rank),
            "--nproc-per-node", "1", "--master-addr", HERE, "--master-port", str(port), "--no-python", *command,
        ]  # fmt: skip
        with (folder / f"rank{rank}.log").open("w") as log:
            started.append(
                subprocess.Popen(torchrun, stdout=subprocess.PIPE, stderr=log, text=True, start_new_session=True)
            )
    return started


def model_of(result: dict[str, object]) -> Path:
    stages = result["stages"]
    assert isinstance(stages, list)
    (path,) = (stage["path"] for stage in stages if stage["name"] == "training")
    return Path(path)


@pytest.mark.parametrize("exchange", ["rows", "tables"])
def test_two_hosts_train_what_two_processes_of_one_train(exchange: str, long_news_file: Path, tmp_path: Path) -> None:
    settings = (f"corpus.path={long_news_file}", f"training.process_exchange={exchange}")
    alone = subprocess.run(build(tmp_path / "one", *settings), stdout=subprocess.PIPE, text=True, check=True)
    expected = read_vectors(model_of(json.loads(alone.stdout.splitlines()[-1])))
    with ExitStack() as stack:
        host = stack.enter_context(another_host(HERE, THERE, LIMIT, LOSS))
        first, second = on_hosts(host, build(tmp_path / "two", *settings), tmp_path)
        try:
            said, _ = first.communicate(timeout=300)
            second.communicate(timeout=60)
        finally:
            stop([first, second])
        assert first.returncode == second.returncode == 0, (tmp_path / "rank0.log").read_text()
        counts = subprocess.run(
            ["ip", "netns", "exec", host, "tc", "-s", "qdisc"], capture_output=True, text=True, check=True
        ).stdout
    overflowed, lost = re.findall(r"(?s)qdisc tbf.*?dropped (\d+).*?qdisc clsact.*?dropped (\d+)", counts)[0]
    assert int(lost) > 0, counts
    np.testing.assert_array_equal(read_vectors(model_of(json.loads(said.splitlines()[-1]))), expected)
    # Merged tables are sent once an epoch, which may fit into the queue.
    assert exchange == "tables" or int(overflowed) > 0, counts


def test_a_lost_host_is_named_and_the_next_run_resumes_alone(long_news_file: Path, tmp_path: Path) -> None:
    settings = (f"corpus.path={long_news_file}", "training.epochs=30", "training.checkpoint_every_seconds=0.3")
    workspace = tmp_path / "shared"
    with ExitStack() as stack:
        host = stack.enter_context(another_host(HERE, THERE, LIMIT))
        first, second = on_hosts(host, build(workspace, *settings), tmp_path)
        try:
            deadline = time.monotonic() + 200
            while not list(workspace.glob(f"models/*/{CHECKPOINT}")):
                assert time.monotonic() < deadline, (tmp_path / "rank0.log").read_text()
                assert first.poll() is None, (tmp_path / "rank0.log").read_text()
                time.sleep(0.2)
            # As if its power had failed: nobody says good-bye.
            subprocess.run(["ip", "netns", "exec", host, "ip", "link", "set", "lo", "down"], check=True)
            stop([second])
            first.communicate(timeout=120)
        finally:
            stop([first, second])
    log = (tmp_path / "rank0.log").read_text()
    assert first.returncode != 0
    assert re.search(rf"error: rank 0: rank 1 at {THERE} no longer answers .*resumes", log), log
    resumed = subprocess.run(
        build(workspace, *settings, "training.processes=1"), stdout=subprocess.PIPE, text=True, check=True
    )
    manifest = json.loads((model_of(json.loads(resumed.stdout.splitlines()[-1])) / MANIFEST).read_text())
    assert manifest["facts"]["processes"]["resumed_from"] == 2


def stop(processes: list[subprocess.Popen[str]]) -> None:
    """Kill what is left of some commands, with all that they have started."""
    for process in processes:
        if process.poll() is None:
            for child in psutil.Process(process.pid).children(recursive=True):
                child.kill()
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
