"""Document vectors by Doc2Vec and by an encoder, the columns that documents keep, and what is refused."""

import multiprocessing
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from numpy.typing import NDArray
from pydantic import ValidationError

import tasks.document_methods
from storage.corpus.vocabularies import read_vocabulary
from storage.errors import EncoderError, TrainingError
from storage.layout import Workspace
from storage.stages import Manifest
from tasks.corpus import fetch_corpus
from tasks.corpus_config import CorpusConfig
from tasks.document_methods import Doc2VecMethod
from tasks.document_vectors import DocumentFacts, check_document_encoder, compute_document_vectors, known_words
from tasks.documents_config import DocumentsConfig
from tasks.parameters import BuildParameters
from tasks.text.tokenizers import TokenizerConfig
from tasks.text.vocabulary import VocabularyConfig
from tasks.tokens import tokenize_corpus
from tasks.trainers.config import SkipGramConfig
from tasks.trainers.documents import Doc2VecDocuments
from tasks.trainers.encoder import WordEncoder
from tasks.vocabulary import build_vocabulary
from tests.encoders import save_encoder

TOPICS = ("cat dog paw fur tail claw purr bark", "bank loan rate bond fund debt cash coin")
TRAINING = SkipGramConfig(workers=1)


def topical_rows(count: int = 240) -> list[tuple[str, int]]:
    """Texts on two topics, one after the other, with three that have no word of either."""
    random = np.random.default_rng(7)
    rows = [(" ".join(random.choice(TOPICS[number % 2].split(), 12)), number % 2) for number in range(count)]
    rows[5] = rows[118] = rows[count - 1] = ("zzz", 2)
    return rows


@pytest.fixture(scope="module")
def stages(tmp_path_factory: pytest.TempPathFactory) -> tuple[Workspace, Any, Any, Any]:
    workspace = Workspace(tmp_path_factory.mktemp("documents"))
    text = "\n".join(f'"{text}",{topic}' for text, topic in topical_rows())
    (workspace.root / "rows.csv").write_text(f"text,topic\n{text}\n", encoding="utf-8")
    config = CorpusConfig(path=str(workspace.root / "rows.csv"), keep_columns=["topic"])
    corpus = fetch_corpus.fn(config, workspace)
    tokens = tokenize_corpus.fn(corpus, TokenizerConfig(), workspace)
    vocabulary = build_vocabulary.fn(tokens, VocabularyConfig(subsample_threshold=1), workspace)
    return workspace, corpus, tokens, vocabulary


def computed(stages: tuple[Workspace, Any, Any, Any], config: DocumentsConfig) -> Manifest[DocumentFacts]:
    workspace, corpus, tokens, vocabulary = stages
    model: Any = vocabulary  # neither method reads a model
    return compute_document_vectors.fn(corpus, tokens, vocabulary, model, config, TRAINING, workspace)


def rows_of(stage: Manifest[DocumentFacts]) -> list[dict[str, Any]]:
    (path,) = stage.path.glob("document_vectors-*.parquet")
    rows: list[dict[str, Any]] = pq.read_table(path).to_pylist()
    return rows


def accuracy(rows: list[dict[str, Any]]) -> float:
    """Share of documents whose nearest other document is on the same topic."""
    known = [row for row in rows if row["vector"]]
    vectors = np.array([row["vector"] for row in known])
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    cosines = vectors @ vectors.T - 2 * np.eye(len(vectors))
    topics = np.array([row["topic"] for row in known])
    return float((topics[cosines.argmax(axis=1)] == topics).mean())


@pytest.mark.parametrize("architecture", ["dbow", "dm"])
def test_doc2vec_finds_the_topic_of_documents_that_it_trained_on_and_inferred(
    stages: tuple[Workspace, Any, Any, Any], architecture: Any
) -> None:
    config = DocumentsConfig(
        enabled=True, method="doc2vec", architecture=architecture, dimension=16, epochs=120, trained_documents=150
    )
    stage = computed(stages, config)
    rows = rows_of(stage)
    assert stage.facts == DocumentFacts(documents=240, without_words=3)
    assert [row["document_id"] for row in rows] == list(range(240))
    assert [row["document_id"] for row in rows if row["vector"] is None] == [5, 118, 239]
    assert [row["topic"] for row in rows] == [str(topic) for _, topic in topical_rows()]
    assert {row["known_words"] for row in rows} == {0, 12}
    assert accuracy(rows) > 0.9
    assert computed(stages, config).reused
    other = config.model_copy(update={"seed": 2})
    assert rows_of(computed(stages, other))[0]["vector"] != rows[0]["vector"]


def some_vectors(seed: int) -> NDArray[np.float32]:
    texts = [text.split() for text, _ in topical_rows()[:40]]
    trained = np.arange(40) % 2 == 0
    model = Doc2VecDocuments(
        lambda: iter(texts), trained, memory=False, dimension=8, epochs=3, subsample_threshold=1, seed=seed, workers=1
    )
    return np.stack([*model.vectors(), model.infer(texts[1])])


