"""Encode single words with a text encoder, on the cores of one machine.

Batches are a function of the words alone and each is computed by one thread, so the result is bit-identical for any
number of workers.
"""

from collections.abc import Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

# Words of one forward pass: 128 and 64 are equally fast on 2 cores, 32 is a third slower.
BATCH_WORDS = 128
# Words between two results. They are sorted by length, so that batches have little padding.
CHUNK_WORDS = 2048
LIBRARY = "sentence_transformers"
EXTRA = "the extra `encoders` is not installed: pip install 'vecmill[encoders]'"
# What joins the parts of a phrase, and marks the start of a word in pieces of BPE and Unigram models.
JOINTS = str.maketrans({"_": " ", "▁": " "})


def missing_library() -> str | None:
    """Why no encoder can run here; None if one can."""
    return None if find_spec(LIBRARY) else EXTRA


class WordEncoder:
    """A loaded encoder. dimension: length of its vectors.

    Raises ValueError with the reason if the folder holds no model that the library can load.
    """

    def __init__(self, folder: Path) -> None:
        # Deferred: imports torch and transformers, which takes seconds.
        from sentence_transformers import SentenceTransformer
        from transformers.utils import logging as library_logging

        library_logging.disable_progress_bar()  # type: ignore[no-untyped-call]
        try:
            # With a folder and local_files_only it never looks at the network; no code of the folder is run.
            self._model: Any = SentenceTransformer(
                str(folder), device="cpu", local_files_only=True, trust_remote_code=False
            )
        except Exception as error:  # whatever the classes that the folder names raise
            raise ValueError(f"{type(error).__name__}: {error}") from error
        self._model.eval()
        self.dimension = len(self._encode([""])[0])

    def encode(self, words: Sequence[str], workers: int) -> Generator[NDArray[np.float32]]:
        """Yield the (N, E) float32 vectors of the words, in their order, in chunks.

        workers: threads; all results are the same bits for any number.
        """
        import torch

        threads = torch.get_num_threads()
        pool = ThreadPoolExecutor(workers, initializer=torch.set_num_threads, initargs=(1,))
        try:
            for first in range(0, len(words), CHUNK_WORDS):
                chunk = words[first : first + CHUNK_WORDS]
                order = sorted(range(len(chunk)), key=lambda row: len(chunk[row]))
                batches = [order[start : start + BATCH_WORDS] for start in range(0, len(order), BATCH_WORDS)]
                # Tokenizers are not safe to share between threads, so texts are tokenized here.
                running = [
                    pool.submit(self._forward, self._tokenized([chunk[row] for row in rows])) for rows in batches
                ]
                vectors = np.empty((len(chunk), self.dimension), np.float32)
                for rows, result in zip(batches, running, strict=True):
                    vectors[rows] = result.result()
                yield vectors
        finally:
            pool.shutdown(cancel_futures=True)
            torch.set_num_threads(threads)

    def _encode(self, words: Sequence[str]) -> NDArray[np.float32]:
        return self._forward(self._tokenized(words))

    def _tokenized(self, words: Sequence[str]) -> Any:  # noqa: ANN401  # tensors by name
        return self._model.preprocess([word.translate(JOINTS).strip() or word for word in words])

    def _forward(self, features: Any) -> NDArray[np.float32]:  # noqa: ANN401
        import torch

        with torch.inference_mode():
            vectors: NDArray[np.float32] = self._model(features)["sentence_embedding"].float().numpy()
        return vectors
