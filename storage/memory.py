"""Return memory to the system between stages."""

import ctypes
import sys


def release_memory() -> None:
    """Return freed memory that Arrow's pool and the C library keep for reuse; without effect on memory in use.

    After a stage that read or wrote text both keep more than the next stage needs.
    """
    arrow = sys.modules.get("pyarrow")
    if arrow is not None:
        arrow.default_memory_pool().release_unused()
    if sys.platform == "linux":
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # glibc has it, musl does not
        if trim is not None:
            trim(0)
