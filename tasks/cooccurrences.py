"""Count which words occur near each other: the stage between the encoded corpus and training that needs counts."""

import logging
import shutil
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from storage.corpus.cooccurrences import (
    BYTES_PER_PAIR,
    BYTES_PER_SPILLED_PAIR,
    SpilledRuns,
    write_cooccurrences,
)
from storage.corpus.encoded import EncodedChunk, EncodedCorpus
from storage.corpus.vocabularies import read_vocabulary
from storage.errors import TrainingError
from storage.layout import Workspace
from storage.memory import release_memory
from storage.stages import Manifest, Stage, StageFacts, complete_stage
from tasks.compute_config import ComputeConfig
from tasks.engine import LOCAL, Engine, opened_engine
from tasks.pipeline_task import pipeline_task
from tasks.progress import counted
from tasks.text.cooccurrences import expected_pairs
from tasks.trainers.backends import resolve_backend, resolve_workers
from tasks.trainers.compiling import finish_compiling
from tasks.trainers.config import CooccurrenceConfig, CountingConfig
from tasks.vocabulary import EncodedFacts, VocabularyFacts

logger = logging.getLogger(__name__)

STAGE_VERSION = 1
MEGABYTE = 1 << 20


class CooccurrenceFacts(StageFacts):
    """Cooccurrence counts. pairs: of different words or of a word with itself, in either order, each once.

    spilled: pairs in the sorted runs that were merged.
    """

    label: ClassVar[str] = "cooccurrences"
    unit: ClassVar[str] = "pairs"

    pairs: int
    spilled: int

    @property
    def row_count(self) -> int:
        """Pairs."""
        return self.pairs


def cooccurrence_stage(
    encoded: Stage[EncodedFacts] | Manifest[EncodedFacts],
    vocabulary: Stage[VocabularyFacts] | Manifest[VocabularyFacts],
    config: CountingConfig,
) -> Stage[CooccurrenceFacts]:
    """The stage for this corpus and window."""
    inputs = {"encoded": encoded.digest, "vocabulary": vocabulary.digest}
    settings = {"window_radius": config.counted_radius}
    return Stage("cooccurrences", STAGE_VERSION, settings, inputs, CooccurrenceFacts)


def counted_files(config: CountingConfig, only: Sequence[str] | None) -> Sequence[str] | None:
    """Names of the files whose text is counted, None for all.

    only: those to train on, None for all.  PPMI is not trained further, so it needs the whole text each time.
    """
    return only if isinstance(config, CooccurrenceConfig) else None


