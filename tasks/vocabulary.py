"""Build the vocabulary from the tokens, and encode the corpus with it."""

import logging
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from storage.corpus.encoded import EncodedRows, write_encoded
from storage.corpus.held_out import write_held_out
from storage.corpus.segments import read_index
from storage.corpus.tokens import TokenBatch, read_tokens
from storage.corpus.vocabularies import WordTable, read_vocabulary, write_vocabulary
from storage.corpus.word_counts import FrequentWords, read_frequent_words
from storage.errors import VocabularyError
from storage.layout import Workspace
from storage.stages import Manifest, Stage, StageFacts, complete_stage
from tasks.compute_config import ComputeConfig
from tasks.engine import LOCAL, Engine, opened_engine
from tasks.pipeline_task import pipeline_task
from tasks.progress import counted
from tasks.text.held_out import item_hashes, last_items
from tasks.text.vocabulary import (
    VocabularyConfig,
    keep_probability,
    noise_probability,
    token_ids,
)
from tasks.tokens import TokensFacts

logger = logging.getLogger(__name__)

VOCABULARY_STAGE_VERSION = 1
ENCODED_STAGE_VERSION = 3


class VocabularyFacts(StageFacts):
    """A vocabulary. corpus_tokens: occurrences of all words.  covered_tokens: occurrences of the words kept."""

    label: ClassVar[str] = "vocabulary"
    unit: ClassVar[str] = "words"

    words: int
    distinct_words: int
    corpus_tokens: int
    covered_tokens: int

    @property
    def row_count(self) -> int:
        """Words."""
        return self.words


class EncodedFacts(StageFacts):
    """An encoded corpus. tokens: tokens in the vocabulary.  corpus_tokens: all tokens of the selected files.

    held_out: sequences whose last item it lacks.
    """

    label: ClassVar[str] = "encoded"
    unit: ClassVar[str] = "tokens"

    tokens: int
    corpus_tokens: int
    files: int
    held_out: int = 0

    @property
    def row_count(self) -> int:
        """Tokens."""
        return self.tokens


def vocabulary_stage(
    tokens: Stage[TokensFacts] | Manifest[TokensFacts], config: VocabularyConfig
) -> Stage[VocabularyFacts]:
    """The stage for these tokens and settings."""
    inputs = {"tokens": tokens.digest}
    return Stage("vocabularies", VOCABULARY_STAGE_VERSION, config.model_dump(), inputs, VocabularyFacts)


def encoded_stage(
    tokens: Stage[TokensFacts] | Manifest[TokensFacts],
    vocabulary: Stage[VocabularyFacts] | Manifest[VocabularyFacts],
    only: Sequence[str] | None = None,
    held_out: int = 0,
) -> Stage[EncodedFacts]:
    """The stage for these tokens and this vocabulary. only, held_out: as in `encode_corpus`."""
    inputs = {"tokens": tokens.digest, "vocabulary": vocabulary.digest}
    config: dict[str, object] = {} if only is None else {"only": list(only)}
    if held_out:
        config["held_out_sequences"] = held_out
    return Stage("encoded", ENCODED_STAGE_VERSION, config, inputs, EncodedFacts)


@pipeline_task("build vocabulary")
def build_vocabulary(
    tokens: Manifest[TokensFacts], config: VocabularyConfig, workspace: Workspace
) -> Manifest[VocabularyFacts]:
    """Count the words and keep the frequent ones. Raises VocabularyError if fewer than two remain."""

    def build(folder: Path) -> VocabularyFacts:
        kept = read_frequent_words(tokens.path, config.min_count, config.max_size, folder)
        if len(kept.words) < 2:
            raise _too_few_words(kept, config)
        write_vocabulary(
            folder,
            WordTable(
                words=kept.words.to_pylist(),
                counts=kept.counts,
                frequency=kept.counts / kept.total,
                keep_probability=keep_probability(kept.counts, config.subsample_threshold),
                noise_probability=noise_probability(kept.counts, config.noise_exponent),
            ),
        )
        return VocabularyFacts(
            words=len(kept.words),
            distinct_words=kept.distinct,
            corpus_tokens=kept.total,
            covered_tokens=int(kept.counts.sum()),
        )

    manifest = complete_stage(workspace, vocabulary_stage(tokens, config), build)
    facts = manifest.facts
    logger.info(
        "kept %s of %s distinct words, which cover %.1f %% of %s tokens",
        f"{facts.words:,}",
        f"{facts.distinct_words:,}",
        100 * facts.covered_tokens / facts.corpus_tokens,
        f"{facts.corpus_tokens:,}",
    )
    return manifest


