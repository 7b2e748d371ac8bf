"""Settings that a release stores are read back, whatever its format called them."""

import json
from functools import partial

import pytest

from tasks.corpus_config import CorpusConfig
from tasks.parameters import model_parameters
from tasks.trainers.config import CbowConfig, SkipGramConfig

# What releases from before these settings were trained with.
constant = partial(
    SkipGramConfig, early_threshold_fraction=1.0, narrowing_windows=False, finish_with_cbow=False, ppmi=False
)
constant_cbow = partial(CbowConfig, early_threshold_fraction=1.0, ppmi=False)


@pytest.mark.parametrize(
    ("stored", "expected"),
    [
        ({"training.model": "cbow", "training.epochs": 3}, constant_cbow(epochs=3)),
        (
            {"training.model": "skip_gram", "training.early_threshold_fraction": 0.3},
            constant(early_threshold_fraction=0.3),
        ),
        ({"training.model": "skip_gram", "training.epochs": 3}, constant(epochs=3)),
        ({"skipgram.architecture": "skip_gram", "skipgram.dimension": 50}, constant(dimension=50)),
        (
            {"skipgram.architecture": "cbow", "skipgram.centers_in_flight": None, "skipgram.epochs": 2},
            constant_cbow(epochs=2),
        ),
        ({"skipgram.epochs": 4}, constant(epochs=4)),
        ({}, SkipGramConfig()),
    ],
)
def test_training_settings_of_every_format_are_read(stored: dict[str, object], expected: object) -> None:
    read = model_parameters(json.loads(json.dumps(stored)), CorpusConfig())
    assert read.training == expected
