"""Numba's reference counts in compiled functions: none in loops, where they would cost more than the work."""

import re
from typing import Any

import numba
import numpy as np
import pyarrow as pa
import pytest
from numpy.typing import NDArray
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components

from tasks.compiled import uncounted
from tasks.text.scan_kernel import scan
from tasks.text.tokenizers import unicode_words
from tasks.trainers.backends import train
from tasks.trainers.config import SkipGramConfig
from tasks.trainers.cpu.kernel import train_chunk
from tasks.trainers.interface import ArrayTokenSource, Vocabulary
from tasks.trainers.sampling import initial_state

COUNTING = re.compile(r"call void @NRT_(incref|decref)\(")


def counting_blocks_in_loops(function: Any) -> list[str]:
    """The basic blocks of a compiled function that count references and lie on a cycle."""
    options = {name: value for name, value in function.targetoptions.items() if name != "nopython"}
    again = numba.njit(**options)(function.py_func)
    again.compile(function.signatures[0])
    (overload,) = again.overloads.values()
    name = re.escape(overload.fndesc.mangled_name)
    (body,) = re.findall(rf"^define [^\n]*@{name}\(.*?^}}", overload.library.get_llvm_str(), re.DOTALL | re.MULTILINE)
    blocks = re.split(r"^(?=[\w.-]+:)", body, flags=re.MULTILINE)
    number = {block.partition(":")[0]: index for index, block in enumerate(blocks)}
    edges = [
        (index, number[label]) for index, block in enumerate(blocks) for label in re.findall(r"label %([\w.-]+)", block)
    ]
    sources, targets = zip(*edges, strict=True)
    graph = csr_array((np.ones(len(edges)), (sources, targets)), shape=(len(blocks), len(blocks)))
    _, components = connected_components(graph, connection="strong")
    sizes = np.bincount(components)
    return [block for index, block in enumerate(blocks) if sizes[components[index]] > 1 and COUNTING.search(block)]


def test_the_training_loop_counts_no_references() -> None:
    vocabulary = Vocabulary(np.array([3, 2, 1]), np.ones(3, np.float32), np.full(3, 1 / 3))
    config = SkipGramConfig(dimension=16, epochs=1, workers=1)
    source = ArrayTokenSource([np.array([0, 1, 2], np.int32)])
    list(train(source, vocabulary, config, initial_state(vocabulary, 16, 1)))
    assert counting_blocks_in_loops(train_chunk) == []


def test_the_scan_counts_no_references() -> None:
    unicode_words(pa.array(["λόγος και λόγος"]))
    assert counting_blocks_in_loops(scan) == []


def test_a_loop_that_counts_references_is_found() -> None:
    @numba.njit(inline="never")
    def position(values: NDArray[np.float64], wanted: float) -> int:
        for place in range(len(values)):
            if values[place] == wanted:
                return place
        return -1

    def positions(first: NDArray[np.float64], second: NDArray[np.float64], wanted: NDArray[np.float64]) -> int:
        total = 0
        for value in wanted:
            values = first
            if value:
                values = second
            for start in range(len(values)):
                total += position(values[start:], value)
        return total

    compiled: Any = numba.njit(positions)
    compiled(np.ones(3), np.zeros(3), np.ones(2))
    assert counting_blocks_in_loops(compiled)


def test_an_uncounted_function_must_not_create_an_array() -> None:
    @uncounted(cache=False)
    def create(length: int) -> float:
        return float(np.zeros(length)[0])

    with pytest.raises(numba.core.errors.NumbaError):
        create(1)