@pipeline_task("encode corpus")
def encode_corpus(
    tokens: Manifest[TokensFacts],
    vocabulary: Manifest[VocabularyFacts],
    workspace: Workspace,
    only: Sequence[str] | None = None,
    held_out: int = 0,
    compute: ComputeConfig = LOCAL,
) -> Manifest[EncodedFacts]:
    """Replace each token by its id and drop tokens outside the vocabulary.

    only: names of the source files to train on, None for all. If they contain no word of the vocabulary, `tokens` is 0.
    held_out: about how many sequences have their last item held out for the evaluation; 0: none.
    compute: where this runs, which does not change the result.
    """

    def build(folder: Path) -> EncodedFacts:
        chosen = {
            file: rows.size for file, rows in enumerate(read_index(tokens.path)) if only is None or rows.name in names
        }
        size = sum(chosen.values())
        batches = counted(read_tokens(tokens.path, chosen), _token_count, "encoding", size, "tokens")
        words = read_vocabulary(vocabulary).words
        sequences: list[NDArray[np.int32]] = []
        with opened_engine(compute) as engine:
            rows = _encoded(batches, words, engine)
            if held_out:
                rows = _without_last_items(rows, item_hashes(words), held_out / tokens.facts.documents, sequences)
            encoded = write_encoded(folder, rows)
        if held_out:
            write_held_out(folder, sequences)
        return EncodedFacts(tokens=encoded, corpus_tokens=size, files=len(chosen), held_out=len(sequences))

    names = frozenset(only or ())
    manifest = complete_stage(workspace, encoded_stage(tokens, vocabulary, only, held_out), build)
    facts = manifest.facts
    logger.info("encoded %s tokens of %s files", f"{facts.tokens:,}", f"{facts.files:,}")
    if held_out:
        logger.info("held the last item of %s sequences out of training", f"{facts.held_out:,}")
    return manifest


def _token_count(batch: TokenBatch) -> int:
    return len(batch.tokens.flatten())


def _encoded(batches: Iterable[TokenBatch], words: list[str], engine: Engine) -> Iterator[EncodedRows]:
    # Deferred: Numba takes half a second to import, and most commands encode nothing.
    from tasks.text.looking_up import WordLookup

    lists = ((batch, batch.tokens) for batch in batches)
    for batch, (ids, offsets) in engine.map(token_ids, lists, WordLookup(words)):
        yield EncodedRows(batch.document_ids.to_numpy(), batch.parts.to_numpy(), ids, offsets)


def _without_last_items(
    batches: Iterable[EncodedRows], hashes: NDArray[np.uint64], share: float, held_out: list[NDArray[np.int32]]
) -> Iterator[EncodedRows]:
    """The rows without the last item of the chosen sequences, which are appended to `held_out` as they were."""
    for batch in batches:
        ids, offsets = batch.token_ids, batch.offsets
        rows = last_items(ids, offsets, batch.parts, hashes, share)
        held_out += [ids[offsets[row] : offsets[row + 1]] for row in rows.tolist()]
        removed = np.zeros(len(offsets), np.int64)
        removed[rows + 1] = 1
        remaining = np.delete(ids, offsets[rows + 1] - 1)
        yield EncodedRows(batch.document_ids, batch.parts, remaining, offsets - np.cumsum(removed))


def _too_few_words(kept: FrequentWords, config: VocabularyConfig) -> VocabularyError:
    size = "1 word" if len(kept.words) else "no word"
    most = f", the most frequent one {kept.highest:,} times" if kept.distinct else ""
    remedy = "lower vocabulary.min_count or add text" if config.min_count > 1 else "add text"
    return VocabularyError(
        f"the vocabulary has {size} with min_count={config.min_count}, but training needs at least two "
        f"(the corpus has {kept.total:,} tokens, {kept.distinct:,} distinct{most}); {remedy}"
    )
