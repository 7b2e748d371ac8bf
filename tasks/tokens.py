"""Tokenize the corpus: documents in, their tokens out."""

import logging
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from typing import Any

from prefect import task
from prefect.cache_policies import NO_CACHE

from storage.corpora import read_documents
from storage.layout import Workspace
from storage.stages import Manifest, Stage, complete_stage
from storage.tokens import TokenBatch, write_tokens
from tasks.text.tokenizers import TokenizerConfig, tokenize

logger = logging.getLogger(__name__)

STAGE_VERSION = 1
# Each holds a few MiB of text and ten times that in tokens; the one thread that writes keeps up with no more.
MOST_WORKERS = 8


def tokens_stage(corpus: Stage | Manifest, config: TokenizerConfig) -> Stage:
    """The stage that this corpus and these settings lead to."""
    return Stage("tokens", STAGE_VERSION, config.model_dump(), {"corpus": corpus.digest})


@task(name="tokenize corpus", cache_policy=NO_CACHE)
def tokenize_corpus(corpus: Manifest, config: TokenizerConfig, workspace: Workspace) -> Manifest:
    """Cut every document into tokens; its parts stay in order and none of them cuts a token."""

    def build(folder: Path) -> dict[str, Any]:
        tokens = write_tokens(folder, _tokenized(corpus.path, config))
        return {"documents": corpus.facts["documents"], "tokens": tokens}

    manifest = complete_stage(workspace, tokens_stage(corpus, config), build)
    logger.info("%s tokens in %s documents", f"{manifest.facts['tokens']:,}", f"{manifest.facts['documents']:,}")
    return manifest


def _tokenized(folder: Path, config: TokenizerConfig) -> Iterator[TokenBatch]:
    """Batches in order, a few at a time on several cores: Arrow's kernels let go of the interpreter."""
    workers = min(os.cpu_count() or 1, MOST_WORKERS)
    tables = read_documents(folder)
    with ThreadPoolExecutor(workers) as threads:
        while group := list(islice(tables, workers)):
            texts = [table["text"].combine_chunks() for table in group]
            for table, tokens in zip(group, threads.map(lambda text: tokenize(text, config), texts), strict=True):
                yield TokenBatch(table["document_id"].combine_chunks(), table["part"].combine_chunks(), tokens)
