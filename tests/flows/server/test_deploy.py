"""The deployments on a real Prefect server with a real worker: deployed, scheduled, run, published."""

import json
import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import duckdb
import pytest

pytestmark = [pytest.mark.long, pytest.mark.timeout(600)]

ROOT = Path(__file__).resolve().parents[3]
PREFECT = [sys.executable, "-m", "prefect"]


def wait_for(what: str, ready: Callable[[], Any], seconds: float) -> Any:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if found := ready():
            return found
        time.sleep(0.1)
    raise AssertionError(f"no {what} within {seconds} s")


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    home = tmp_path_factory.mktemp("prefect-home")
    own = {
        "PREFECT_HOME": str(home),
        "PREFECT_API_URL": f"http://127.0.0.1:{port}/api",
        "PREFECT_SERVER_API_PORT": str(port),
        "PREFECT_LOGGING_TO_API_ENABLED": "true",
        "PREFECT_WORKER_QUERY_SECONDS": "1",
        "VECMILL_WORKSPACE": str(tmp_path_factory.mktemp("workspace")),
    }
    return dict(os.environ) | own


@pytest.fixture(scope="module")
def api(environment: dict[str, str]) -> Iterator[Callable[[str, dict[str, Any]], Any]]:
    server = subprocess.Popen([*PREFECT, "server", "start"], env=environment, cwd=environment["PREFECT_HOME"])

    def ask(path: str, question: dict[str, Any]) -> Any:
        request = urllib.request.Request(
            f"{environment['PREFECT_API_URL']}/{path}",
            data=json.dumps(question).encode(),
            headers={"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=10) as answer:
            return json.load(answer)

    def healthy() -> bool:
        try:
            with urllib.request.urlopen(f"{environment['PREFECT_API_URL']}/health", timeout=2) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False

    try:
        wait_for("server", healthy, 120)
        yield ask
    finally:
        server.terminate()
        server.wait(30)


@pytest.fixture(scope="module")
def deployed(environment: dict[str, str], api: Callable[..., Any]) -> Iterator[None]:
    pool = [*PREFECT, "work-pool", "create", "local", "--type", "process"]
    subprocess.run(pool, env=environment, check=True, timeout=120)
    deploy = [*PREFECT, "--no-prompt", "deploy", "--all"]
    subprocess.run(deploy, env=environment, cwd=ROOT, check=True, timeout=300)
    worker = subprocess.Popen([*PREFECT, "worker", "start", "--pool", "local"], env=environment, cwd=ROOT)
    try:
        yield
    finally:
        worker.terminate()
        worker.wait(60)


@pytest.mark.usefixtures("deployed")
def test_deploying_schedules_the_weekly_run(api: Callable[..., Any]) -> None:
    """With the wrong SQLAlchemy the deployment exists but its runs never start."""
    runs = wait_for(
        "scheduled run",
        lambda: api("flow_runs/filter", {"flow_runs": {"state": {"type": {"any_": ["SCHEDULED"]}}}}),
        120,
    )
    assert all(run["auto_scheduled"] for run in runs)


@pytest.mark.usefixtures("deployed")
def test_a_worker_runs_a_deployment_and_publishes(
    environment: dict[str, str], api: Callable[..., Any], news_file: Path
) -> None:
    parameters = {
        "corpus": {"source": "files", "path": str(news_file)},
        "training": {"dimension": 16, "epochs": 2},
        "publication": {"table": "news"},
        "report": {"map_words": 100, "map_method": "pca"},
    }
    given = [part for name, value in parameters.items() for part in ("--param", f"{name}={json.dumps(value)}")]
    run = [*PREFECT, "deployment", "run", "build-word-vectors/adhoc", *given]
    subprocess.run(run, env=environment, check=True, timeout=120)

    def ended() -> Any:
        runs = api("flow_runs/filter", {"flow_runs": {"state": {"type": {"any_": ["COMPLETED", "FAILED", "CRASHED"]}}}})
        return runs and runs[0]

    finished = wait_for("finished run", ended, 300)
    assert finished["state_type"] == "COMPLETED", finished["state"]["message"]
    assert finished["name"].startswith("news 20")

    table = Path(environment["VECMILL_WORKSPACE"]) / "tables" / "news.duckdb"
    with duckdb.connect(str(table), read_only=True) as connection:
        assert len(connection.sql("from nearest('police')").fetchall()) == 10

    artifacts = {artifact["key"]: artifact for artifact in api("artifacts/filter", {})}
    assert set(artifacts) == {"news-metrics", "news-summary", "training-progress"}
    metrics = {row["metric"]: row for row in json.loads(artifacts["news-metrics"]["data"])}
    assert set(metrics) >= {"wordsim353", "simlex999", "google_analogies", "neighbor_overlap"}
    assert 0 < float(metrics["wordsim353"]["coverage"]) < 1
    assert artifacts["training-progress"]["data"] == 100.0
    logs = api("logs/filter", {"logs": {"flow_run_id": {"any_": [finished["id"]]}}})
    assert any("mean loss" in line["message"] for line in logs)
