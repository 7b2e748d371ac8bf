"""Train small classifiers of labelled reviews on the vectors of a release, and on random ones beside them."""

import logging
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from storage.corpus.labelled_texts import read_labelled_reviews
from storage.corpus.vocabularies import read_vocabulary
from storage.layout import Workspace
from storage.models.matrices import read_vectors
from storage.releases.named_vectors import read_release_vectors
from storage.releases.reader import setting_values
from storage.releases.reports import read_settings
from tasks.corpus import CorpusConfig
from tasks.metrics.downstream import STARTS, Classified, Examples, classify, padded_ids, split_texts
from tasks.metrics.lookup import rows_by_word
from tasks.parameters import model_parameters, settings_section
from tasks.pipeline import build_model
from tasks.text.tokenizers import TokenizerConfig, tokenize

logger = logging.getLogger(__name__)

# Of all texts: to train on, to choose the epoch by, and to score on. The first two are the 80 %.
SHARES = (0.72, 0.08, 0.20)
LONGEST_TEXT = 400


class DownstreamResult(BaseModel):
    """The classifiers of one release.

    source: of the texts.  trained_on: the text that the vectors were trained on.  texts: how many were trained on,
    chosen by, and held out.
    """

    model_config = ConfigDict(frozen=True)

    name: str
    source: str
    seed: int
    trained_on: str
    texts: tuple[int, int, int]
    scores: list[Classified]

    @property
    def seen(self) -> bool:
        """Whether the vectors were trained on the held-out texts too, without their labels."""
        return self.trained_on == self.source


def score_downstream(
    workspace: Workspace, table: str, version: str | None, *, epochs: int, seed: int, unseen: bool
) -> DownstreamResult:
    """Accuracy on held-out reviews with the release's vectors frozen and fine-tuned, and with random ones.

    unseen: train vectors with the release's settings on the other 80 % of the reviews alone, and use those.
    Raises ReleaseError or CorpusError where release or reviews are missing.
    """
    found = read_release_vectors(workspace, table, version)
    reviews = read_labelled_reviews()
    texts: list[str] = reviews.texts.to_pylist()
    parts = split_texts(texts, SHARES, seed)
    words, vectors = found.words, found.vectors
    settings = setting_values(read_settings(found.release.path)) if found.release else {}
    tokenizer = TokenizerConfig.model_validate(settings_section(settings, "tokenizer"))
    own = np.sort(np.concatenate(parts[:2]))
    if unseen:
        words, vectors = _train_alone([texts[row] for row in own.tolist()], settings, workspace)
    rows, lengths = _rows(reviews.texts, tokenizer, words)
    examples = Examples(padded_ids(rows, lengths, LONGEST_TEXT), reviews.labels)
    train, validation, held_out = (examples.part(part) for part in parts)
    scores = []
    for start in STARTS:
        result = classify(start, vectors, train, validation, held_out, epochs, seed)
        logger.info("%s: %.4f of held-out reviews right", start, result.accuracy)
        scores.append(result)
    return DownstreamResult(
        name=found.name,
        source=reviews.source,
        seed=seed,
        trained_on=f"{own.size:,} of these reviews, the held-out ones not among them" if unseen else found.source,
        texts=(len(parts[0]), len(parts[1]), len(parts[2])),
        scores=scores,
    )


def _rows(
    texts: pa.Array, tokenizer: TokenizerConfig, words: Sequence[str]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Row of every token of all texts, -1 where unknown, and the tokens of each text."""
    tokens = tokenize(texts, tokenizer)
    index = rows_by_word(words)
    rows = np.fromiter((index.get(token, -1) for token in tokens.flatten().to_pylist()), dtype=np.int64)
    return rows, tokens.value_lengths().to_numpy(zero_copy_only=False).astype(np.int64)


def _train_alone(
    texts: Sequence[str], settings: Mapping[str, Any], workspace: Workspace
) -> tuple[list[str], NDArray[np.float32]]:
    """Vectors trained on these texts alone, with the settings of a release."""
    with tempfile.TemporaryDirectory(dir=workspace.root) as folder:
        path = Path(folder) / "reviews.txt"
        path.write_text("\n".join(" ".join(text.split()) for text in texts), encoding="utf-8")
        corpus = CorpusConfig(source="files", path=str(path))
        model = build_model(model_parameters(settings, corpus), workspace)
    matrix = settings_section(settings, "publication").get("matrix", "center")
    return read_vocabulary(model.vocabulary.path).words, read_vectors(model.training.path, matrix)
