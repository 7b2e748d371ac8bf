"""PPMI in a pipeline of real text: counted once, kept by the model, and reduced with the trained vectors."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from storage.corpus.cooccurrences import CooccurrenceCorpus
from storage.corpus.encoded import EncodedCorpus
from storage.corpus.vocabularies import read_vocabulary
from storage.errors import TrainingError
from storage.files.large_arrays import MappedMemory
from storage.layout import Workspace
from storage.models.combined import reduced_vectors
from storage.models.matrices import PPMI_FACTORS, read_matrices, read_optimizer, read_vectors
from storage.stages import Manifest
from tasks import training_memory
from tasks.cooccurrences import CooccurrenceFacts, count_cooccurrences, counted_files
from tasks.corpus_config import CorpusConfig
from tasks.trainers.config import CbowConfig, FastTextConfig, GloveConfig, SkipGramConfig, TrainingConfig
from tasks.trainers.cpu.passages import passage_vectors
from tasks.trainers.cpu.ppmi import ppmi_vectors
from tasks.trainers.interface import PASSAGE_VECTORS, PPMI_VECTORS
from tasks.training import train_vectors, training_stage
from tasks.training_memory import place_factors
from tests.tasks.test_cooccurrences import Prepared, prepare

CONFIG = SkipGramConfig(dimension=16, epochs=3, workers=1)
Counted = tuple[Prepared, Manifest[CooccurrenceFacts], Workspace]


@pytest.fixture(scope="module")
def counted(news_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Counted:
    workspace = Workspace(tmp_path_factory.mktemp("counted"))
    prepared = prepare(CorpusConfig(source="files", path=str(news_file)), workspace)
    return prepared, count_cooccurrences.fn(*prepared, CONFIG, workspace), workspace


@pytest.mark.parametrize("config", [CONFIG, CbowConfig(dimension=16, epochs=2, workers=1)])
def test_a_model_keeps_the_factors_and_its_table_is_reduced_with_them(
    config: SkipGramConfig | CbowConfig, counted: Counted
) -> None:
    prepared, cooccurrences, workspace = counted
    model = train_vectors.fn(*prepared, config, workspace, None, cooccurrences)
    centers, contexts = read_matrices(model.path)
    factors = ppmi_vectors(CooccurrenceCorpus(cooccurrences.path), contexts)
    encoded, vocabulary = prepared
    counts = read_vocabulary(vocabulary.path).counts
    expected = factors, passage_vectors(EncodedCorpus(encoded.path), counts, factors)
    others = read_optimizer(model.path)
    for name, values in zip(PPMI_FACTORS, expected, strict=True):
        np.testing.assert_array_equal(others[name], values)
    reduced = reduced_vectors(centers, contexts, expected)
    np.testing.assert_array_equal(read_vectors(model.path, "svd"), reduced)
    assert np.abs(reduced - reduced_vectors(centers, contexts)).max() > 0.01
    assert PPMI_FACTORS == (PPMI_VECTORS, PASSAGE_VECTORS)


def test_without_ppmi_the_training_is_the_same_and_nothing_else(counted: Counted) -> None:
    prepared, cooccurrences, workspace = counted
    with_ppmi = train_vectors.fn(*prepared, CONFIG, workspace, None, cooccurrences)
    alone = train_vectors.fn(*prepared, CONFIG.model_copy(update={"ppmi": False}), workspace)
    assert not read_optimizer(alone.path)
    np.testing.assert_array_equal(read_vectors(alone.path), read_vectors(with_ppmi.path))


def test_the_counts_belong_to_the_model(counted: Counted) -> None:
    prepared, cooccurrences, _ = counted
    digests = {training_stage(*prepared, CONFIG, None, counts).digest for counts in (None, cooccurrences)}
    assert len(digests) == 2


@pytest.mark.parametrize(
    ("config", "radius"),
    [
        (SkipGramConfig(window_radius=7), 7),
        (CbowConfig(window_radius=1000), 20),
        (SkipGramConfig(ppmi=False), None),
        (FastTextConfig(), None),
        (GloveConfig(window_radius=12), 12),
    ],
)
def test_the_window_is_counted_as_far_as_weights_can_be(config: TrainingConfig, radius: int | None) -> None:
    assert config.counted_radius == radius


def test_ppmi_needs_all_text_and_glove_what_it_trains_on() -> None:
    assert counted_files(SkipGramConfig(), ("new.txt",)) is None
    assert counted_files(GloveConfig(), ("new.txt",)) == ("new.txt",)


def test_factors_larger_than_memory_are_mapped_or_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shape = (1_000_000, 100)
    assert place_factors((1000, 100), tmp_path) is np.zeros
    monkeypatch.setattr(training_memory, "available_bytes", lambda: 700_000_000)
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: shutil._ntuple_diskusage(2**40, 0, 900_000_000))
    assert isinstance(place_factors(shape, tmp_path), MappedMemory)
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: shutil._ntuple_diskusage(2**40, 0, 700_000_000))
    with pytest.raises(TrainingError, match=r"PPMI need 0\.8 GB, 0\.7 GB .* run again, which resumes here, or set"):
        place_factors(shape, tmp_path)
