"""The CPU trainers as other processors compile them: with vectors of 8 and 4 floats."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from numba.core.codegen import get_host_cpu_features

TESTS = Path(__file__).parent
HOST = get_host_cpu_features()  # type: ignore[no-untyped-call]
AVX2 = HOST.replace("+avx512", "-avx512")


def _run(arguments: list[str], variables: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments], env=os.environ | variables, capture_output=True, text=True, check=False
    )


@pytest.mark.long
@pytest.mark.skipif("+avx2," not in HOST, reason="this processor has no AVX2")
@pytest.mark.parametrize(
    ("variables", "lanes"), [({"NUMBA_CPU_FEATURES": AVX2}, 8), ({"NUMBA_ENABLE_AVX": "0"}, 4)], ids=["AVX2", "SSE"]
)
def test_the_trainers_are_right_with_narrower_vectors(variables: dict[str, str], lanes: int) -> None:
    found = _run(["-c", "from tasks.trainers.cpu.vector_code import LANES; print(LANES)"], variables)
    assert found.stdout == f"{lanes}\n", found.stderr
    tested = _run(["-m", "pytest", "-q", "-p", "no:cacheprovider", str(TESTS)], variables)
    assert tested.returncode == 0, tested.stdout
