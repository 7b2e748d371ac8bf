"""A table as a layer of a PyTorch model."""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn


class WordEmbedding(nn.Embedding):
    """An nn.Embedding that knows its words.

    word_to_index: word -> row of the weights.  unknown_index: row of unknown words, None without one.
    """

    word_to_index: dict[str, int]
    unknown_index: int | None

    def encode(self, token_lists: Sequence[Sequence[str]]) -> torch.Tensor:
        """Lists of tokens as indices (N, longest list), int64, padded on the right; unknown tokens as `unk`.

        Without a row for `unk` unknown tokens are left out. Raises ValueError if lists differ in length and there is no
        row for `pad`.
        """
        get = self.word_to_index.get
        lists = [
            [index for token in tokens if (index := get(token, self.unknown_index)) is not None]
            for tokens in token_lists
        ]
        longest = max(map(len, lists), default=0)
        if self.padding_idx is None and any(len(indices) < longest for indices in lists):
            raise ValueError("the lists differ in length; padding them needs an embedding with `pad`")
        padding = self.padding_idx or 0
        return torch.tensor([indices + [padding] * (longest - len(indices)) for indices in lists], dtype=torch.long)


def word_embedding(
    words: Sequence[str], vectors: NDArray[np.float32], pad: str | None, unk: str | None, *, freeze: bool
) -> WordEmbedding:
    """V words and their (V, D) vectors as an embedding of V rows and those of `pad` and `unk`. See `Table.to_torch`."""
    known = set(words)
    added = [token for token in (pad, unk) if token is not None and token not in known]
    weights = torch.empty(len(added) + len(words), vectors.shape[1])
    weights[len(added) :] = torch.from_numpy(np.array(vectors))
    word_to_index = {token: row for row, token in enumerate([*added, *words])}
    if unk in added:
        weights[word_to_index[unk]] = torch.from_numpy(vectors.mean(axis=0, dtype=np.float64))
    padding = None if pad is None else word_to_index[pad]
    if padding is not None:
        weights[padding] = 0
    embedding = WordEmbedding(len(weights), weights.shape[1], padding_idx=padding, _weight=weights, _freeze=freeze)
    embedding.word_to_index = word_to_index
    embedding.unknown_index = None if unk is None else word_to_index[unk]
    return embedding
