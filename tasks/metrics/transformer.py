"""A small Transformer classifier of texts, without positions, with fixed or with learned ones.

Without positions, its answer doesn't depend on the order of the words, like that of the mean.
"""

from typing import Literal, get_args

import torch
from torch import Tensor, nn

Positions = Literal["none", "fixed", "learned"]
POSITIONS: tuple[Positions, ...] = get_args(Positions)
WIDTH = 64
HEADS = 4
INNER_UNITS = 128
LAYERS = 2
DROPOUT = 0.1
# Of the fixed positions: wavelengths from 2 pi to 10,000 times that.
LONGEST_WAVE = 10_000.0


class TransformerClassifier(nn.Module):
    """Two encoder layers over a text's words, the mean of their outputs, one logit.

    Source: Vaswani et al. 2017, "Attention Is All You Need"; layers are normalised first (Xiong et al. 2020).
    """

    def __init__(self, table: Tensor, positions: Positions, longest: int, *, frozen: bool, pad: int = 0) -> None:
        """table: (V, D), row `pad` of which is padding.  longest: words of a text; there is a position for each."""
        super().__init__()
        rows, dimension = table.shape
        self.pad = pad
        self.embedding = nn.Embedding(rows, dimension, padding_idx=pad, _weight=table, _freeze=frozen)
        # Normalised, so that words and positions have the same length whatever the vectors' length.
        self.project = nn.Sequential(nn.Linear(dimension, WIDTH), nn.LayerNorm(WIDTH))
        if positions == "learned":
            self.positions: nn.Parameter | None = nn.Parameter(torch.randn(longest, WIDTH))
        elif positions == "fixed":
            self.positions = nn.Parameter(fixed_positions(longest, WIDTH), requires_grad=False)
        else:
            self.positions = None
        layer = nn.TransformerEncoderLayer(
            WIDTH, HEADS, INNER_UNITS, DROPOUT, activation="gelu", batch_first=True, norm_first=True
        )
        self.encoder = nn.TransformerEncoder(layer, LAYERS, nn.LayerNorm(WIDTH), enable_nested_tensor=False)
        self.output = nn.Linear(WIDTH, 1)

    def forward(self, ids: Tensor) -> Tensor:
        """(B, L) rows of the table to (B,) logits."""
        padding = ids == self.pad
        words: Tensor = self.project(self.embedding(ids))
        if self.positions is not None:
            words = words + self.positions[: ids.shape[1]]
        # A text without words attends to its first padding; attention over nothing has no value.
        masked = padding.clone()
        masked[:, 0] &= ~padding.all(dim=1)
        outputs = self.encoder(words, src_key_padding_mask=masked).masked_fill(padding[:, :, None], 0)
        mean = outputs.sum(dim=1) / (~padding).sum(dim=1, keepdim=True).clamp(min=1)
        logits: Tensor = self.output(mean).squeeze(1)
        return logits


def fixed_positions(longest: int, width: int) -> Tensor:
    """(longest, width) sine in the even columns and cosine in the odd ones, of wavelengths in geometric progression.

    Source: Vaswani et al. 2017, section 3.5.
    """
    rates = LONGEST_WAVE ** (-torch.arange(0, width, 2, dtype=torch.float64) / width)
    angles = torch.arange(longest, dtype=torch.float64)[:, None] * rates
    return torch.stack([angles.sin(), angles.cos()], dim=2).flatten(1)[:, :width].float()
