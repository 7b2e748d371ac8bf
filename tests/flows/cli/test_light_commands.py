"""Commands that answer from a published table import no heavy library."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from storage.layout import WORKSPACE_VARIABLE, Workspace
from storage.releases.publishing import publish_release
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


@pytest.mark.parametrize(
    "command",
    [["list"], ["releases", "news"], ["nearest", "news", "word7"], ["build", "adhoc", "--set", "corpus.path=/nope"]],
)
def test_a_light_command_imports_no_heavy_library(tmp_path: Path, command: list[str]) -> None:
    publish_release(Workspace(tmp_path), "news", content())
    environment = os.environ | {WORKSPACE_VARIABLE: str(tmp_path)}
    ended = subprocess.run(
        [sys.executable, "-c", RUN, *command], capture_output=True, text=True, env=environment, check=True, timeout=60
    )
    code, modules = json.loads(ended.stdout.splitlines()[-1])
    assert code == (1 if "build" in command else 0), ended.stderr
    assert not HEAVY.intersection(modules)


def test_hiding_pandas_from_a_query_leaves_it_importable(tmp_path: Path) -> None:
    from flows.cli.table_commands import nearest

    publish_release(Workspace(tmp_path), "news", content())
    nearest("news", "word7", workspace=tmp_path)
    assert sys.modules.get("pandas", "absent") is not None
