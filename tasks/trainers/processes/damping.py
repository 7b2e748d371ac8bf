"""How the changes that ranks have made to a row without seeing each other's combine into one change.

While the changes are small they add up, like those of threads. Where a row has been used so often that each rank has
moved it to where its text pulls it, the sum of P such moves would be P times too far, which diverges from about four
ranks on; their mean is right there. How far a row has come differs by direction: in the direction that all rows of the
other table share, a few dozen uses suffice, in others ten thousand do not. Averaging in all directions would train as
if the corpus were P times shorter.

Gradient descent at rate r moves a row along an eigenvector of the curvature h by the part 1 - exp(-r h n) of the way in
n uses. One rank that did the work of all would come as far as 1 - exp(-P r h n), so the sum of P changes is multiplied
by (1 - exp(-P r h n)) / (P (1 - exp(-r h n))): 1 where the row has hardly moved, 1 / P where it has arrived. The
curvature of the loss of word2vec is the sum of c c' s (1 - s) over the rows c of the other table that a use meets, s
being the logistic function of the product.
"""

from dataclasses import dataclass

import torch

# Of the most frequent rows, which make up most uses; the rest of them is taken to be alike.
MEASURED_ROWS = 1024
# Mean of s (1 - s); at most 1/4, where the products are zero. Of 0.1, 0.15 and 0.2, four ranks have the lowest loss and
# the highest SimLex-999 with 0.2 (docs/experiments.md).
SLOPE = 0.2
# Movie reviews, 100 dimensions: the first direction pulls 13 to 25 times as strongly as the ninth, and the others are
# nearly alike. Turning changes into all directions took more time than the training between two exchanges.
DIRECTIONS = 8
# Movie reviews: with up to four ranks the damped sum is stable and scores higher; with eight it diverges.
RANKS_THAT_NEED_AGREEMENT = 5
# Below 2: a step of twice the way to where a row is pulled never arrives.
LARGEST_STEP = 1.5


@dataclass(frozen=True)
class Pull:
    """The curvature that the rows of one table cause in those of the other, without the slope of the logistic function.

    directions: (D, K), the eigenvectors with the largest eigenvalues as columns.  strengths: (K + 1,), their
    eigenvalues, and the mean of the others.
    """

    strengths: torch.Tensor
    directions: torch.Tensor


def pull_of(table: torch.Tensor, use: torch.Tensor) -> Pull:
    """The mean pull of a table on a row that meets its rows as often as they are used.

    table: (V, D).  use: (V,), how often each row is used, in any unit.
    """
    rows, weights = table[:MEASURED_ROWS], use[:MEASURED_ROWS]
    moments = (rows * (weights / weights.sum())[:, None]).T @ rows
    # A divergence is found by its loss, at the end of the round; until then the numbers need only be numbers.
    strengths, directions = torch.linalg.eigh(moments.nan_to_num(0.0, 0.0, 0.0))
    # Ascending.
    others = len(strengths) - min(DIRECTIONS, len(strengths) - 1)
    mean = strengths[:others].mean()
    return Pull(torch.cat([strengths[others:], mean[None]]).clamp_min(0), directions[:, others:].contiguous())


def damped(changes: torch.Tensor, meetings: torch.Tensor, pull: Pull, learning_rate: float, ranks: int) -> torch.Tensor:
    """The part of a rank's changes that is right to add to those of the others.

    changes: (N, D), of one rank.  meetings: (N,), rows of the other table that each row has met on one rank.
    Returns (N, D).
    """
    if ranks == 1:
        return changes
    way = (learning_rate * SLOPE) * meetings[:, None] * pull.strengths[None, :]
    kept = share_kept(way, ranks)
    others = kept[:, -1:]
    along = (changes @ pull.directions) * (kept[:, :-1] - others)
    return torch.addmm(changes * others, along, pull.directions.T)


def share_kept(way: torch.Tensor, ranks: int) -> torch.Tensor:
    """Share of the sum of changes that is right if each rank has come 1 - exp(-way) of its way: from 1 to 1 / ranks."""
    # Below this, rounding errors of both differences matter more than the bound does.
    way = way.clamp_min(1e-3)
    return (1 - torch.exp(-ranks * way)) / (ranks * (1 - torch.exp(-way)))


def agreed(changes: torch.Tensor, squares: torch.Tensor, ranks: int) -> torch.Tensor:
    """Shorten a row's sum of changes if the ranks agree on it.

    changes: (N, D), summed over the ranks.  squares: (N,), their squared lengths, summed.
    Changes at right angles to each other keep their sum. Equal ones become LARGEST_STEP times one of them.
    """
    if ranks < RANKS_THAT_NEED_AGREEMENT:
        return changes
    lengths = (changes * changes).sum(dim=1).clamp_min(torch.finfo(torch.float32).tiny)
    return changes * (LARGEST_STEP * squares / lengths).clamp(max=1.0)[:, None]