@pipeline_task("count cooccurrences")
def count_cooccurrences(
    encoded: Manifest[EncodedFacts],
    vocabulary: Manifest[VocabularyFacts],
    config: CountingConfig,
    workspace: Workspace,
    compute: ComputeConfig = LOCAL,
) -> Manifest[CooccurrenceFacts]:
    """Count the pairs of words within `config.counted_radius`, in bounded memory.

    compute: where this runs, which does not change the counts.
    Raises TrainingError, before it starts, if no backend can train or the disk space that it may use is too small.
    """
    try:
        resolve_backend(config)
    except ValueError as error:
        raise TrainingError(str(error)) from error
    radius = config.counted_radius
    assert radius is not None, "these settings need no counts"
    memory, workers = config.cooccurrence_megabytes * MEGABYTE, resolve_workers(config)

    def build(folder: Path) -> CooccurrenceFacts:
        from tasks.trainers.cpu.cooccurrences import count_cooccurrences, decoded

        words = read_vocabulary(vocabulary.path)
        finish_compiling()
        _check_disk(workspace, words.counts * words.keep_probability, encoded.facts, config, radius)
        runs = SpilledRuns(folder)

        def pairs() -> Iterator[tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.float32]]]:
            # Half, because much of the process's memory is fragmented after counting: the peak of a build was here.
            for keys, sums in runs.merged(memory // 2):
                yield decoded(keys, sums, len(words.words), radius)

        read = EncodedCorpus(encoded.path).read_chunks()
        chunks = counted(read, _token_count, "counting pairs", encoded.facts.tokens, "tokens")
        with opened_engine(compute) as engine:
            if engine.shares_memory:
                count_cooccurrences(chunks, words.keep_probability, radius, memory, workers, runs.add)
            else:
                _count_on_workers(engine, chunks, words.keep_probability, radius, memory, runs)
        release_memory()
        written = write_cooccurrences(folder, pairs())
        runs.remove()
        if not written and isinstance(config, CooccurrenceConfig):
            raise TrainingError(
                "no two words of the vocabulary occur in the same document, so GloVe has nothing to train on; "
                "use training.model=skip_gram or longer documents"
            )
        return CooccurrenceFacts(pairs=written, spilled=runs.pairs)

    manifest = complete_stage(workspace, cooccurrence_stage(encoded, vocabulary, config), build)
    logger.info("%s pairs of words cooccur within %d words", f"{manifest.facts.pairs:,}", radius)
    return manifest


def _count_on_workers(
    engine: Engine,
    chunks: Iterable[EncodedChunk],
    keep_probability: NDArray[np.float64],
    radius: int,
    memory: int,
    runs: SpilledRuns,
) -> None:
    """Count parts of the corpus on workers, sum their counts in memory as long as they fit, and spill the sums.

    memory: bytes that each worker and this process may use.
    """
    from tasks.trainers.cpu.cooccurrences import LARGEST_LOAD, count_apart, summed_runs, table_slots

    most_pairs = int(table_slots(memory) * LARGEST_LOAD)
    waiting: list[tuple[NDArray[np.uint64], NDArray[np.int64]]] = []
    for _, run in engine.map(count_apart, _groups(chunks, most_pairs // radius - 1), keep_probability, radius):
        waiting.append(run)
        if sum(len(keys) for keys, _ in waiting) > most_pairs:
            waiting = [summed_runs(waiting)]
            # Sums that are not much shorter than their parts would be sorted again and again.
            if len(waiting[0][0]) > most_pairs / 2:
                runs.add(*waiting.pop())
    if waiting:
        runs.add(*summed_runs(waiting))


def _groups(chunks: Iterable[EncodedChunk], most_tokens: int) -> Iterator[tuple[None, list[EncodedChunk]]]:
    """Consecutive chunks of at most this many tokens, but at least one chunk."""
    group: list[EncodedChunk] = []
    tokens = 0
    for chunk in chunks:
        if group and tokens + len(chunk.token_ids) > most_tokens:
            yield None, group
            group, tokens = [], 0
        group.append(chunk)
        tokens += len(chunk.token_ids)
    if group:
        yield None, group


def _check_disk(
    workspace: Workspace,
    counts: NDArray[np.float64],
    encoded: EncodedFacts,
    config: CountingConfig,
    radius: int,
) -> None:
    """Log the resources that counting may use. Raises TrainingError if the disk space is too small.

    counts: (V,) float64, occurrences of each word after subsampling.
    """
    # The counts are those of the whole corpus, and the encoded one may be a part of it.
    tokens = min(encoded.tokens, int(counts.sum()))
    pairs, spilled = expected_pairs(counts, tokens * radius, config.cooccurrence_megabytes * MEGABYTE)
    needed = -(-(pairs * BYTES_PER_PAIR + spilled * BYTES_PER_SPILLED_PAIR) // MEGABYTE)
    free = shutil.disk_usage(workspace.root).free // MEGABYTE
    limit = config.cooccurrence_disk_megabytes
    logger.info(
        "counting at most %s pairs of %s words in %s MB of memory and about %s MB of disk (%s MB free)",
        f"{pairs:,}", f"{len(counts):,}", f"{config.cooccurrence_megabytes:,}", f"{needed:,}", f"{free:,}",
    )  # fmt: skip
    allowed, what = (free, f"{workspace.root} has {free:,} MB free") if limit is None else (
        limit, f"training.cooccurrence_disk_megabytes is {limit:,}"
    )  # fmt: skip
    if needed > allowed:
        raise TrainingError(
            f"counting the cooccurrences of {tokens:,} tokens and {len(counts):,} words may need {needed:,} MB of "
            f"disk, and {what}; lower vocabulary.max_size or training.window_radius, or allow more disk space"
        )


def _token_count(chunk: EncodedChunk) -> int:
    return len(chunk.token_ids)
