"""Compile the GPU kernels ahead of time, without a GPU, and print what the compiler produced.

A separate program, because Triton either compiles or interprets in one process.
`python -m tests.trainers.gpu.compile_kernels
ARCH DIMENSION…` prints a JSON object, what it says of each kernel by name and dimension.
"""

import json
import re
import subprocess
import sys
import tempfile
from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import Any

import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

from tasks.trainers.config import SkipGramConfig
from tasks.trainers.gpu import kernels as triton_kernel
from tasks.trainers.gpu.model import BLOCK, WARPS
from tasks.trainers.gpu.tile_shape import tile_shape

TOOLS = Path(triton.__file__).parent / "backends/nvidia/bin"
# Every array is aligned to 16 bytes, as PyTorch allocates it.
ALIGNED = [["tt.divisibility", 16]]
SAMPLERS: dict[str, tuple[dict[str, str], dict[str, int]]] = {
    "mark_kept": (
        {"tokens": "*i32", "keep_thresholds": "*i32", "kept": "*i8", "count": "i32", "start": "i64", "key": "i64"},
        {"block": BLOCK},
    ),
    "gather_kept": (
        {"tokens": "*i32", "kept": "*i8", "places": "*i32", "sentences": "*i32", "words_out": "*i32"}
        | {"sentences_out": "*i32", "positions_out": "*i32", "radii_out": "*i32", "count": "i32", "start": "i64"}
        | {"key": "i64", "least_radius": "i32", "radii": "i32"},
        {"block": BLOCK},
    ),
    "draw_outputs": (
        {"words": "*i32", "positions": "*i32", "kept_count": "*i32", "noise_thresholds": "*i32"}
        | {"noise_aliases": "*i32", "outputs": "*i32", "start": "i64", "key": "i64", "vocabulary": "i32"},
        {"slots": 64, "block": BLOCK},
    ),
}
TILE_ARGUMENTS = (
    dict.fromkeys(("centers", "contexts"), "*fp32")
    | dict.fromkeys(("words", "sentences", "positions", "radii", "outputs", "kept_count"), "*i32")
    | {"losses": "*fp32", "pair_counts": "*i32"}
    | dict.fromkeys(("noise_share", "learning_rate", "final_rate", "progress_start", "progress_step"), "fp32")
)


def compile_kernel(name: str, arch: int, arguments: dict[str, str], constants: dict[str, Any]) -> dict[str, Any]:
    """What the compiler says of one kernel."""
    pointers = {(place,): ALIGNED for place, kind in enumerate(arguments.values()) if kind.startswith("*")}
    signature = arguments | dict.fromkeys(constants, "constexpr")
    source = ASTSource(getattr(triton_kernel, name), signature, constants, pointers)
    options = {"num_warps": WARPS, "num_stages": 1}
    compiled = triton.compile(source, target=GPUTarget("cuda", arch, 32), options=options)
    with tempfile.TemporaryDirectory() as folder:
        ptx, cubin = Path(folder, "kernel.ptx"), Path(folder, "kernel.cubin")
        ptx.write_text(compiled.asm["ptx"])
        (target,) = re.findall(r"^\.target (\w+)", ptx.read_text(), re.MULTILINE)
        said = run("ptxas", "-v", f"-arch={target}", str(ptx), "-o", str(cubin)).stderr
        cubin.write_bytes(compiled.asm["cubin"])
        machine_code = run("cuobjdump", "-sass", str(cubin)).stdout
    spilled = re.search(r"(\d+) bytes spill stores, (\d+) bytes spill loads", said)
    registers = re.search(r"Used (\d+) registers", said)
    assert spilled, said
    assert registers, said
    instructions = re.findall(r"^\s+/\*[0-9a-f]+\*/\s+(?:@!?U?P\w+\s+)?([A-Z][\w.]*)", machine_code, re.MULTILINE)
    return {
        "spilled_bytes": int(spilled[1]),
        "registers": int(registers[1]),
        "shared_bytes": compiled.metadata.shared,
        "instructions": Counter(instructions),
        "atomics": Counter(re.findall(r"\b(?:red|atom)\.[\w.:]+", compiled.asm["ptx"])),
        "barriers": len(re.findall(r"\b(?:membar|fence\.\w+\.\w+)\.(?:gl|gpu|sys)\b", compiled.asm["ptx"])),
    }


def run(tool: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """One of the CUDA tools that come with Triton."""
    return subprocess.run([str(TOOLS / tool), *arguments], capture_output=True, text=True, check=True)


def tile_constants(dimension: int) -> dict[str, Any]:
    """What the trainer fixes when it compiles the kernel for this dimension."""
    shape = asdict(tile_shape(SkipGramConfig(dimension=dimension), 70_000))
    return {name: shape[name] for name in shape if name not in ("noise_share", "programs")} | {"exact": False}


def main(arch: int, dimensions: list[int]) -> None:
    """Print the report."""
    report = {name: compile_kernel(name, arch, *signature) for name, signature in SAMPLERS.items()}
    for dimension in dimensions:
        constants = tile_constants(dimension)
        report[f"train_tiles {dimension}"] = compile_kernel("train_tiles", arch, TILE_ARGUMENTS, constants)
    sys.stdout.write(json.dumps(report))


if __name__ == "__main__":
    main(int(sys.argv[1]), [int(dimension) for dimension in sys.argv[2:]])
