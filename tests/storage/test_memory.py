"""Memory given back between stages."""

import ctypes
import subprocess
import sys

import pyarrow as pa
import pytest


def printed_by(script: str) -> str:
    """What a Python script prints in a new process."""
    return subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60).stdout


@pytest.mark.skipif(sys.platform != "linux", reason="reads the resident memory of Linux")
def test_freed_arrow_buffers_go_back_to_the_system() -> None:
    # In a new process: builds of other tests change Arrow's allocator permanently.
    script = """
import numpy as np, psutil, pyarrow as pa
from storage.memory import release_memory
process = psutil.Process()
before = process.memory_info().rss
buffers = [pa.allocate_buffer(1 << 20) for _ in range(128)]
for buffer in buffers:
    np.frombuffer(buffer, dtype=np.uint8)[:] = 1
used = process.memory_info().rss - before
del buffers, buffer
release_memory()
print(used >> 20, process.memory_info().rss - before >> 20)
"""
    used, left = map(int, printed_by(script).split())
    assert used > 100
    assert left < 40


@pytest.mark.skipif("jemalloc" not in pa.supported_memory_backends(), reason="Arrow is built without jemalloc")
def test_the_frugal_allocator_serves_new_buffers_and_keeps_old_ones() -> None:
    script = """
import pyarrow as pa
from storage.memory import use_frugal_allocators
before = pa.array(range(1000))
use_frugal_allocators()
after = pa.array(range(1000))
print(before == after, pa.default_memory_pool().backend_name, pa.total_allocated_bytes() >= after.nbytes)
"""
    assert printed_by(script) == "True jemalloc True\n"


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "mallopt"), reason="the C library is not glibc")
def test_large_blocks_go_back_to_the_system_from_between_others() -> None:
    script = """
import numpy as np, psutil
from storage.memory import use_frugal_allocators
use_frugal_allocators()
np.ones(30 << 20, np.uint8)
before = psutil.Process().memory_info().rss
blocks = [np.ones(5 << 20, np.uint8) for _ in range(20)]
del blocks[:-1]
print(psutil.Process().memory_info().rss - before >> 20)
"""
    assert int(printed_by(script)) < 20
    assert int(printed_by(script.replace("use_frugal_allocators()", ""))) > 80


def test_does_not_import_arrow() -> None:
    script = "import sys; from storage.memory import release_memory; release_memory(); print('pyarrow' in sys.modules)"
    assert printed_by(script) == "False\n"
