"""Describe a corpus before it is trained on: size, words, scripts, repetitions, and what looks wrong."""

import pyarrow as pa
import pyarrow.compute as pc
from pydantic import BaseModel, ConfigDict

from storage.corpus.documents import read_documents
from storage.corpus.segments import read_index
from storage.corpus.tokens import read_counts
from storage.layout import Workspace
from tasks.corpus import fetch_corpus
from tasks.corpus_config import CorpusConfig
from tasks.documents import whole_documents
from tasks.text.options import TokenizerConfig
from tasks.text.reading import unsegmented_warning
from tasks.text.text_profile import TextProfile
from tasks.text.vocabulary import WordCounts, add_counts
from tasks.tokens import tokenize_corpus

SHOWN_WORDS = 20
SCRIPT_SAMPLE_CHARACTERS = 1_000_000


class CorpusProfile(BaseModel):
    """A corpus in figures. top_words, rarest_words: word -> occurrences.  scripts: share of the letters of each."""

    model_config = ConfigDict(frozen=True)

    source: str
    licence: str
    files: int
    text_bytes: int
    documents: int
    characters: int
    tokens: int
    distinct_words: int
    words_seen_once: int
    top_words: dict[str, int]
    rarest_words: dict[str, int]
    scripts: dict[str, float]
    duplicate_documents: int
    repeated_lines: dict[str, int]
    warnings: list[str]


def describe_corpus(corpus: CorpusConfig, tokenizer: TokenizerConfig, workspace: Workspace) -> CorpusProfile:
    """Fetch and tokenize a corpus, or reuse both, and describe it. A build with the same settings reuses them too.

    Raises what the two stages raise.
    """
    fetched = fetch_corpus(corpus, workspace)
    tokens = tokenize_corpus(fetched, tokenizer, workspace)
    counted = add_counts(WordCounts(words, counts) for words, counts in read_counts(tokens.path))
    profile = TextProfile()
    warning = None
    files = range(len(read_index(fetched.path)))
    for batch in read_documents(fetched.path):
        texts = batch.columns[2]
        if not profile.letters:
            warning = unsegmented_warning(_sample(texts), tokenizer)
        profile.add_letters(texts)
    for _, text in whole_documents(fetched.path, files):
        profile.add(text)
    words, counts = counted.words, counted.counts
    return CorpusProfile(
        source=fetched.facts.source,
        licence=fetched.facts.licence,
        files=fetched.facts.files,
        text_bytes=fetched.facts.text_bytes,
        documents=fetched.facts.documents,
        characters=profile.characters,
        tokens=counted.total,
        distinct_words=len(words),
        words_seen_once=int((counts == 1).sum()),
        top_words=dict(zip(words[:SHOWN_WORDS].to_pylist(), counts[:SHOWN_WORDS].tolist(), strict=True)),
        rarest_words=dict(zip(words[-SHOWN_WORDS:].to_pylist(), counts[-SHOWN_WORDS:].tolist(), strict=True)),
        scripts={script: round(share, 6) for script, share in profile.scripts.items()},
        duplicate_documents=profile.duplicates,
        repeated_lines=profile.repeated_lines,
        warnings=[*profile.warnings(), *([warning] if warning else [])],
    )


def _sample(texts: pa.Array) -> pa.Array:
    return pc.utf8_slice_codeunits(texts, 0, SCRIPT_SAMPLE_CHARACTERS)
