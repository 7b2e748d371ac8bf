"""Small pieces of corpus on the GPU, or in Triton's interpreter where there is none, for the tests of its kernels.

Importing this skips the importing tests, with the reason, where Triton is missing.
"""

from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from tasks.trainers.config import SkipGramConfig
from tasks.trainers.interface import ArrayTokenSource, TrainingState, Vocabulary
from tests.trainers.gpu.tile_reference import DrawnTokens

triton_model = pytest.importorskip("tasks.trainers.gpu.model")
triton_corpus = pytest.importorskip("tasks.trainers.gpu.corpus")
DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")


def random_state(words: int, dimension: int, seed: int = 1) -> TrainingState:
    """Vectors as large as trained ones."""
    centers, contexts = np.random.default_rng(seed).normal(0, 0.3, (2, words, dimension)).astype(np.float32)
    return TrainingState(centers, contexts)


def portions(source: ArrayTokenSource, words: int, portion_tokens: int = 1 << 20, room_bytes: int = 0) -> list[Any]:
    """Every portion of the source, on the device."""
    return list(triton_corpus.GpuCorpus(source, words, portion_tokens, room_bytes, DEVICE).portions(0))


def one_portion(sentences: list[NDArray[np.int32]], words: int, start: int = 0) -> Any:
    """All sentences as one portion that starts after `start` tokens."""
    (portion,) = portions(ArrayTokenSource(sentences, 1 << 30), words)
    return triton_corpus.Portion(portion.tokens, start, 0, 1)


def model(
    vocabulary: Vocabulary, config: SkipGramConfig, state: TrainingState | None = None, exact: bool = False
) -> Any:
    """A model whose corpus has 1000 tokens."""
    state = state or random_state(len(vocabulary), config.dimension)
    return triton_model.GpuModel(vocabulary, config, state, 1000, DEVICE, exact=exact)


def drawn_tokens(draws: Any) -> DrawnTokens:
    """The survivors alone, as arrays."""
    count = int(draws.count)
    words, sentences, positions, radii = (
        values[:count].cpu().numpy() for values in (draws.words, draws.sentences, draws.positions, draws.radii)
    )
    return DrawnTokens(words, sentences, positions, radii, draws.outputs[: -(-count // 16)].cpu().numpy())
