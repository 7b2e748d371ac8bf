"""The interface of every trainer, whichever backend runs.

A trainer is a generator: it reads chunks of token ids from a `TokenSource` and yields a `TrainingStep` after every
unit of work. It knows nothing of files, Prefect or progress bars. The caller draws the bar, writes the checkpoint, or
stops the training by closing the generator.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

# Names in TrainingState.optimizer: the rows of n-gram buckets, and in a finished model the words' own rows.
NGRAM_VECTORS = "ngram_vectors"
OWN_VECTORS = "own_vectors"
# And in a finished model the factors of the positive pointwise mutual information: of words near each other, and of
# words and passages.
PPMI_VECTORS = "ppmi_vectors"
PASSAGE_VECTORS = "passage_vectors"


class StartingRun(Protocol):
    """A unit of work for one worker. start: units of one pass (tokens or pairs) before it."""

    @property
    def start(self) -> int:
        """Units of one pass before this chunk."""


class TokenRun(StartingRun, Protocol):
    """Consecutive tokens of the corpus, a unit of work for one worker; any object with these three attributes.

    token_ids: (N,) int32, rows of the vocabulary; words outside it are already dropped.
    sentence_offsets: (S + 1,) int64, sentence s is token_ids[sentence_offsets[s]:sentence_offsets[s + 1]].
    start: number of encoded tokens of the corpus before this chunk.
    """

    @property
    def token_ids(self) -> NDArray[np.int32]:
        """The tokens of all sentences, concatenated."""

    @property
    def sentence_offsets(self) -> NDArray[np.int64]:
        """Start of each sentence, and the end of the last one."""


@dataclass(frozen=True)
class TokenChunk:
    """The plain form of a `TokenRun`, with the same three attributes."""

    token_ids: NDArray[np.int32]
    sentence_offsets: NDArray[np.int64]
    start: int


class PairRun(StartingRun, Protocol):
    """Consecutive pairs of words that cooccur, each pair once; any object with these attributes.

    rows, columns: (N,) int32, rows of the vocabulary.  weights: (N,) float32, > 0, the symmetric count of the pair.
    """

    @property
    def rows(self) -> NDArray[np.int32]:
        """The first word of each pair."""

    @property
    def columns(self) -> NDArray[np.int32]:
        """The second word of each pair."""

    @property
    def weights(self) -> NDArray[np.float32]:
        """The count of each pair."""


@dataclass(frozen=True)
class PairChunk:
    """The plain form of a `PairRun`, with the same attributes."""

    rows: NDArray[np.int32]
    columns: NDArray[np.int32]
    weights: NDArray[np.float32]
    start: int


Run = TypeVar("Run", bound=StartingRun, covariant=True)


class ChunkSource(Protocol[Run]):
    """Work that can be read repeatedly, from any chunk on, always in the same order."""

    @property
    def token_count(self) -> int:
        """Units of one pass: encoded tokens, or pairs of words."""

    @property
    def chunk_count(self) -> int:
        """Chunks in one pass."""

    def read_chunks(self, first: int = 0) -> Iterator[Run]:
        """Every chunk from number `first` on, in order."""


# An encoded corpus, and the cooccurrences of one.
TokenSource = ChunkSource[TokenRun]
PairSource = ChunkSource[PairRun]


@dataclass(frozen=True)
class Vocabulary:
    """Counts of the words, and the two probabilities derived from them.

    counts: (V,) int64, most frequent first.
    keep_probability: (V,) float64 in (0, 1], chance that one occurrence survives subsampling.
    noise_probability: (V,) float64, probability of being drawn as a negative; sums to 1.
    ngrams: (V + 1,) int64 offsets and (N,) int32 hash buckets of each word's n-grams, for families that use them.
    """

    counts: NDArray[np.int64]
    keep_probability: NDArray[np.float64]
    noise_probability: NDArray[np.float64]
    ngrams: tuple[NDArray[np.int64], NDArray[np.int32]] | None = None

    def __len__(self) -> int:
        """Words in the vocabulary."""
        return len(self.counts)


class Allocator(Protocol):
    """Makes zeroed arrays as `numpy.zeros` does, in memory or in mapped files."""

    def __call__(self, shape: Any, dtype: type[np.float32]) -> NDArray[np.float32]:  # noqa: ANN401  # as numpy.zeros
        """An array of this shape."""


@dataclass
class TrainingState:
    """Everything needed to resume: the two matrices and the position in the corpus.

    center_vectors, context_vectors: (V, D) float32, updated in place while training runs.
    epoch: epochs finished.  next_chunk: first chunk of the current epoch not trained yet.
    loss_sum, pairs: running sums of the current epoch.  seconds: training time of the current epoch so far.
    optimizer: what else the model family trains or accumulates, by name; float32 arrays with V rows, or one row for
    each n-gram bucket.
    allocate: makes the arrays that training copies the matrices to.
    """

    center_vectors: NDArray[np.float32]
    context_vectors: NDArray[np.float32]
    epoch: int = 0
    next_chunk: int = 0
    loss_sum: float = 0.0
    pairs: int = 0
    seconds: float = 0.0
    optimizer: dict[str, NDArray[np.float32]] = field(default_factory=dict)
    allocate: Allocator = field(default=np.zeros, repr=False, compare=False)


@dataclass(frozen=True)
class EpochResult:
    """One finished epoch: number from 1, mean loss per positive pair, pairs, encoded tokens, seconds, last rate."""

    epoch: int
    mean_loss: float
    pairs: int
    tokens: int
    seconds: float
    learning_rate: float


@dataclass(frozen=True)
class TrainingStep:
    """The progress of training. At a `resumable` step no worker is writing and `state` can be saved.

    tokens_done: encoded tokens trained in all epochs so far.  epoch_result: set when an epoch has just ended.
    """

    state: TrainingState
    tokens_done: int
    resumable: bool
    epoch_result: EpochResult | None = None


class DivergenceError(ArithmeticError):
    """The vectors became NaN or infinite; the message names the epoch, the rate and the remedy."""


class ArrayTokenSource:
    """An encoded corpus that fits into memory: for tests, notebooks and benchmarks.

    sentences: arrays of token ids; each is kept whole.  chunk_tokens: a chunk ends with the sentence that reaches it.
    """

    def __init__(self, sentences: Iterable[NDArray[np.int32]], chunk_tokens: int = 1 << 17) -> None:
        parts = [np.asarray(sentence, np.int32) for sentence in sentences]
        self._token_ids = np.concatenate([np.zeros(0, np.int32), *parts])
        self._offsets = np.cumsum([0, *map(len, parts)], dtype=np.int64)
        self._chunks: list[tuple[int, int]] = []
        first = 0
        while first < len(parts):
            goal = self._offsets[first] + chunk_tokens
            last = min(int(np.searchsorted(self._offsets, goal)), len(parts))
            self._chunks.append((first, last))
            first = last

    @property
    def token_count(self) -> int:
        """Encoded tokens in one pass."""
        return len(self._token_ids)

    @property
    def chunk_count(self) -> int:
        """Chunks in one pass."""
        return len(self._chunks)

    def read_chunks(self, first: int = 0, step: int = 1) -> Iterator[TokenChunk]:
        """Every step-th chunk from number `first` on, in order."""
        for begin, end in self._chunks[first::step]:
            start, stop = int(self._offsets[begin]), int(self._offsets[end])
            yield TokenChunk(self._token_ids[start:stop], self._offsets[begin : end + 1] - start, start)


class ArrayPairSource:
    """Counts of pairs that fit into memory: for tests and benchmarks. Arrays as in `PairRun`."""

    def __init__(
        self,
        rows: NDArray[np.int32],
        columns: NDArray[np.int32],
        weights: NDArray[np.float32],
        chunk_pairs: int = 1 << 17,
    ) -> None:
        self._rows, self._columns, self._weights, self._chunk_pairs = rows, columns, weights, chunk_pairs

    @property
    def token_count(self) -> int:
        """Pairs in one pass."""
        return len(self._rows)

    @property
    def chunk_count(self) -> int:
        """Chunks in one pass."""
        return -(-self.token_count // self._chunk_pairs)

    def read_chunks(self, first: int = 0) -> Iterator[PairChunk]:
        """Every chunk from number `first` on, in order."""
        for start in range(first * self._chunk_pairs, self.token_count, self._chunk_pairs):
            part = slice(start, start + self._chunk_pairs)
            yield PairChunk(self._rows[part], self._columns[part], self._weights[part], start)
