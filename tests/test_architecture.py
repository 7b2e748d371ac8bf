"""Imports go one way, each heavy library lives in one room, and every module is used by the product."""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
ROOMS = ("flows", "tasks", "storage", "vecmill")
HEAVY = {"prefect", "torch", "numba", "triton", "duckdb", "pyarrow", "gensim", "sklearn", "matplotlib"}
HEAVY |= {"sentence_transformers", "transformers", "dask", "distributed"}
PURE = {"flows", "tasks", "storage", "prefect", "duckdb", "gensim"}
STORAGE = {"flows", "tasks", "prefect", "torch", "numba", "triton", "sklearn", "matplotlib"}
STORAGE |= {"sentence_transformers", "transformers", "dask", "distributed"}

# Room -> packages and rooms that nothing in it may import, even inside a function. The longest prefix applies. A room
# may import itself, and the trainers what they share.
FORBIDDEN: dict[str, set[str]] = {
    "flows": HEAVY - {"prefect"} | {"flows.cli", "flows.server"},
    "flows/runs": HEAVY - {"prefect"} | {"flows.cli", "flows.server", "flows.word_vectors"},
    "flows/server": HEAVY - {"prefect"} | {"flows.cli"},
    "flows/cli": HEAVY - {"prefect"},
    "tasks": HEAVY - {"prefect", "pyarrow", "dask", "distributed"} | {"flows"},
    "tasks/text": PURE | HEAVY - {"pyarrow", "numba"},
    "tasks/compiled": PURE | HEAVY - {"numba"},
    "tasks/metrics": PURE | HEAVY - {"torch", "sklearn"},
    "tasks/report": PURE | HEAVY - {"sklearn", "matplotlib"} | {"pydantic"},
    # gensim: its Doc2Vec.
    "tasks/trainers": (PURE | HEAVY) - {"torch", "numba", "triton", "sentence_transformers", "transformers", "gensim"},
    "tasks/trainers/cpu": PURE | HEAVY - {"numba"} | {"tasks.trainers.gpu", "tasks.trainers.backends"},
    "tasks/trainers/gpu": PURE | HEAVY - {"torch", "triton"} | {"tasks.trainers.cpu", "tasks.trainers.backends"},
    # The package for programs: it hands tables to torch, gensim and scikit-learn.
    "vecmill": {"flows", "prefect", "numba", "triton", "matplotlib"},
    "storage": STORAGE | {"storage.corpus", "storage.models", "storage.vectors", "storage.gold", "storage.releases"},
    "storage/corpus": STORAGE | {"storage.models", "storage.vectors", "storage.gold", "storage.releases"},
    "storage/gold": STORAGE | {"storage.corpus", "storage.models", "storage.vectors", "storage.releases"},
    "storage/models": STORAGE | {"storage.vectors", "storage.gold", "storage.releases"},
    "storage/vectors": STORAGE | {"storage.corpus", "storage.models", "storage.gold", "storage.releases"},
    "storage/releases": STORAGE,
}
# Of the tasks, the package for programs needs what cuts text.
VECMILL_MAY_USE = {"tasks.text"}
SHARED_BY_TRAINERS = {f"tasks.trainers.{name}" for name in ("bookkeeping", "config", "interface", "sampling")}
MAY_BE_COMPILED = {"tasks/text", "tasks/trainers", "tasks/trainers/cpu"}
# The flow is a table of contents: of storage it needs where things are and who holds them.
FLOWS_MAY_USE = {
    "flows": {
        "storage.errors",
        "storage.layout",
        "storage.redaction",
        "storage.releases",
        "storage.stages",
    },
    "flows/runs": {
        "storage.errors",
        "storage.layout",
        "storage.stages",
        "storage.redaction",
        "storage.run_history",
        "storage.releases",
        "storage.runs",
    },
    "flows/server": {
        "storage.disk",
        "storage.errors",
        "storage.layout",
        "storage.redaction",
        "storage.run_history",
        "storage.runs",
    },
}


def sources() -> list[Path]:
    return sorted(path for room in ROOMS for path in (ROOT / room).rglob("*.py"))


