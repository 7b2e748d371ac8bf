"""Tokenize the corpus: documents in, their tokens out."""

import logging
from collections.abc import Callable, Collection, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import islice
from pathlib import Path
from typing import ClassVar

import pyarrow as pa
from prefect import task
from prefect.cache_policies import NO_CACHE

from storage.corpus.documents import read_documents
from storage.corpus.known_rows import link_known_rows, write_rows
from storage.corpus.segments import Batch, read_index
from storage.corpus.source_sequences import split_items
from storage.corpus.tokens import TOKENS, read_segment_tokens, write_counts
from storage.layout import Workspace
from storage.stages import Manifest, Stage, StageFacts, complete_stage
from tasks.corpus import CorpusFacts
from tasks.text.tokenizers import TokenizerConfig, tokenize
from tasks.text.vocabulary import count_words
from tasks.trainers.backends import available_cores

logger = logging.getLogger(__name__)

STAGE_VERSION = 3
# Each holds a few MiB of text and ten times that in tokens. The single writer thread cannot keep up with more.
MOST_WORKERS = 8


class TokensFacts(StageFacts):
    """A tokenized corpus. new_files: files not tokenized with these settings before."""

    label: ClassVar[str] = "tokens"
    unit: ClassVar[str] = "tokens"

    documents: int
    tokens: int
    files: int
    new_files: int

    @property
    def row_count(self) -> int:
        """Tokens."""
        return self.tokens


def tokens_stage(corpus: Stage[CorpusFacts] | Manifest[CorpusFacts], config: TokenizerConfig) -> Stage[TokensFacts]:
    """The stage for this corpus and these settings."""
    return Stage("tokens", STAGE_VERSION, config.model_dump(), {"corpus": corpus.digest}, TokensFacts)


@task(name="tokenize corpus", cache_policy=NO_CACHE)
def tokenize_corpus(
    corpus: Manifest[CorpusFacts], config: TokenizerConfig, workspace: Workspace
) -> Manifest[TokensFacts]:
    """Tokenize every document and count the tokens; source files tokenized before are reused.

    Items of sequences are tokens as they are. The parts of a document stay in order, and no token spans two parts.
    """
    stage = tokens_stage(corpus, config)
    split = split_items if corpus.config["format"] == "sequences" else partial(tokenize, config=config)

    def build(folder: Path) -> TokensFacts:
        files = [(rows.name, rows.key) for rows in read_index(corpus.path)]
        known = link_known_rows(workspace, stage, folder, [key for _, key in files])
        fresh = [file for file in range(len(files)) if file not in known]
        rows = write_rows(folder, TOKENS, stage.digest, files, known, _tokenized(corpus.path, fresh, split))
        counted = count_words(read_segment_tokens(folder, stage.digest))
        write_counts(folder, stage.digest, counted.words, counted.counts)
        return TokensFacts(
            documents=sum(row.documents for row in rows),
            tokens=sum(row.size for row in rows),
            files=len(files),
            new_files=len(fresh),
        )

    manifest = complete_stage(workspace, stage, build)
    logger.info("%s tokens in %s documents", f"{manifest.facts.tokens:,}", f"{manifest.facts.documents:,}")
    return manifest


def _tokenized(folder: Path, files: Collection[int], split: Callable[[pa.Array], pa.Array]) -> Iterator[Batch]:
    """Batches in order, a few at a time on several cores: Arrow's kernels release the GIL."""
    workers = min(available_cores(), MOST_WORKERS)
    batches = read_documents(folder, files)
    with ThreadPoolExecutor(workers) as threads:
        while group := list(islice(batches, workers)):
            texts = [columns[2] for _, columns in group]
            token_lists = threads.map(split, texts)
            for (rows_files, columns), tokens in zip(group, token_lists, strict=True):
                yield Batch(rows_files, [columns[0], columns[1], tokens])
