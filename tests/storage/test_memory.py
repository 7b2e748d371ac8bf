"""Memory given back between stages."""

import subprocess
import sys

import numpy as np
import psutil  # type: ignore[import-untyped]
import pyarrow as pa
import pytest

from storage.memory import release_memory

MIB = 1 << 20


@pytest.mark.skipif(sys.platform != "linux", reason="reads the resident memory of Linux")
def test_freed_arrow_buffers_go_back_to_the_system() -> None:
    process = psutil.Process()
    before = process.memory_info().rss
    buffers = [pa.allocate_buffer(MIB) for _ in range(128)]
    for buffer in buffers:
        np.frombuffer(buffer, dtype=np.uint8)[:] = 1
    assert process.memory_info().rss > before + 100 * MIB
    del buffers, buffer
    release_memory()
    assert process.memory_info().rss < before + 40 * MIB


@pytest.mark.skipif("jemalloc" not in pa.supported_memory_backends(), reason="Arrow is built without jemalloc")
def test_the_frugal_allocator_serves_new_buffers_and_keeps_old_ones() -> None:
    script = """
import pyarrow as pa
from storage.memory import use_frugal_allocator
before = pa.array(range(1000))
use_frugal_allocator()
after = pa.array(range(1000))
print(before == after, pa.default_memory_pool().backend_name, pa.total_allocated_bytes() >= after.nbytes)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout == "True jemalloc True\n"


def test_does_not_import_arrow() -> None:
    script = "import sys; from storage.memory import release_memory; release_memory(); print('pyarrow' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout == "False\n"
