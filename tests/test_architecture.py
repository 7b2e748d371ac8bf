"""Imports go one way (flows -> tasks -> storage), and each heavy library lives in one room."""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PURE = ("tasks/text", "tasks/trainers", "tasks/metrics", "tasks/report")

# room -> what nothing in it may import, even inside a function
FORBIDDEN = {
    "flows": {"torch", "pyarrow", "duckdb", "numba", "gensim"},
    "tasks": {"flows", "torch", "duckdb", "numba", "gensim"},
    "storage": {"flows", "tasks", "prefect", "torch", "numba"},
    "tasks/text": {"flows", "tasks", "storage", "prefect", "duckdb", "torch", "gensim"},
    "tasks/trainers": {"flows", "tasks", "storage", "prefect", "duckdb", "pyarrow", "gensim"},
    "tasks/metrics": {"flows", "tasks", "storage", "prefect", "duckdb", "pyarrow", "gensim"},
    "tasks/report": {
        "flows",
        "tasks",
        "storage",
        "prefect",
        "duckdb",
        "pyarrow",
        "torch",
        "numba",
        "gensim",
        "pydantic",
    },
}


def room_of(path: Path) -> str:
    folder = path.relative_to(ROOT).parent.as_posix()
    return max((room for room in FORBIDDEN if f"{folder}/".startswith(f"{room}/")), key=len)


def imported_modules(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module


def sources() -> list[Path]:
    return sorted(path for room in ("flows", "tasks", "storage") for path in (ROOT / room).rglob("*.py"))


@pytest.mark.parametrize("path", sources(), ids=lambda path: path.relative_to(ROOT).as_posix())
def test_no_module_imports_across_its_room(path: Path) -> None:
    room = room_of(path)
    for module in imported_modules(path):
        own = room in PURE and module.startswith(room.replace("/", "."))
        assert own or module.split(".")[0] not in FORBIDDEN[room], f"{path} imports {module}"


@pytest.mark.parametrize("path", sources(), ids=lambda path: path.relative_to(ROOT).as_posix())
def test_no_module_is_named_after_the_standard_library_or_a_room(path: Path) -> None:
    assert path.stem not in {*sys.stdlib_module_names, "flows", "tasks", "storage", "utils"} - {"__init__"}
