"""Prefect's own commands deploy, schedule and run the deployments, on a real server with a real worker."""

import json
import re
import subprocess
import sys
from pathlib import Path

import duckdb
import pytest

from storage.layout import Workspace
from tests.flows.server_stack import ServerStack, wait_for

pytestmark = pytest.mark.long

ROOT = Path(__file__).resolve().parents[3]
TABLE = "news"


def prefect(stack: ServerStack, *arguments: str) -> str:
    """Run a command of Prefect's, with the project's prefect.yaml; returns what it prints."""
    environment = stack.environment | {"PREFECT_API_URL": f"http://127.0.0.1:{stack.port}/api"}
    called = subprocess.run(
        [sys.executable, "-m", "prefect", *arguments], env=environment, cwd=ROOT, capture_output=True, text=True,
        check=False, timeout=300,
    )  # fmt: skip
    assert called.returncode == 0, called.stdout + called.stderr
    return called.stdout


def test_a_worker_runs_what_prefect_deployed_and_publishes(stack: ServerStack, news_file: Path) -> None:
    prefect(stack, "--no-prompt", "deploy", "--all")
    # With the wrong SQLAlchemy the deployment exists but its runs never start.
    weekly = stack.ask("deployments/name/build-word-vectors/movie-reviews")["id"]
    planned = wait_for(
        "scheduled run", lambda: stack.ask("flow_runs/filter", {"deployments": {"id": {"any_": [weekly]}}})
    )
    assert all(run["auto_scheduled"] for run in planned)

    parameters = {
        "corpus": {"source": "files", "path": str(news_file)},
        "training": {"dimension": 12, "epochs": 2},
        "publication": {"table": TABLE},
        "report": {"map_words": 100, "map_method": "pca"},
    }
    given = [part for name, value in parameters.items() for part in ("--param", f"{name}={json.dumps(value)}")]
    said = prefect(stack, "deployment", "run", "build-word-vectors/adhoc", *given)
    (run,) = re.findall(r"UUID: ([0-9a-f-]{36})", said)
    assert stack.ended(run)["type"] == "COMPLETED", stack.log_of(run)
    assert stack.ask(f"flow_runs/{run}")["name"].startswith(f"{TABLE} 20")

    with duckdb.connect(str(Workspace(stack.workspace).table_file(TABLE)), read_only=True) as connection:
        assert len(connection.sql("from nearest('police')").fetchall()) == 10

    question = {"artifacts": {"flow_run_id": {"any_": [run]}}}
    artifacts = {artifact["key"]: artifact for artifact in stack.ask("artifacts/filter", question)}
    assert set(artifacts) == {"news-metrics", "news-summary", "training-progress"}
    metrics = {row["metric"]: row for row in json.loads(artifacts["news-metrics"]["data"])}
    assert set(metrics) >= {"wordsim353", "simlex999", "google_analogies", "neighbor_overlap"}
    assert 0 < float(metrics["wordsim353"]["coverage"]) < 1
    assert artifacts["training-progress"]["data"] == 100.0
    wait_for("log line", lambda: "mean loss" in stack.log_of(run))
