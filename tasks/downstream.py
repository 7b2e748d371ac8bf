"""Train small classifiers of labelled reviews on the vectors of a release, with random vectors as the baseline."""

import logging
import tempfile
from collections.abc import Mapping, Sequence
from itertools import count
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
from storage.releases.reports import read_setting_values
from tasks.corpus_config import CorpusConfig
from tasks.metrics.downstream import (
    STARTS,
    Classified,
    Examples,
    Network,
    Start,
    classify,
    padded_ids,
    split_texts,
)
from tasks.metrics.lookup import rows_by_word
from tasks.metrics.transformer import POSITIONS, Positions
from tasks.parameters import model_parameters
from tasks.pipeline import build_model
from tasks.progress import counting
from tasks.release_reader import release_reader
from tasks.released_settings import settings_section
from tasks.text.reading import TextReader
from tasks.text.tokenizers import TokenizerConfig

logger = logging.getLogger(__name__)

# Shares of all texts for training, validation and testing. The first two are the 80 % of --unseen.
SHARES = (0.72, 0.08, 0.20)
# Words of a text that a network reads. Attention compares all pairs of them.
LONGEST_TEXT: dict[Network, int] = {"mean": 400, "transformer": 128}
RUNS: dict[Network, tuple[tuple[Start, Positions | None], ...]] = {
    "mean": tuple((start, None) for start in STARTS),
    "transformer": tuple(("fine-tuned", positions) for positions in POSITIONS),
}


class DownstreamResult(BaseModel):
    """The classifiers of one release.

    source: of the texts.  trained_on: the text that the vectors were trained on.
    texts: number of training, validation and held-out texts.
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
        """Whether the vectors were also trained on the held-out texts, without their labels."""
        return self.trained_on == self.source


def score_downstream(
    workspace: Workspace,
    table: str,
    version: str | None,
    *,
    epochs: int,
    seed: int,
    unseen: bool,
    networks: Sequence[Network] = ("mean",),
) -> DownstreamResult:
    """Accuracy on held-out reviews with the release's vectors frozen, fine-tuned, and with random vectors.

    networks: `transformer` fine-tunes the vectors without positions, with fixed and with learned ones.
    unseen: use vectors trained with the release's settings on only the other 80 % of the reviews.
    Raises ReleaseError or CorpusError if the release or the reviews are missing.
    """
    named = read_release_vectors(workspace, table, version)
    reviews = read_labelled_reviews()
    texts: list[str] = reviews.texts.to_pylist()
    parts = split_texts(texts, SHARES, seed)
    words, vectors = named.words, named.vectors
    settings = read_setting_values(named.release.path) if named.release else {}
    reader = release_reader(named.release.path) if named.release else TextReader(TokenizerConfig())
    own = np.sort(np.concatenate(parts[:2]))
    if unseen:
        words, vectors = _train_alone([texts[row] for row in own.tolist()], settings, workspace)
    rows, lengths = _rows(reviews.texts, reader, words)
    scores = []
    chosen = list(dict.fromkeys(networks))
    done, total = count(1), sum(len(RUNS[network]) for network in chosen) * epochs
    with counting("training classifiers", total, "epochs") as advanced:
        for network in chosen:
            examples = Examples(padded_ids(rows, lengths, LONGEST_TEXT[network]), reviews.labels)
            train, validation, held_out = (examples.part(part) for part in parts)
            for start, positions in RUNS[network]:
                result = classify(
                    start, vectors, train, validation, held_out, epochs, seed, positions, lambda: advanced(next(done))
                )
                logger.info("%s, %s: accuracy %.4f on held-out reviews", network, positions or start, result.accuracy)
                scores.append(result)
    return DownstreamResult(
        name=named.name,
        source=reviews.source,
        seed=seed,
        trained_on=f"{own.size:,} of these reviews, without the held-out ones" if unseen else named.source,
        texts=(len(parts[0]), len(parts[1]), len(parts[2])),
        scores=scores,
    )


def _rows(texts: pa.Array, reader: TextReader, words: Sequence[str]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Row of each token of all texts, -1 if unknown, and the number of tokens of each text."""
    tokens = reader.tokens(texts)
    index = rows_by_word(words)
    rows = np.fromiter((index.get(token, -1) for token in tokens.flatten().to_pylist()), dtype=np.int64)
    return rows, tokens.value_lengths().to_numpy(zero_copy_only=False).astype(np.int64)


def _train_alone(
    texts: Sequence[str], settings: Mapping[str, Any], workspace: Workspace
) -> tuple[list[str], NDArray[np.float32]]:
    """Vectors trained on only these texts, with the settings of a release."""
    with tempfile.TemporaryDirectory(dir=workspace.root) as folder:
        path = Path(folder) / "reviews.txt"
        path.write_text("\n".join(" ".join(text.split()) for text in texts), encoding="utf-8")
        corpus = CorpusConfig(source="files", path=str(path))
        model = build_model(model_parameters(settings, corpus), workspace)
    matrix = settings_section(settings, "publication").get("matrix", "center")
    return read_vocabulary(model.vocabulary.path).words, read_vectors(model.training.path, matrix)
