"""A real wheel, installed without the checkout, lists, builds and deploys from any folder."""

import json
import os
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest

from tests.flows.server_stack import ServerStack

ROOT = Path(__file__).resolve().parents[3]
# Variables through which this checkout, or another test's server, could leak in.
FOREIGN = {"PYTHONPATH", "VIRTUAL_ENV", "PREFECT_API_URL"}


def run(*command: str | Path, cwd: Path) -> str:
    environment = {name: value for name, value in os.environ.items() if name not in FOREIGN}
    ended = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr[-3000:]
    return ended.stdout


@pytest.mark.long
def test_a_wheel_lists_builds_and_deploys_from_any_folder(news_file: Path, tmp_path: Path) -> None:
    source = tmp_path / "source"
    files = run("git", "ls-files", "--cached", "--others", "--exclude-standard", cwd=ROOT).splitlines()
    for name in files:
        if (ROOT / name).is_file():
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            (source / name).write_bytes((ROOT / name).read_bytes())
    build = (sys.executable, "-m", "pip", "wheel", "--quiet", "--no-index", "--no-deps", "--no-build-isolation")
    run(*build, "-w", str(tmp_path), str(source), cwd=tmp_path)
    (wheel,) = tmp_path.glob("vecmill-*.whl")
    assert "flows/prefect.yaml" in zipfile.ZipFile(wheel).namelist()
    # Its dependencies are those of this environment; vecmill itself comes from the wheel.
    fresh = tmp_path / "fresh"
    venv.create(fresh, with_pip=False)
    python = fresh / "bin" / "python"
    site = Path(run(python, "-c", "import site; print(site.getsitepackages()[0])", cwd=tmp_path).strip())
    pip = (sys.executable, "-m", "pip", "--python", str(python))
    run(*pip, "install", "--quiet", "--no-deps", "--no-index", str(wheel), cwd=tmp_path)
    packages = Path(pytest.__file__).parent.parent
    (site / "dependencies.pth").write_text(f"{packages}\n", encoding="utf-8")
    where = run(python, "-c", "import flows; print(flows.__file__)", cwd=tmp_path).strip()
    assert Path(where).is_relative_to(site)
    vecmill = fresh / "bin" / "vecmill"
    listed = json.loads(run(vecmill, "list", "--json", cwd=tmp_path))
    assert [entry["name"] for entry in listed][:4] == ["movie-reviews", "text8", "ptb", "adhoc"]
    settings = (
        f"corpus.path={news_file}", "training.dimension=16", "training.epochs=1", "publication.table=news",
        "evaluation.reference=none", "report.enabled=false",
    )  # fmt: skip
    options = [word for setting in settings for word in ("--set", setting)]
    built = json.loads(run(vecmill, "build", "adhoc", "--json", *options, cwd=tmp_path).splitlines()[-1])
    assert (built["outcome"], built["version"]) == ("published", 1)
    assert (tmp_path / "workspace" / "tables" / "news.duckdb").is_file()
    stack = ServerStack(tmp_path, command=[str(vecmill)])
    try:
        finished = stack.start().start_run("adhoc", (*settings, "training.seed=2"))
        assert stack.ended(finished)["type"] == "COMPLETED", stack.log_of(finished)
        assert "unchanged" in stack.vecmill("deploy").stdout
    finally:
        stack.clean_up()
    assert (tmp_path / "workspace" / "tables" / "news" / "v000002.duckdb").is_file()
