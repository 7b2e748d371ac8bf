"""The `vecmill` command as people and programs call it: a separate process, from another folder."""

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest

TEXT = (
    "training.dimension=16", "training.epochs=2", "training.workers=1", "publication.table=news",
    "report.enabled=false",
)  # fmt: skip


def vecmill(*arguments: str, cwd: Path, timeout: float = 240, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "flows", *arguments],
        cwd=cwd,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )


def options(corpus: Path, *settings: str) -> list[str]:
    assignments = [f"corpus.path={corpus}", *TEXT, *settings]
    return [word for assignment in assignments for word in ("--set", assignment)]


def test_the_deployments_are_listed_from_any_folder(tmp_path: Path) -> None:
    listed = vecmill("list", "--json", cwd=tmp_path)
    assert listed.returncode == 0
    names = [deployment["name"] for deployment in json.loads(listed.stdout)]
    assert names[:4] == ["movie-reviews", "text8", "ptb", "adhoc"]
    assert "movie-reviews" in vecmill("list", cwd=tmp_path).stdout


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["build", "no-such"], 2, "no deployment 'no-such'"),
        (["build", "adhoc", "--set", "training.epocs=3"], 2, "did you mean epochs?"),
        (["build"], 2, "Missing argument"),
        (["build", "adhoc", "--set", "corpus.path=none.txt"], 1, "none.txt"),
        (["nearest", "no-table", "word"], 1, "no-table"),
        (["nearest", "../escape", "word"], 2, "is not a valid table name"),
        (["releases", "no-table"], 1, "no-table"),
    ],
)
def test_errors_are_named_and_set_the_exit_code(tmp_path: Path, arguments: list[str], code: int, message: str) -> None:
    finished = vecmill(*arguments, cwd=tmp_path)
    assert finished.returncode == code, finished.stderr
    assert message in " ".join(finished.stderr.split())
    assert "Traceback" not in finished.stderr


def test_the_doctor_reports_versions_backends_and_disk(tmp_path: Path) -> None:
    found = {f["name"]: f for f in json.loads(vecmill("doctor", "--json", cwd=tmp_path).stdout)}
    assert found["duckdb"]["good"]
    assert found["backend numba"]["good"]
    assert "GiB free" in found["disk"]["found"]
    assert "workspace" in vecmill("doctor", cwd=tmp_path).stdout


def test_a_build_ends_with_one_json_object_and_the_table_can_be_queried(news_file: Path, tmp_path: Path) -> None:
    built = vecmill("build", "adhoc", "--json", *options(news_file), cwd=tmp_path, VECMILL_WORKSPACE="my workspace")
    assert built.returncode == 0, built.stderr
    result = json.loads(built.stdout.splitlines()[-1])
    assert result["version"] == 1
    assert result["release_path"] == str(tmp_path / "my workspace" / "tables" / "news.duckdb")
    assert set(result["training"]) == {"backend", "seconds", "words_per_second", "epochs"}
    assert {"wordsim353", "simlex999_coverage", "neighbor_overlap_random"} <= set(result["metrics"])
    assert "epoch 2: mean loss" in built.stderr

    workspace = str(tmp_path / "my workspace")
    nearest = vecmill("nearest", "news", "police", "-k", "3", "--json", "--workspace", workspace, cwd=tmp_path)
    assert len(json.loads(nearest.stdout)) == 3
    unknown = vecmill("nearest", "news", "qqqq", "--workspace", workspace, cwd=tmp_path)
    assert unknown.returncode == 1
    assert "qqqq" in unknown.stderr
    releases = json.loads(vecmill("releases", "news", "--json", "--workspace", workspace, cwd=tmp_path).stdout)
    assert [release["version"] for release in releases] == [1]

    before = recorded_runs()
    refused = vecmill(
        "build", "adhoc", "--json", "--workspace", workspace,
        *options(news_file, "training.seed=2", "publication.gates.wordsim353.minimum=0.99"), cwd=tmp_path,
    )  # fmt: skip
    assert refused.returncode == 1
    assert "below the minimum 0.99" in " ".join(refused.stderr.split())
    assert json.loads(refused.stdout.splitlines()[-1])["published"] is False

    people = vecmill("build", "adhoc", *options(news_file), "--workspace", workspace, cwd=tmp_path)
    assert people.returncode == 0, people.stderr
    assert "version 1 already holds this model" in people.stdout
    assert people.stderr.count("reused") == 7, people.stderr
    # Nothing was new, so Prefect was not needed.
    assert recorded_runs() == before + 1


def recorded_runs() -> int:
    """Flow runs in the database of Prefect's temporary servers."""
    home = Path(os.environ.get("PREFECT_HOME", Path.home() / ".prefect"))
    with closing(sqlite3.connect(home / "prefect.db")) as database:
        ((runs,),) = database.execute("SELECT count(*) FROM flow_run").fetchall()
    return int(runs)


def start_training(corpus: Path, cwd: Path, *settings: str) -> subprocess.Popen[str]:
    """A build that has just trained an epoch and would go on for minutes."""
    process = subprocess.Popen(
        [sys.executable, "-m", "flows", "build", "adhoc", *options(corpus, "training.epochs=1000", *settings)],
        cwd=cwd,
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
    )
    assert process.stderr
    for line in process.stderr:
        if "mean loss" in line:
            return process
    raise AssertionError("the build ended before an epoch did")


@pytest.mark.long
def test_ctrl_c_ends_within_seconds_and_the_next_run_goes_on(news_file: Path, tmp_path: Path) -> None:
    process = start_training(news_file, tmp_path)
    os.killpg(process.pid, signal.SIGINT)  # a terminal sends it to the whole group
    started = time.monotonic()
    _, said = process.communicate(timeout=60)
    assert time.monotonic() - started < 5
    assert process.returncode == 130  # as shells count a process that ended by Ctrl-C
    assert "finished stages are kept" in said
    assert "checkpoint" in said
    assert "Traceback" not in said


@pytest.mark.long
def test_a_killed_training_goes_on_from_its_checkpoint(news_file: Path, tmp_path: Path) -> None:
    """SIGKILL leaves no time to save anything; what Ctrl-C saved before it is still there, and no lock is."""
    stopped = start_training(news_file, tmp_path)
    os.killpg(stopped.pid, signal.SIGINT)
    stopped.communicate(timeout=60)
    killed = start_training(news_file, tmp_path)
    os.killpg(killed.pid, signal.SIGKILL)
    killed.communicate()
    assert not list((tmp_path / "workspace" / "models").glob("*/manifest.json"))
    (partial,) = (tmp_path / "workspace" / "models").glob("*.partial")
    assert (partial / "checkpoint.safetensors").is_file()
    third = subprocess.Popen(
        [sys.executable, "-m", "flows", "build", "adhoc", *options(news_file, "training.epochs=1000")],
        cwd=tmp_path, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True, start_new_session=True,
    )  # fmt: skip
    assert third.stderr
    said = []
    for line in third.stderr:
        said.append(line)
        if "mean loss" in line:
            break
    os.killpg(third.pid, signal.SIGKILL)
    third.communicate()
    assert any("resuming from a checkpoint" in line for line in said)
    assert "epoch 1:" not in said[-1]
