"""The GPU kernels compile ahead of time, for Ampere and for Hopper, and the compiler did what the design counts on."""

import json
import os
import subprocess
import sys
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.skipif(
    find_spec("triton") is None, reason="the package triton is not installed (extra `kernels`)"
)
ROOT = Path(__file__).resolve().parents[3]
ARCHITECTURES = (80, 90)
DIMENSIONS = (64, 100, 128, 300)
# A program has 255 registers a thread; the design was chosen so that nearly all fits into them.
MOST_SPILLED_BYTES = 64


@cache
def compiled(architecture: int) -> dict[str, Any]:
    """What the compiler says of every kernel, from a process that compiles."""
    environment = {name: value for name, value in os.environ.items() if name != "TRITON_INTERPRET"}
    command = [sys.executable, "-m", "tests.trainers.gpu.compile_kernels", str(architecture), *map(str, DIMENSIONS)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env=environment)
    assert done.returncode == 0, done.stderr
    report: dict[str, Any] = json.loads(done.stdout)
    return report


def tiles(architecture: int, dimension: int) -> Any:
    return compiled(architecture)[f"train_tiles {dimension}"]


@pytest.mark.parametrize("dimension", DIMENSIONS)
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_updates_are_reductions_without_a_result(architecture: int, dimension: int) -> None:
    report = tiles(architecture, dimension)
    assert all(".relaxed." in name and ".add." in name for name in report["atomics"])
    assert report["barriers"] == 0
    opcodes = {name.split(".")[0] for name in report["instructions"]}
    # RED and REDG add and forget, ATOM and ATOMG bring the old value back.
    assert opcodes & {"RED", "REDG"}
    assert not opcodes & {"ATOM", "ATOMG"}


@pytest.mark.parametrize("dimension", DIMENSIONS)
def test_hopper_adds_four_numbers_at_a_time(dimension: int) -> None:
    instructions = tiles(90, dimension)["instructions"]
    added = {name: count for name, count in instructions.items() if name.startswith("REDG.")}
    assert added
    assert all("F32x4" in name for name in added)


@pytest.mark.parametrize("dimension", DIMENSIONS)
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_nearly_everything_fits_into_registers(architecture: int, dimension: int) -> None:
    report = tiles(architecture, dimension)
    assert report["spilled_bytes"] <= MOST_SPILLED_BYTES
    # Programs that a processor can hold at a time: at least two by shared memory, of 100 KiB on the smallest.
    assert report["shared_bytes"] <= 48 << 10


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_rows_are_read_16_bytes_at_a_time_and_multiplied_by_tensor_cores(architecture: int) -> None:
    instructions = tiles(architecture, 128)["instructions"]
    # 32 inputs and 64 outputs of 128 floats by 128 threads: 24 loads of 16 bytes each.
    assert sum(count for name, count in instructions.items() if name.startswith("LDG.E.128")) == 24
    assert any(name.startswith("HMMA") for name in instructions)
    assert any(name.startswith("HGMMA") for name in instructions) == (architecture == 90)


@pytest.mark.parametrize("kernel", ["mark_kept", "gather_kept", "draw_outputs"])
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_the_samplers_compile_without_spilling(architecture: int, kernel: str) -> None:
    assert compiled(architecture)[kernel]["spilled_bytes"] == 0
