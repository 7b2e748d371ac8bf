"""Tokenize the corpus: documents in, their tokens out."""

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import ClassVar

import pyarrow as pa
from pydantic import Field

from storage.corpus.documents import read_documents
from storage.corpus.finished_batches import clear_interrupted
from storage.corpus.known_rows import finished_shards, link_known_rows, write_rows
from storage.corpus.segments import Batch, read_index, rows_after
from storage.corpus.source_sequences import split_items
from storage.corpus.tokens import READ_DICTIONARY, TOKENS, write_counts
from storage.corpus.word_counts import SpilledCounts
from storage.layout import Workspace
from storage.stages import Manifest, Stage, StageFacts, complete_stage
from tasks.compute_config import ComputeConfig
from tasks.corpus import CorpusFacts
from tasks.documents import Dropped, choose_documents
from tasks.engine import LOCAL, Engine, opened_engine
from tasks.pipeline_task import pipeline_task
from tasks.progress import counted
from tasks.text.tokenizers import TokenizerConfig, tokenize
from tasks.tokenizing import (
    check_tokenizer,
    text_size,
    token_batches,
    tokenizer_packages,
    warn_of_unsegmented_text,
    with_tokens,
)

logger = logging.getLogger(__name__)

STAGE_VERSION = 4
# Version 4 cut 1.5x into <num> and 5x.
NUMBERS_VERSION = STAGE_VERSION + 1
# Distinct words counted in memory, about 100 bytes each; more are counted in parts on disk.
MOST_DISTINCT = 1 << 22


class TokensFacts(StageFacts):
    """A tokenized corpus. new_files: files not tokenized with these settings before.

    dropped: why documents of the new files were left out -> how many.
    """

    label: ClassVar[str] = "tokens"
    unit: ClassVar[str] = "tokens"

    documents: int
    tokens: int
    files: int
    new_files: int
    dropped: dict[str, int] = Field(default_factory=dict)

    @property
    def row_count(self) -> int:
        """Tokens."""
        return self.tokens


def tokens_stage(corpus: Stage[CorpusFacts] | Manifest[CorpusFacts], config: TokenizerConfig) -> Stage[TokensFacts]:
    """The stage for this corpus and these settings."""
    version = NUMBERS_VERSION if config.numbers == "token" else STAGE_VERSION
    return Stage("tokens", version, config.identity, {"corpus": corpus.digest}, TokensFacts)


@pipeline_task("tokenize corpus")
def tokenize_corpus(
    corpus: Manifest[CorpusFacts], config: TokenizerConfig, workspace: Workspace, compute: ComputeConfig = LOCAL
) -> Manifest[TokensFacts]:
    """Tokenize every document and count the tokens; source files tokenized before are reused.

    Items of sequences are tokens as they are. The parts of a document stay in order, and no token spans two parts.
    compute: where this runs, which does not change the result.
    """
    check_tokenizer(config)
    stage = tokens_stage(corpus, config)
    # Of a corpus with another text, no rows can be reused then.
    suffix = f" {corpus.digest}" if config.depends_on_all_text else ""
    sequences = corpus.config["format"] == "sequences"

    def build(folder: Path) -> TokensFacts:
        clear_interrupted(folder, TOKENS.segment_name(stage.digest))
        index = read_index(corpus.path)
        files = [(rows.name, f"{rows.key}{suffix}") for rows in index]
        known = link_known_rows(workspace, stage, folder, [key for _, key in files])
        fresh = [file for file in range(len(files)) if file not in known]
        dropped = Dropped() if sequences else choose_documents(corpus.path, fresh, config)
        if not sequences:
            warn_of_unsegmented_text(corpus.path, fresh, config)
        counts = _Counts(folder, stage.digest)
        finished = None
        if sequences or config.is_plain:
            finished = finished_shards(folder, TOKENS, stage.digest, files, known)
            if finished is not None and finished.shards:
                logger.info("resuming: %s shards are finished", f"{finished.shards:,}")
                for columns in finished.read(read_dictionary=READ_DICTIONARY):
                    counts.add(columns)
        documents = rows_after(read_documents(corpus.path, fresh), finished.rows if finished is not None else 0)
        with opened_engine(compute, tokenizer_packages(config)) as engine:
            size = sum(index[file].size for file in fresh)
            if sequences:
                batches = _mapped(engine, split_items, documents, size)
            elif config.is_plain:
                batches = _mapped(engine, tokenize, documents, size, config)
            else:
                batches = token_batches(corpus.path, fresh, config, folder, dropped, size, engine)
            rows = write_rows(
                folder, TOKENS, stage.digest, files, known, batches, on_write=counts.add, finished=finished
            )
        counts.write()
        return TokensFacts(
            documents=sum(row.documents for row in rows),
            tokens=sum(row.size for row in rows),
            files=len(files),
            new_files=len(fresh),
            dropped=dict(dropped.reasons),
        )

    manifest = complete_stage(workspace, stage, build, resumable=sequences or config.is_plain or config.keeps_batches)
    logger.info("%s tokens in %s documents", f"{manifest.facts.tokens:,}", f"{manifest.facts.documents:,}")
    return manifest


def _mapped(
    engine: Engine,
    split: Callable[..., pa.Array],
    documents: Iterable[Batch],
    text_bytes: int,
    *settings: TokenizerConfig,
) -> Iterator[Batch]:
    """The documents, split into tokens. text_bytes: size of their text, for the progress."""
    shown = counted(documents, text_size, "tokenizing", text_bytes, "bytes")
    pairs = ((batch, batch.columns[2]) for batch in shown)
    for batch, tokens in engine.map(split, pairs, *settings):
        yield with_tokens(batch, tokens)


class _Counts:
    """The words of the segment that is written, counted on the way to the writer."""

    def __init__(self, folder: Path, segment: str) -> None:
        # Deferred: Numba takes half a second to import, and most commands count nothing.
        from tasks.text.counting import WordCounter

        self._folder, self._segment = folder, segment
        self._counter, self._spilled = WordCounter(), SpilledCounts(folder, segment)

    def add(self, columns: Sequence[pa.Array]) -> None:
        """Count the tokens of some rows."""
        self._counter.add(columns[2])
        if self._counter.distinct > MOST_DISTINCT:
            self._spill()

    def write(self) -> None:
        """Write the counts of the whole segment."""
        if len(self._spilled):
            self._spill()
            self._spilled.write_sum()
        else:
            write_counts(self._folder, self._segment, *self._counter.take())

    def _spill(self) -> None:
        self._spilled.add(*self._counter.take())
