"""No pickle in what is stored or passed on, and no secret in what a run leaves behind."""

import ast
import importlib
import json
import os
import pickle
import pickletools
import re
import subprocess
import sys
from pathlib import Path

import pytest
from prefect import Flow
from prefect.settings import PREFECT_LOCAL_STORAGE_PATH, temporary_settings

from flows.runs.stop_notes import resume_command
from flows.word_vectors import build_word_vectors
from storage.redaction import without_credentials
from tasks.corpus_config import CorpusConfig

ROOT = Path(__file__).resolve().parent.parent
SOURCES = sorted(path for room in ("flows", "tasks", "storage") for path in (ROOT / room).rglob("*.py"))
# Modules that pickle, or that hand objects to other processes as pickles.
PICKLING = {"pickle", "cloudpickle", "dill", "joblib", "shelve", "marshal", "multiprocessing"}
# Segmenters and parsers hold Python's lock, so they run in processes, which exchange objects in memory alone.
IN_MEMORY = {"storage/corpus/source_mediawiki.py", "tasks/engine.py"}
PICKLING_CALLS = {"torch.save", "torch.load", "np.save", "np.savez", "ProcessPoolExecutor"}
# First bytes of pickle files: protocols 2 to 5.
PICKLE = re.compile(rb"\x80[\x02-\x05]")
SECRETS = {
    "PREFECT_API_AUTH_STRING": "admin:sesame-open-4711",
    "PREFECT_SERVER_API_AUTH_STRING": "admin:sesame-open-4711",
    "PREFECT_API_KEY": "pnu_sesame-open-4711",
    "AWS_SECRET_ACCESS_KEY": "aws-sesame-open-4711",
}
SECRET = "sesame-open-4711"


def calls(tree: ast.AST) -> list[tuple[str, list[str]]]:
    """Every call as it is written, with the names of its keyword arguments."""
    return [
        (ast.unparse(node.func), [ast.unparse(keyword) for keyword in node.keywords])
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
    ]


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_nothing_pickles(path: Path) -> None:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    imported = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    imported |= {node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    pickling = {module.split(".")[0] for module in imported} & PICKLING
    in_memory = path.relative_to(ROOT).as_posix() in IN_MEMORY
    assert not pickling or in_memory
    for function, keywords in calls(tree):
        if function in PICKLING_CALLS and not (in_memory and function == "ProcessPoolExecutor"):
            assert "allow_pickle=False" in keywords, f"{path}: {function}"
        if function == "np.load":
            assert "allow_pickle=False" in keywords, f"{path}: {function}"


def test_the_one_file_that_is_a_pickle_is_an_export_that_gensim_asks_for() -> None:
    """`KeyedVectors.load` reads nothing else. It is written on request alone, and never read."""
    saving = [
        path.relative_to(ROOT).as_posix() for path in SOURCES if "keyed.save(" in path.read_text(encoding="utf-8")
    ]
    assert saving == ["storage/releases/exporting.py"]


def test_prefect_keeps_no_results_of_any_flow() -> None:
    flows = {
        found
        for path in (ROOT / "flows").glob("*.py")
        if path.stem != "__main__"
        for found in vars(importlib.import_module(f"flows.{path.stem}")).values()
        if isinstance(found, Flow)
    }
    assert len(flows) >= 2
    assert {found.name: found.persist_result for found in flows} == {found.name: False for found in flows}
    assert {found.name: found.result_serializer for found in flows} == {found.name: "json" for found in flows}


@pytest.mark.usefixtures("prefect_server")
def test_a_failed_run_leaves_no_pickle(tmp_path: Path) -> None:
    """Prefect stores the exceptions of failed tasks and flows, whatever is said about results."""
    storage = tmp_path / "storage"
    with temporary_settings({PREFECT_LOCAL_STORAGE_PATH: storage}):
        state = build_word_vectors(
            corpus=CorpusConfig(source="files", path="/no/such/file.txt"),
            workspace=str(tmp_path / "workspace"),
            return_state=True,
        )
        invalid = build_word_vectors(publication={"table": "not a name!"}, return_state=True)
    assert state.is_failed()
    assert invalid.is_failed()
    stored = files_below(storage)
    assert stored, "Prefect stores exceptions elsewhere now"
    assert all("__exc_type__" in json.loads(path.read_bytes()) for path in stored)
    for path in [*stored, *files_below(tmp_path / "workspace")]:
        content = path.read_bytes()
        assert not is_pickle(content), path


def vecmill(*arguments: str, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "flows", *arguments],
        cwd=cwd, env=os.environ | environment, capture_output=True, text=True, timeout=240, check=False,
    )  # fmt: skip


