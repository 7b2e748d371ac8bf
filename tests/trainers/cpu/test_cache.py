"""Numba's cache on disk: another process loads the loop, and a change of any of its files compiles it again."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import tasks.trainers.cpu

COMPILE = """
import numpy as np
from tasks.trainers.cpu.kernel import Copies, Radii, Rates, train_chunk
from tasks.trainers.cpu.vector_code import ROW_MULTIPLE
rows, counts = np.zeros((2, 2, ROW_MULTIPLE), np.float32), np.zeros((2, 2), np.uint32)
train_chunk(
    np.zeros(0, np.int32), np.zeros(1, np.int64), 0.0, 1.0, rows[0], rows[1], counts[0], counts[1],
    np.zeros(2, np.int32), (0, 0), Radii(1, 1), False, Rates(0.1, 0.1), np.uint64(1), Copies(0, 0), 0,
)
print(sum(train_chunk.stats.cache_hits.values()))
"""


@pytest.mark.long
def test_the_cache_notices_a_changed_byte_in_any_of_the_three_files(tmp_path: Path) -> None:
    package = tmp_path / "tasks" / "trainers" / "cpu"
    shutil.copytree(Path(tasks.trainers.cpu.__file__).parent, package, ignore=shutil.ignore_patterns("__pycache__"))
    for folder in (package.parent, package.parent.parent):
        (folder / "__init__.py").touch()

    def is_loaded() -> bool:
        # Compiling takes half as long with few optimisations.
        environment = {"NUMBA_CACHE_DIR": str(tmp_path / "cache"), "PYTHONPATH": str(tmp_path), "NUMBA_OPT": "1"}
        command = [sys.executable, "-c", COMPILE]
        done = subprocess.run(
            command, env=os.environ | environment, cwd=tmp_path, capture_output=True, text=True, check=True
        )
        return done.stdout.strip() == "1"

    assert [is_loaded(), is_loaded()] == [False, True]
    for name in ("window_code.py", "vector_code.py", "kernel.py"):
        with (package / name).open("a", encoding="utf-8") as file:
            file.write("#")
        assert not is_loaded(), name
    assert is_loaded()