@pytest.mark.long
def test_the_same_words_have_the_same_vector_in_every_process() -> None:
    first = some_vectors(1)
    np.testing.assert_array_equal(first[1], first[-1])
    # Another process has another seed for Python's hashes.
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        np.testing.assert_array_equal(pool.apply(some_vectors, (1,)), first)


def test_a_long_document_is_trained_on_to_its_end() -> None:
    texts = [["start"] * 10_000 + ["end"] * 5_000, ["start"] * 50, ["end"] * 50]
    model = Doc2VecDocuments(
        lambda: iter(texts), np.ones(3, bool), memory=False, dimension=8, epochs=1, subsample_threshold=1, seed=1,
        workers=1,
    )  # fmt: skip
    assert model._model.corpus_total_words == 15_100
    assert len(list(model.vectors())) == 3


def test_without_a_known_word_there_is_nothing_to_train(stages: tuple[Workspace, Any, Any, Any]) -> None:
    method = Doc2VecMethod(stages[2].path, ["none", "of these"], DocumentsConfig(method="doc2vec"), 1.0, 1)
    with pytest.raises(TrainingError, match="no document has a word of the vocabulary; lower"):
        next(method.batches())


@pytest.mark.long
def test_an_encoder_reads_the_text_and_resumes(
    stages: tuple[Workspace, Any, Any, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from sentence_transformers import SentenceTransformer

    workspace = stages[0]
    folder = save_encoder(tmp_path / "encoder")
    config = DocumentsConfig(enabled=True, method="encoder", encoder=str(folder))
    check_document_encoder(config)
    monkeypatch.setattr(tasks.document_methods, "CHUNK_WORDS", 50)
    with monkeypatch.context() as interrupted:
        encode, calls = WordEncoder.encode, iter(range(3))

        def failing(*args: Any) -> Any:
            if next(calls) == 2:
                raise KeyboardInterrupt
            return encode(*args)

        interrupted.setattr(WordEncoder, "encode", failing)
        with pytest.raises(KeyboardInterrupt):
            computed(stages, config)
    (partial,) = workspace.stage_root("document_vectors").glob("*.partial")
    assert (partial / "progress.json").read_text() == '{"rows": 100}'
    stage = computed(stages, config)
    assert [path.name for path in stage.path.iterdir() if path.suffix == ".npy"] == []
    rows = rows_of(stage)
    assert [row["document_id"] for row in rows if row["vector"] is None] == [5, 118, 239]
    texts = [text for text, _ in topical_rows()]
    expected = SentenceTransformer(str(folder), device="cpu").encode(texts)
    kept = [number for number, row in enumerate(rows) if row["vector"]]
    np.testing.assert_allclose([rows[number]["vector"] for number in kept], expected[kept], atol=1e-5)


def test_known_words_are_counted_over_the_parts_of_a_document(stages: tuple[Workspace, Any, Any, Any]) -> None:
    counts = known_words(stages[2].path, read_vocabulary(stages[3]).words)
    assert counts.tolist() == [0 if number in (5, 118, 239) else 12 for number in range(240)]


@pytest.mark.parametrize(
    ("sections", "reason"),
    [
        ({"corpus": {"keep_columns": ["label"]}}, r"keep_columns needs documents\.enabled=true"),
        (
            {"corpus": {"keep_columns": ["label"]}, "documents": {"enabled": True}, "tokenizer": {"sentences": True}},
            r"keep_columns needs the documents as they are; unset tokenizer\.sentences",
        ),
        (
            {"documents": {"enabled": True, "method": "encoder"}, "tokenizer": {"duplicates": "exact"}},
            r"documents\.method=encoder needs the documents as they are",
        ),
        (
            {"corpus": {"format": "sequences"}, "documents": {"enabled": True, "method": "encoder"}},
            r"reads text, and corpus\.format is sequences; use sif or doc2vec",
        ),
        ({"corpus": {"keep_columns": ["Source"]}}, r"'Source' is empty or already a column of document_vectors"),
        ({"corpus": {"keep_columns": ["label", "LABEL"]}}, r"'LABEL' is empty or already a column of document_vectors"),
        ({"corpus": {"keep_columns": ["a"], "format": "sequences"}}, r"keep_columns belongs to texts"),
    ],
)
def test_settings_that_cannot_act_are_refused(sections: dict[str, Any], reason: str) -> None:
    with pytest.raises(ValidationError, match=reason):
        BuildParameters(**sections)


def test_a_missing_encoder_is_reported_before_the_run_starts(tmp_path: Path) -> None:
    config = DocumentsConfig(enabled=True, method="encoder", encoder=str(tmp_path / "none"))
    with pytest.raises(EncoderError, match=r"documents\.encoder: the folder .*none does not exist"):
        check_document_encoder(config)
    check_document_encoder(config.model_copy(update={"enabled": False}))


def test_settings_of_older_releases_are_read() -> None:
    assert DocumentsConfig.model_validate({"method": "mean"}).method == "sif"
