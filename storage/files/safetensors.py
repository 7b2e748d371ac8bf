"""Safetensors files larger than memory: written in blocks of rows, and mapped instead of read.

The library's writer would hold two more copies of every matrix, and its reader one.
Source: https://github.com/huggingface/safetensors, "Format": the header's length, the header as JSON, the values.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from storage.files.large_arrays import map_rows, row_blocks

LENGTH_BYTES = 8
# 2 MB: rows of a padded matrix are copied to be written.
NUMBERS_AT_ONCE = 1 << 19
# Of the types in the header; NumPy has no bfloat16, whose bits are the upper half of a float32.
TYPES: Mapping[str, str] = {
    "F64": "<f8", "F32": "<f4", "F16": "<f2", "BF16": "<u2", "I64": "<i8", "I32": "<i4", "I16": "<i2", "I8": "i1",
    "U64": "<u8", "U32": "<u4", "U16": "<u2", "U8": "u1",
}  # fmt: skip


def write_tensors(
    path: Path,
    tensors: Mapping[str, NDArray[np.float32] | tuple[NDArray[np.float32], ...]],
    metadata: Mapping[str, str],
) -> None:
    """Write float32 arrays of at least one dimension. Several arrays under one name are joined along the first."""
    entries: dict[str, Any] = {"__metadata__": dict(metadata)} if metadata else {}
    parts = {name: [value] if isinstance(value, np.ndarray) else list(value) for name, value in tensors.items()}
    end = 0
    for name, arrays in parts.items():
        start, end = end, end + 4 * sum(array.size for array in arrays)
        shape = (sum(map(len, arrays)), *arrays[0].shape[1:])
        entries[name] = {"dtype": "F32", "shape": shape, "data_offsets": (start, end)}
    text = json.dumps(entries).encode()
    text += b" " * (-len(text) % 8)  # values are aligned to 8 bytes
    with path.open("wb") as file:
        file.write(len(text).to_bytes(LENGTH_BYTES, "little") + text)
        for arrays in parts.values():
            for array in arrays:
                table = array if array.ndim > 1 else array.reshape(-1, 1)
                for _, block in row_blocks(table, max(1, NUMBERS_AT_ONCE // max(1, table.shape[1]))):
                    file.write(np.ascontiguousarray(block, "<f4").data)


def map_tensor(path: Path, name: str, *, writable: bool = False) -> NDArray[Any]:
    """A tensor of a file that the library has checked. bfloat16 is returned as its 16 bits.

    writable: changes stay in memory and do not reach the file.
    """
    with path.open("rb") as file:
        length = int.from_bytes(file.read(LENGTH_BYTES), "little")
        entry = json.loads(file.read(length))[name]
    start = LENGTH_BYTES + length + entry["data_offsets"][0]
    return map_rows(path, TYPES[entry["dtype"]], start, tuple(entry["shape"]), writable=writable)
