"""The kernel is compiled ahead only where Numba's cache lacks it, and training then loads it."""

from pathlib import Path

import pytest

from tasks.trainers import compiling
from tasks.trainers.config import CbowConfig, FastTextConfig, GloveConfig, SkipGramConfig, TrainingConfig


@pytest.mark.long
@pytest.mark.parametrize(
    "config",
    [SkipGramConfig(dimension=16), CbowConfig(dimension=16), FastTextConfig(dimension=16, architecture="cbow")],
)
def test_the_kernel_is_compiled_into_the_cache_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, config: TrainingConfig
) -> None:
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path))
    compiling.start_compiling(config)
    assert len(compiling._started) == 1
    compiling.finish_compiling()
    kernel = "subword_kernel" if isinstance(config, FastTextConfig) else "kernel"
    assert list(tmp_path.rglob(f"{kernel}.*.nbc"))
    compiling.start_compiling(config)
    compiling.prepare_kernel(config)
    assert not compiling._started


@pytest.mark.parametrize("config", [GloveConfig(), SkipGramConfig(backend="torch"), SkipGramConfig(backend="triton")])
def test_what_the_kernel_does_not_train_compiles_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, config: TrainingConfig
) -> None:
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path))
    compiling.start_compiling(config)
    compiling.prepare_kernel(config)
    assert not compiling._started
