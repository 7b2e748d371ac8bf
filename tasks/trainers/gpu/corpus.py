"""The corpus on the GPU: portions that are uploaded once and stay resident as far as they fit."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch

from tasks.trainers.bookkeeping import check_chunk
from tasks.trainers.interface import TokenRun, TokenSource


@dataclass(frozen=True)
class Portion:
    """Consecutive chunks of the corpus, trained together.

    tokens: (N,) int32, token ids, bits flipped at the start of a sentence.  start: tokens of the corpus before.
    first_chunk, next_chunk: its chunks, `next_chunk` excluded.
    """

    tokens: torch.Tensor
    start: int
    first_chunk: int
    next_chunk: int


class GpuCorpus:
    """The portions of a corpus, cut at the same positions in every epoch and after a resume at the start of one.

    words: size of the vocabulary.  portion_tokens: a portion ends with the chunk that reaches it.
    room_bytes: memory for resident portions; the others are read and uploaded again in every epoch.
    """

    def __init__(
        self, source: TokenSource, words: int, portion_tokens: int, room_bytes: int, device: torch.device
    ) -> None:
        self._source, self._words, self._device = source, words, device
        self._portion_tokens, self._room_bytes = portion_tokens, room_bytes
        self._kept: dict[int, Portion] = {}

    def portions(self, first_chunk: int) -> Iterator[Portion]:
        """Every portion from this chunk on, on the device."""
        chunk, reading = first_chunk, None
        while chunk < self._source.chunk_count:
            portion = self._kept.get(chunk)
            if portion is None:
                reading = reading or self._read(chunk)
                portion = self._uploaded(next(reading))
            else:
                reading = None
            yield portion
            chunk = portion.next_chunk

    def _read(self, first_chunk: int) -> Iterator[Portion]:
        """Portions from the source, in host memory. Raises ValueError for a malformed chunk."""
        waiting: list[TokenRun] = []
        chunk = first_chunk
        for chunk, run in enumerate(self._source.read_chunks(first_chunk), first_chunk):
            check_chunk(run, self._words)
            waiting.append(run)
            if sum(len(part.token_ids) for part in waiting) >= self._portion_tokens:
                yield _joined(waiting, chunk + 1)
                waiting = []
        if waiting:
            yield _joined(waiting, chunk + 1)

    def _uploaded(self, portion: Portion) -> Portion:
        if self._device.type == "cuda":
            # Copies from page-locked memory are queued like kernels.
            tokens = portion.tokens.pin_memory().to(self._device, non_blocking=True)
            portion = replace(portion, tokens=tokens)
        size = portion.tokens.nbytes
        if size <= self._room_bytes:
            self._room_bytes -= size
            self._kept[portion.first_chunk] = portion
        return portion


def _joined(runs: list[TokenRun], next_chunk: int) -> Portion:
    return Portion(joined_tokens(runs), runs[0].start, next_chunk - len(runs), next_chunk)


def joined_tokens(runs: Sequence[TokenRun]) -> torch.Tensor:
    """The tokens of consecutive runs as in `Portion.tokens`, in host memory."""
    tokens = np.concatenate([run.token_ids for run in runs])
    begin = 0
    for run in runs:
        offsets = run.sentence_offsets
        starts = begin + offsets[:-1][np.diff(offsets) > 0]
        tokens[starts] = ~tokens[starts]
        begin += len(run.token_ids)
    return torch.from_numpy(tokens)
