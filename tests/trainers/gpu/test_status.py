"""When the GPU backend runs, and what is said when it does not. The GPU is a stand-in: its answers, not its work."""

import importlib.util
import json
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest
import torch

from tasks.trainers.backends import available_backends, explain_backend, resolve_backend, resolve_config
from tasks.trainers.config import SkipGramConfig
from tasks.trainers.gpu import status as triton_status

GIGABYTE = 10**9
AUTO = SkipGramConfig()
TRITON = SkipGramConfig(backend="triton")
SetGpu = Callable[..., None]


@pytest.fixture
def set_gpu(monkeypatch: pytest.MonkeyPatch) -> SetGpu:
    """Pretend to a GPU, with everything that is needed unless said otherwise."""

    def pretend(
        missing: str = "",
        cuda: str | None = "13.0",
        devices: int = 1,
        capability: tuple[int, int] = (9, 0),
        free: int = 140 * GIGABYTE,
        total: int = 150 * GIGABYTE,
    ) -> None:
        monkeypatch.setattr(triton_status, "find_spec", lambda name: None if name == missing else "found")
        monkeypatch.setattr(torch.version, "cuda", cuda)
        monkeypatch.setattr(torch.cuda, "is_available", lambda: devices > 0)
        monkeypatch.setattr(torch.cuda, "get_device_capability", lambda: capability)
        monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "NVIDIA H200")
        monkeypatch.setattr(torch.cuda, "mem_get_info", lambda *_: (free, total))

    return pretend


@pytest.mark.parametrize(
    ("lacking", "reason"),
    [
        ({"missing": "torch"}, "the package torch is not installed"),
        ({"missing": "triton"}, "the package triton is not installed"),
        ({"cuda": None}, f"torch {torch.__version__} is built without CUDA"),
        ({"devices": 0}, "no CUDA device"),
        ({"capability": (7, 5)}, "NVIDIA H200 has compute capability 7.5, and 8.0 is the least supported"),
    ],
)
def test_what_is_lacking_is_said_and_auto_goes_on(set_gpu: SetGpu, lacking: dict[str, Any], reason: str) -> None:
    set_gpu(**lacking)
    status = available_backends()[0]
    assert (status.name, status.available, status.reason) == ("triton", False, reason)
    with pytest.raises(ValueError, match=r"training\.backend triton cannot run here: ") as error:
        resolve_backend(TRITON)
    assert reason in str(error.value)
    assert resolve_backend(AUTO) == "numba"
    assert explain_backend(AUTO).endswith(f"; not triton: {reason}")


def test_auto_selects_an_available_gpu(set_gpu: SetGpu) -> None:
    set_gpu()
    resolved = resolve_config(AUTO, words=70_000)
    assert isinstance(resolved, SkipGramConfig)
    assert (resolved.backend, resolved.device, resolved.workers) == ("triton", "cuda", 1)
    assert resolved.narrowing_windows is False
    assert explain_backend(AUTO) == "triton (NVIDIA H200)"
    assert resolve_backend(SkipGramConfig(backend="numba")) == "numba"


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"model": "cbow"}, "it trains skip_gram, and training.model is cbow"),
        ({"device": "cpu"}, "training.device is cpu"),
    ],
)
def test_settings_that_it_does_not_take_are_refused(set_gpu: SetGpu, settings: dict[str, Any], reason: str) -> None:
    set_gpu()
    with pytest.raises(ValueError, match=f"triton cannot run here: {reason}"):
        resolve_config(TRITON.model_copy(update=settings))
    assert resolve_backend(AUTO.model_copy(update=settings)) == "numba"


def test_who_asks_for_reproducible_vectors_is_not_given_a_gpu(set_gpu: SetGpu) -> None:
    set_gpu()
    assert resolve_backend(SkipGramConfig(workers=1)) == "numba"
    assert "reproduced bit by bit" in explain_backend(SkipGramConfig(workers=1))
    assert resolve_backend(SkipGramConfig(workers=1, backend="triton")) == "triton"


def test_a_gpu_too_small_for_the_vocabulary_is_passed_over(set_gpu: SetGpu) -> None:
    set_gpu(free=7 * GIGABYTE, total=8 * GIGABYTE)
    large = SkipGramConfig(dimension=1000)
    assert resolve_backend(large, words=100_000) == "triton"
    assert resolve_backend(large) == "triton"
    assert resolve_backend(large, words=2_000_000) == "numba"
    assert (
        "too little memory on NVIDIA H200: 16.5 GB needed for 2,000,000 words of dimension 1000, 7.0 of 8.0 GB free"
    ) in explain_backend(large, words=2_000_000)


def test_memory_that_others_hold_does_not_change_the_choice(set_gpu: SetGpu) -> None:
    set_gpu(free=0)
    assert resolve_backend(AUTO, words=70_000) == "triton"
    said = triton_status.memory_obstacle(70_000, 100, now=True)
    assert said is not None
    assert said.endswith("0.0 of 150.0 GB free")


def test_only_the_gpu_backend_keeps_its_setting() -> None:
    given = SkipGramConfig(backend="numba", centers_in_flight=512)
    resolved = resolve_config(given).model_dump()
    assert (resolved["centers_in_flight"], resolved["narrowing_windows"]) == (None, True)


def test_the_trainers_import_where_only_torch_and_numpy_are_installed() -> None:
    code = """
import importlib, json, pkgutil, sys
sys.modules.update(dict.fromkeys(["numba", "llvmlite", "scipy", "pyarrow", "gensim", "prefect", "duckdb"]))
import tasks.trainers
missing = {}
for module in pkgutil.walk_packages(tasks.trainers.__path__, "tasks.trainers."):
    try:
        importlib.import_module(module.name)
    except ModuleNotFoundError as error:
        missing[module.name.removeprefix("tasks.trainers.")] = str(error)
from tasks.trainers.backends import available_backends
print(json.dumps([missing, {status.name: status.reason for status in available_backends()}]))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    missing, reasons = json.loads(done.stdout)
    with_numba = {"ngrams", "processes.training"} | {
        f"cpu.{name}"
        for name in (
            "cooccurrences", "glove", "glove_kernel", "kernel", "passages", "ppmi", "subword_kernel", "subwords",
            "trainer", "vector_code", "window_code",
        )
    }  # fmt: skip
    with_triton = {"gpu.kernels", "gpu.model", "gpu.trainer", "processes.gpu"}
    is_there = importlib.util.find_spec("triton") is not None
    assert set(missing) == with_numba | (set() if is_there else with_triton)
    assert all("numba" in missing[name] or "llvmlite" in missing[name] for name in with_numba)
    assert is_there or all("install the extra `kernels`" in missing[name] for name in with_triton)
    assert reasons["numba"] == "the package numba is not installed"
