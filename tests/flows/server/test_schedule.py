"""A table that retrains itself: the schedule fires on a real server, and a real worker publishes, time and again."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import pytest
import yaml
from prefect.settings import PREFECT_API_URL, temporary_settings

from flows.deployment_file import PREFECT_YAML
from flows.server.deploying import deploy
from storage.layout import Workspace
from storage.releases.verification import check_kept_release
from storage.run_history import read_runs
from tests.flows.server_stack import ENDED, ServerStack, wait_for

pytestmark = pytest.mark.long

TABLE = "scheduled-news"
EVERY_SECONDS = 20


@pytest.fixture
def scheduled(stack: ServerStack, news_file: Path, tmp_path: Path) -> Iterator[str]:
    """The weekly deployment of prefect.yaml for another table, with a week of twenty seconds; returns its ID."""
    content = yaml.safe_load(PREFECT_YAML.read_text(encoding="utf-8"))
    weekly = next(entry for entry in content["deployments"] if entry["name"] == "movie-reviews")
    weekly["name"] = TABLE
    weekly["schedules"] = [{"slug": "often", "interval": EVERY_SECONDS}]
    weekly["parameters"] = {
        "corpus": {"source": "files", "path": str(news_file)},
        "training": {"dimension": 16, "epochs": 2, "start_from": "previous"},
        "evaluation": {"reference": None},
        "publication": {"table": TABLE, "gates": {"wordsim353": {"minimum": -1.0, "max_drop": 1.0}}},
        "report": {"map_words": 100, "map_method": "pca"},
    }
    own_file = tmp_path / "prefect.yaml"
    own_file.write_text(yaml.safe_dump(content | {"deployments": [weekly]}), encoding="utf-8")
    server = f"http://127.0.0.1:{stack.port}/api"
    with temporary_settings({PREFECT_API_URL: server}):
        assert TABLE in deploy(server, own_file).deployments
    deployment = str(stack.ask(f"deployments/name/build-word-vectors/{TABLE}")["id"])
    yield deployment
    stack.ask(f"deployments/{deployment}/pause_deployment", {})


def ended_runs(stack: ServerStack, deployment: str) -> list[dict[str, Any]]:
    """The runs of a deployment that have ended, in order of their start."""
    question = {"deployments": {"id": {"any_": [deployment]}}, "sort": "START_TIME_ASC"}
    return [run for run in stack.ask("flow_runs/filter", question) if run["state_type"] in ENDED]


def evaluations(stack: ServerStack) -> dict[str, str]:
    """The names of the runs that scored a release of the table, with their states."""
    runs = stack.ask("flow_runs/filter", {"flows": {"name": {"any_": ["evaluate-release"]}}})
    return {run["name"]: run["state_type"] for run in runs if TABLE in run["name"]}


def test_the_schedule_retrains_from_the_last_release(stack: ServerStack, scheduled: str) -> None:
    runs = wait_for("second scheduled run", lambda: (r := ended_runs(stack, scheduled))[1:] and r)
    stack.ask(f"deployments/{scheduled}/pause_deployment", {})
    first, second = runs[:2]
    for run in (first, second):
        assert run["auto_scheduled"], "only the schedule may start it"
        assert run["state_type"] == "COMPLETED", stack.log_of(run["id"])
    workspace = Workspace(stack.workspace)

    said = stack.vecmill("releases", TABLE, "--json")
    assert said.returncode == 0, said.stderr
    one, two, *later = sorted(json.loads(said.stdout), key=lambda release: release["version"])
    assert (one["version"], two["version"]) == (1, 2)
    assert [release["current"] for release in (one, two, *later)] == [False, *[False] * len(later), True]
    assert one["gates_passed"]
    assert two["gates_passed"]
    for version in (1, 2):
        check_kept_release(workspace.release_file(TABLE, version))
    with duckdb.connect(str(workspace.table_file(TABLE)), read_only=True) as connection:
        assert connection.sql("select count(*) from nearest('police')").fetchall() == [(10,)]

    records = {run.version: run for run in read_runs(workspace, TABLE)}
    assert not next(stage for stage in records[1].stages if stage.name == "training").reused
    reused = {stage.name for stage in records[2].stages if stage.reused}
    assert reused == {"corpus", "tokens", "vocabulary", "encoded", "cooccurrences"}
    assert "wordsim353" in records[2].metrics
    assert "training starts from random vectors" in stack.log_of(first["id"])
    assert re.search(r"starting from v000001\.duckdb .*: \d+ words kept, 0 new, 0 lost", stack.log_of(second["id"]))

    for kind in ("metrics", "summary"):
        found = stack.artifacts(f"{TABLE}-{kind}")
        assert {first["id"], second["id"]} <= {artifact["flow_run_id"] for artifact in found}, kind
    (metrics,) = (a for a in stack.artifacts(f"{TABLE}-metrics") if a["flow_run_id"] == second["id"])
    (verdict,) = (row for row in json.loads(metrics["data"]) if row["metric"] == "wordsim353")
    assert verdict["verdict"] == "passed"
    assert verdict["previous"] == f"{one['metrics']['wordsim353']:.4f}", "compared with the previous release"

    wanted = {f"evaluate {TABLE} {version}" for version in (1, 2)}
    wait_for("evaluation of each release", lambda: wanted <= {n for n, s in evaluations(stack).items() if s in ENDED})
    assert {evaluations(stack)[name] for name in wanted} == {"COMPLETED"}
    assert stack.artifacts(f"{TABLE}-evaluation-metrics")
