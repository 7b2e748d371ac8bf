"""Many tables on one worker, and several runs of one table: they take turns, and none touches what is another's."""

from collections.abc import Iterator
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import yaml
from prefect.client.orchestration import get_client
from prefect.settings import PREFECT_API_URL, temporary_settings

from flows.deployment_file import PREFECT_YAML
from flows.server.deploying import deploy
from storage.layout import Workspace
from storage.releases.publishing import list_releases
from storage.releases.verification import verify_table
from storage.run_history import read_runs
from storage.runs import table_turn
from tests.flows.server_stack import ServerStack, wait_for

pytestmark = pytest.mark.long

TABLES = [f"worker-table-{number}" for number in range(10)]
AT_ONCE = 2
SMALL: dict[str, dict[str, Any]] = {
    "training": {"dimension": 8, "epochs": 1, "workers": 1},
    "vocabulary": {"min_count": 2},
    "evaluation": {"reference": None},
    "report": {"enabled": False},
}


@pytest.fixture
def quiet_stack(stack: ServerStack) -> Iterator[ServerStack]:
    """Without the evaluations that follow each release and would take their turns, too."""
    with temporary_settings({PREFECT_API_URL: f"http://127.0.0.1:{stack.port}/api"}):
        with get_client(sync_client=True) as client:
            (found,) = client.read_automations_by_name("vecmill: evaluate each release")
            client.pause_automation(found.id)
        yield stack
        with get_client(sync_client=True) as client:
            client.resume_automation(found.id)


def write_deployments(folder: Path, news_file: Path, workspaces: list[Path]) -> Path:
    """A prefect.yaml with a deployment for each table: each with another corpus, and the workspaces in turn."""
    articles = news_file.read_text(encoding="utf-8").splitlines(keepends=True)
    content = yaml.safe_load(PREFECT_YAML.read_text(encoding="utf-8"))
    adhoc = next(entry for entry in content["deployments"] if entry["name"] == "adhoc")
    content["deployments"] = []
    for number, table in enumerate(TABLES):
        corpus = folder / f"{table}.txt"
        corpus.write_text(f"{table} is a table . " * 20 + "".join(articles[30 * number : 30 * number + 30]))
        parameters = SMALL | {
            "corpus": {"source": "files", "path": str(corpus)},
            "publication": {"table": table},
            "workspace": str(workspaces[number % len(workspaces)]),
        }
        content["deployments"].append(adhoc | {"name": table, "parameters": parameters})
    own_file = folder / "prefect.yaml"
    own_file.write_text(yaml.safe_dump(content), encoding="utf-8")
    return own_file


def most_at_once(runs: list[dict[str, Any]]) -> int:
    """Highest number of concurrent runs."""
    times = [(datetime.fromisoformat(run["start_time"]), 1) for run in runs]
    times += [(datetime.fromisoformat(run["end_time"]), -1) for run in runs]
    running = most = 0
    for _, change in sorted(times):
        running += change
        most = max(most, running)
    return most


def test_ten_tables_on_one_worker_all_publish_into_their_own_workspaces(
    quiet_stack: ServerStack, news_file: Path, tmp_path: Path
) -> None:
    places = [tmp_path / "one", tmp_path / "two"]
    deploy(f"http://127.0.0.1:{quiet_stack.port}/api", write_deployments(tmp_path, news_file, places))
    ids = {}
    for table in TABLES:
        deployment = quiet_stack.ask(f"deployments/name/build-word-vectors/{table}")["id"]
        ids[table] = quiet_stack.ask(f"deployments/{deployment}/create_flow_run", {})["id"]
    for table, run in ids.items():
        assert quiet_stack.ended(run)["type"] == "COMPLETED", f"{table}: {quiet_stack.log_of(run)}"
    assert most_at_once([quiet_stack.ask(f"flow_runs/{run}") for run in ids.values()]) == AT_ONCE

    for number, place in enumerate(map(Workspace, places)):
        own = TABLES[number :: len(places)]
        assert sorted(path.stem for path in place.tables_root.glob("*.duckdb")) == own
        for table in own:
            assert [release.version for release in list_releases(place, table)] == [1]
            assert not [found.problem for found in verify_table(place, table) if found.problem]
            assert [run.run_id for run in read_runs(place, table)] == [ids[table]]
        assert len(list(place.root.glob("corpora/*/manifest.json"))) == len(own), "each its own text"


def test_runs_of_a_table_wait_or_are_refused_on_the_worker(quiet_stack: ServerStack, news_file: Path) -> None:
    """The table is busy until the runs have met its lock, then both of them publish, one after the other."""
    workspace = Workspace(quiet_stack.workspace)
    own = (
        f"corpus.path={news_file}", "publication.table=busy", "evaluation.reference=none", "report.enabled=false",
        "training.dimension=50", "training.epochs=1",
    )  # fmt: skip

    def waits(run: str) -> bool:
        return "the table 'busy' is being written by another run; waiting for it" in quiet_stack.log_of(run)

    with table_turn(workspace, "busy"):
        refused = quiet_stack.start_run("adhoc", (*own, "publication.when_busy=refuse"))
        waiting = quiet_stack.start_run("adhoc", (*own, "training.seed=1"))
        state = quiet_stack.ended(refused)
        assert state["type"] == "FAILED"
        assert "another run of the table 'busy' is active" in state["message"]
        runs = waiting, quiet_stack.start_run("adhoc", (*own, "training.seed=2"))
        for run in runs:
            wait_for("waiting run", partial(waits, run))
    for run in runs:
        assert quiet_stack.ended(run)["type"] == "COMPLETED", quiet_stack.log_of(run)
    releases = sorted(list_releases(workspace, "busy"), key=lambda release: release.version or 0)
    assert [(release.version, release.current) for release in releases] == [(1, False), (2, True)]


def test_the_server_of_the_worker_listens_on_this_machine_alone(stack: ServerStack) -> None:
    opened = [connection.laddr for process in stack.processes() for connection in process.net_connections("tcp")]
    assert stack.port in {address.port for address in opened}
    assert {address.ip for address in opened} == {"127.0.0.1"}