def is_pickle(content: bytes) -> bool:
    """Whether it reads as a pickle to its end; the random checksum that a DuckDB file begins with may look like one."""
    if not PICKLE.match(content):
        return False
    try:
        for _ in pickletools.genops(content):
            pass
    except ValueError:
        return False
    return True


def test_a_pickle_is_told_from_a_file_that_begins_like_one() -> None:
    for protocol in range(2, pickle.HIGHEST_PROTOCOL + 1):
        written = pickle.dumps({"word": [1.5, b"x"]}, protocol)
        assert is_pickle(written)
        assert not is_pickle(written[:-1])
    assert not is_pickle(b"\x80\x04\xeb\x1d\xa7>\x1e\xd0DUCKC" + bytes(4096))


def files_below(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file() and not path.is_symlink()]


@pytest.mark.long
def test_a_run_leaves_no_secret_and_no_pickle_even_if_prefect_persists_results(news_file: Path, tmp_path: Path) -> None:
    home, workspace = tmp_path / "prefect home", tmp_path / "workspace"
    settings = (
        f"corpus.path={news_file}", "training.dimension=16", "training.epochs=1", "publication.table=news",
        "evaluation.reference=none",
    )  # fmt: skip
    built = vecmill(
        "build", "adhoc", *(word for setting in settings for word in ("--set", setting)), cwd=tmp_path,
        PREFECT_HOME=str(home), VECMILL_WORKSPACE=str(workspace), PREFECT_RESULTS_PERSIST_BY_DEFAULT="true",
        PREFECT_TASKS_DEFAULT_PERSIST_RESULT="true", PREFECT_LOGGING_LEVEL="DEBUG", **SECRETS,
    )  # fmt: skip
    assert built.returncode == 0, built.stderr
    doctor = vecmill("doctor", "--json", cwd=tmp_path, PREFECT_HOME=str(home), **SECRETS)
    for said in (built.stdout, built.stderr, doctor.stdout, doctor.stderr):
        assert SECRET not in said
    left = files_below(workspace) + files_below(home)
    assert any(path.name == "prefect.db" for path in left)  # where logs and artifacts are kept
    assert len(files_below(workspace)) > 15
    for path in left:
        content = path.read_bytes()
        assert SECRET.encode() not in content, path
        assert not is_pickle(content), path
    assert not files_below(home / "storage")


@pytest.mark.long
@pytest.mark.parametrize("setting", ["evaluation.reference", "training.start_from"])
def test_a_password_in_a_setting_is_not_repeated(setting: str, news_file: Path, tmp_path: Path) -> None:
    arguments = [f"corpus.path={news_file}", f"{setting}=https://user:{SECRET}@host/file.txt"]
    options = [word for argument in arguments for word in ("--set", argument)]
    refused = vecmill("build", "adhoc", *options, cwd=tmp_path, VECMILL_WORKSPACE=str(tmp_path / "workspace"))
    assert refused.returncode == 2, refused.stderr
    assert "https://…@host/file.txt is a URL" in " ".join(refused.stderr.split())
    assert SECRET not in refused.stdout + refused.stderr
    left = files_below(tmp_path / "workspace")
    assert any(path.parent.name == "runs" for path in left)
    for path in left:
        assert SECRET.encode() not in path.read_bytes(), path


@pytest.mark.long
def test_a_password_of_an_address_is_not_repeated(tmp_path: Path) -> None:
    setting = f"corpus.path=http://user:{SECRET}@127.0.0.1:9/file.txt?token={SECRET}"
    refused = vecmill("build", "adhoc", "--set", setting, cwd=tmp_path, VECMILL_WORKSPACE=str(tmp_path / "workspace"))
    assert refused.returncode == 1, refused.stderr
    assert "http://…@127.0.0.1:9/file.txt?token=… cannot be downloaded" in " ".join(refused.stderr.split())
    assert SECRET not in refused.stdout + refused.stderr
    left = files_below(tmp_path / "workspace")
    assert any(path.parent.name == "runs" for path in left)
    for path in left:
        assert SECRET.encode() not in path.read_bytes(), path
        assert SECRET not in path.name


def test_user_names_and_passwords_of_urls_are_hidden() -> None:
    text = "at postgresql://me:pass@host/db and https://token@host:8080/x, but not me@host or //host/a@b"
    hidden = "at postgresql://…@host/db and https://…@host:8080/x, but not me@host or //host/a@b"
    assert without_credentials(text) == hidden


def test_the_command_that_goes_on_from_a_stopped_run_repeats_no_password() -> None:
    command = resume_command(
        "adhoc",
        "flows.word_vectors.build_word_vectors",
        {},
        {"evaluation": {"reference": f"https://me:{SECRET}@host/x"}},
    )
    assert "https://…@host/x" in command
    assert SECRET not in command
