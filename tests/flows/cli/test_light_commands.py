"""Commands that answer from a published table import no heavy library."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from storage.layout import WORKSPACE_VARIABLE, Workspace
from storage.releases.publishing import publish_release
from tests.encoders import save_encoder
from tests.storage.sample_releases import content

HEAVY = {
    "gensim",
    "matplotlib",
    "numba",
    "numpy",
    "openTSNE",
    "pandas",
    "prefect",
    "pyarrow",
    "scipy",
    "sklearn",
    "torch",
}
RUN = """
import json, sys
from flows.cli.app import main
try:
    main()
except SystemExit as end:
    print(json.dumps([end.code, sorted({name.partition(".")[0] for name in sys.modules})]))
"""


def imported_by(command: list[str], workspace: Path) -> tuple[int, set[str]]:
    environment = os.environ | {WORKSPACE_VARIABLE: str(workspace)}
    ended = subprocess.run(
        [sys.executable, "-c", RUN, *command], capture_output=True, text=True, env=environment, check=True, timeout=120
    )
    code, modules = json.loads(ended.stdout.splitlines()[-1])
    return code, set(modules)


@pytest.mark.parametrize(
    ("command", "code"),
    [
        (["list"], 0),
        (["releases", "news"], 0),
        (["nearest", "news", "word7"], 0),
        (["build", "adhoc", "--set", "corpus.path=/nope"], 1),
    ],
)
def test_a_light_command_imports_no_heavy_library(tmp_path: Path, command: list[str], code: int) -> None:
    publish_release(Workspace(tmp_path), "news", content())
    ended, modules = imported_by(command, tmp_path)
    assert ended == code
    assert not HEAVY & modules


def test_an_evaluation_imports_numpy_and_pyarrow_alone(tmp_path: Path) -> None:
    publish_release(Workspace(tmp_path), "news", content())
    ended, modules = imported_by(["evaluate", "news", "--reference", "none"], tmp_path)
    assert ended == 0
    assert not (HEAVY - {"numpy", "pyarrow"}) & modules


def test_hiding_pandas_from_a_query_leaves_it_importable(tmp_path: Path) -> None:
    from flows.cli.query_commands import nearest

    publish_release(Workspace(tmp_path), "news", content())
    nearest("news", "word7", workspace=tmp_path)
    assert sys.modules.get("pandas", "absent") is not None


@pytest.mark.long
def test_an_encoder_loads_in_a_build(tmp_path: Path, news_file: Path) -> None:
    # torch._dynamo, which transformers imports, looks for pandas, which the command hides from DuckDB and PyArrow.
    save_encoder(tmp_path / "encoder")
    settings = [f"corpus.path={news_file}", "training.model=distilled", f"training.encoder={tmp_path / 'encoder'}"]
    settings += ["training.dimension=8", "evaluation.reference=none", "report.enabled=false", "publication.gates=none"]
    ended, modules = imported_by(["build", "adhoc", *(f"--set={setting}" for setting in settings)], tmp_path)
    assert ended == 0
    assert "transformers" in modules
    assert len(list((tmp_path / "tables").glob("*.duckdb"))) == 1
