"""Choose documents before they are tokenized: length, language, repetitions; and split them into sentences."""

import logging
from collections import Counter
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa

from storage.corpus.documents import SCHEMA, read_documents
from storage.corpus.segments import Batch
from tasks.text.cleaning import language_of, split_sentences
from tasks.text.duplicates import DuplicateFinder
from tasks.text.options import TokenizerConfig

logger = logging.getLogger(__name__)

# Enough to recognise a language.
LANGUAGE_SAMPLE = 2000

Row = tuple[int, int, int, str]


@dataclass
class Dropped:
    """Documents to leave out, as file and document_id, and how many for each reason."""

    documents: set[tuple[int, int]] = field(default_factory=set)
    reasons: Counter[str] = field(default_factory=Counter)


def choose_documents(folder: Path, files: Collection[int], config: TokenizerConfig) -> Dropped:
    """Read all documents of these files once and decide which to leave out. Nothing is read if no setting asks.

    Memory grows with the number of documents: 16 bytes for exact repetitions, about 1 kB for near ones.
    """
    dropped = Dropped()
    if not (config.min_characters or config.languages or config.duplicates != "keep"):
        return dropped
    finder = DuplicateFinder(config.near_similarity if config.duplicates == "near" else None)
    for key, text in whole_documents(folder, files):
        if reason := _reason(text, config, finder):
            dropped.documents.add(key)
            dropped.reasons[reason] += 1
    for reason, count in dropped.reasons.most_common():
        logger.info("left out %s document%s: %s", f"{count:,}", "" if count == 1 else "s", reason)
    return dropped


def prepared_documents(
    folder: Path, files: Collection[int], config: TokenizerConfig, dropped: Dropped
) -> Iterator[Batch]:
    """The remaining documents, numbered from 0 in each file; with `sentences`, each sentence is one."""
    if not (config.sentences or dropped.documents):
        yield from read_documents(folder, files)
        return
    current, new_id, last = -1, -1, (-1, -1)
    for batch in read_documents(folder, files):
        rows: list[Row] = []
        for file, document, part, text in _rows(batch):
            if file != current:
                current, new_id = file, -1
            if (file, document) in dropped.documents:
                continue
            if config.sentences:
                for sentence in split_sentences(text):
                    new_id += 1
                    rows.append((file, new_id, 0, sentence))
            else:
                new_id += (file, document) != last
                rows.append((file, new_id, part, text))
            last = (file, document)
        if rows:
            numbers, *columns = zip(*rows, strict=True)
            fields = zip(columns, SCHEMA, strict=True)
            yield Batch(np.array(numbers), [pa.array(column, field.type) for column, field in fields])


def _reason(text: str, config: TokenizerConfig, finder: DuplicateFinder) -> str | None:
    """Why a document is left out, None if it is kept."""
    if len(text) < config.min_characters:
        return f"shorter than {config.min_characters} characters"
    if config.languages and (language := language_of(text[:LANGUAGE_SAMPLE])) not in config.languages:
        return f"in another language ({language})"
    repetition = finder.repeats(text) if config.duplicates != "keep" else None
    return f"{repetition} repetitions of an earlier document" if repetition else None


def whole_documents(folder: Path, files: Collection[int]) -> Iterator[tuple[tuple[int, int], str]]:
    """Each document of these files with its file and document_id, its parts joined."""
    key, parts = (-1, -1), [""]
    for batch in read_documents(folder, files):
        for file, document, _, text in _rows(batch):
            if (file, document) != key:
                if key[0] >= 0:
                    yield key, "".join(parts)
                key, parts = (file, document), []
            parts.append(text)
    if key[0] >= 0:
        yield key, "".join(parts)


def _rows(batch: Batch) -> Iterator[Row]:
    return zip(batch.files.tolist(), *(column.to_pylist() for column in batch.columns), strict=True)