def module_of(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def room_of(path: Path) -> str:
    folder = path.relative_to(ROOT).parent.as_posix()
    return max((room for room in FORBIDDEN if f"{folder}/".startswith(f"{room}/")), key=len)


@cache
def known_modules() -> frozenset[str]:
    return frozenset(module_of(path) for path in sources())


def imported_modules(path: Path, *, deferred: bool = True) -> Iterator[str]:
    """What a file imports, `from package import module` as the module itself; deferred: also inside functions."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    nodes = ast.walk(tree) if deferred else iter(tree.body)
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            inner = {f"{node.module}.{alias.name}" for alias in node.names} & known_modules()
            yield from inner or {node.module}


def is_inside(module: str, package: str) -> bool:
    return module == package or module.startswith(f"{package}.")


each_source = pytest.mark.parametrize("path", sources(), ids=lambda path: path.relative_to(ROOT).as_posix())


@each_source
def test_no_module_imports_against_the_direction_of_its_room(path: Path) -> None:
    room = room_of(path)
    for module in imported_modules(path):
        forbidden = any(is_inside(module, name) for name in FORBIDDEN[room])
        own = is_inside(module, room.replace("/", ".")) and "/" in room
        shared = room.startswith("tasks/trainers/") and module in SHARED_BY_TRAINERS
        compiled = room in MAY_BE_COMPILED and module == "tasks.compiled"
        entry = module_of(path) == "flows.__main__"
        assert not forbidden or own or shared or compiled or entry, f"{module_of(path)} imports {module}"
        if room == "vecmill" and is_inside(module, "tasks"):
            assert any(is_inside(module, name) for name in VECMILL_MAY_USE), f"{module_of(path)} imports {module}"
        assert room == "vecmill" or not is_inside(module, "vecmill"), f"{module_of(path)} imports {module}"
        if room in FLOWS_MAY_USE and is_inside(module, "storage"):
            assert any(is_inside(module, name) for name in FLOWS_MAY_USE[room]), f"{module_of(path)} imports {module}"


def test_no_imports_form_a_circle() -> None:
    graph = {
        module_of(path): {name for name in imported_modules(path, deferred=False) if name in known_modules()}
        for path in sources()
    }
    try:
        list(TopologicalSorter(graph).static_order())
    except CycleError as error:
        pytest.fail(" -> ".join(error.args[1]))


def test_every_module_is_imported_by_another_or_named_as_an_entry_point() -> None:
    used = {name for path in sources() for name in imported_modules(path) if name != module_of(path)}
    named = {
        name
        for file in ("pyproject.toml", "prefect.yaml")
        for name in re.findall(r"(?:flows|tasks|storage|vecmill)(?:\.\w+)+", (ROOT / file).read_text(encoding="utf-8"))
    }
    entries = {module for module in known_modules() if any(is_inside(name, module) for name in named)}
    packages = {module_of(path) for path in sources() if path.name in ("__init__.py", "__main__.py")}
    assert known_modules() <= used | entries | packages


@each_source
def test_no_module_is_named_after_the_standard_library_or_a_room(path: Path) -> None:
    assert path.stem not in {*sys.stdlib_module_names, *ROOMS, "utils"} - {"__init__"}


@each_source
def test_no_file_has_grown_a_second_subject(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 450


def test_the_ground_floors_stay_small() -> None:
    assert len(list((ROOT / "storage").glob("*.py"))) <= 13
    assert len(list((ROOT / "flows").glob("*.py"))) <= 12


def test_the_tree_in_the_readme_names_every_folder_and_nothing_else() -> None:
    tree = (ROOT / "README.md").read_text(encoding="utf-8").split("## Where things are", 1)[1].split("```")[1]
    named, parents = set(), [ROOT]
    for line in tree.strip("\n").splitlines():
        names = re.split(r" {2,}", line.strip())[0].rstrip("/").split(", ")
        indent = len(line) - len(line.lstrip())
        del parents[indent // 2 + 1 :]
        for path in (parents[-1] / name for name in names):
            assert path.exists(), f"README's tree names {path.relative_to(ROOT)}, which does not exist"
            named.add(path)
        parents.append(parents[-1] / names[-1])
    # Empty in a copy without a repository.
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False).stdout
    folders = {ROOT / line.split("/")[0] for line in tracked.splitlines() if "/" in line}
    assert {path.parent for path in sources()} | folders <= named
