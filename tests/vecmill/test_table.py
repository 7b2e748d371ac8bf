"""A table in Python: the answers of SQL and of gensim, whatever is opened, and one clear error for the rest."""

import copy
import pickle
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import numpy as np
import pytest
from gensim.models import KeyedVectors

import vecmill
from storage.disk import sha256_of
from storage.errors import ReleaseError, SettingsError, UnknownWordError
from storage.layout import CACHE_VARIABLE, Workspace
from storage.releases.history import tag_release
from storage.releases.loading import sif_weights
from storage.releases.mirror import MirrorIndex
from storage.releases.ngrams import NgramContent
from storage.releases.publishing import publish_release
from storage.stages import FileRecord
from tests.storage.releases.test_format_versions import FORMATS, unpacked
from tests.storage.sample_releases import content
from vecmill.table import Table, Weighting

INPUTS = 300


def random_words(table: Table, size: int | tuple[int, int], seed: int = 1) -> list[list[str]]:
    rows = np.random.default_rng(seed).integers(0, len(table), size)
    return [[table.words[row] for row in np.atleast_1d(line)] for line in rows]


def from_sql(table: Table, macro: str, *values: object) -> list[tuple[str, float, int]]:
    return table.sql(f"SELECT word, similarity, rank FROM {macro}", values).fetchall()


def test_the_import_is_light() -> None:
    program = "import sys, vecmill; print(*{name.split('.')[0] for name in sys.modules})"
    loaded = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.split()
    assert not {"prefect", "torch", "gensim", "pandas", "sklearn", "duckdb", "numpy"} & set(loaded)


def test_neighbours_and_ties_are_those_of_sql(table: Table) -> None:
    for (word,) in random_words(table, INPUTS):
        assert table.nearest(word, 12) == from_sql(table, "nearest(?, k := 12)", word)


@pytest.mark.parametrize(("k", "max_rank"), [(0, None), (5, 100), (2999, None), (4000, 2000), (3, 0)])
def test_any_number_of_neighbours_is_that_of_sql(table: Table, k: int, max_rank: int | None) -> None:
    for (word,) in random_words(table, 5):
        expected = from_sql(table, "nearest(?, k := ?, max_rank := ?)", word, k, max_rank)
        assert table.nearest(word, k, max_rank) == expected


def test_many_words_at_once_have_the_neighbours_of_each(table: Table) -> None:
    words = [word for (word,) in random_words(table, INPUTS)]
    assert table.nearest_many(words, 7) == [table.nearest(word, 7) for word in words]


def test_analogies_and_vectors_are_completed_as_in_sql(table: Table) -> None:
    for words in random_words(table, (INPUTS, 3)):
        a, b, c = words
        assert table.analogy(a, b, c) == from_sql(table, "analogy(?, ?, ?)", *words)
        assert table.most_similar([b, c], a) == from_sql(table, "most_similar(?, ?)", [b, c], [a])
    for length, vector in enumerate(np.random.default_rng(2).normal(size=(50, 20))):
        vector *= 10.0 ** (length % 5 * 10 - 20)
        assert table.nearest_to(vector) == from_sql(table, "nearest_to(?)", vector.tolist())


def test_similarities_and_odd_words_are_those_of_sql(table: Table) -> None:
    for words in random_words(table, (INPUTS, 4)):
        ((similarity, odd),) = table.sql("SELECT similarity(?, ?), doesnt_match(?)", [*words[:2], words]).fetchall()
        assert table.similarity(words[0], words[1]) == similarity
        if len(set(words)) > 1:
            assert table.doesnt_match(words) == odd


def test_answers_are_those_of_gensim(table: Table, workspace: Workspace) -> None:
    # Without equal vectors: gensim does not define the order of ties.
    publish_release(workspace, "plain", content(rows=500))
    plain = vecmill.open("plain", workspace.root)
    keyed = plain.to_gensim()
    assert isinstance(keyed, KeyedVectors)
    assert keyed.get_vecattr("word3", "count") == plain.counts[3]
    for words in random_words(plain, (INPUTS, 4)):
        a, b, c, _ = words
        for answer, expected in (
            (plain.nearest(a), keyed.most_similar(a)),
            (plain.most_similar([b, c], [a]), keyed.most_similar([b, c], [a])),
            (plain.most_similar(a), keyed.most_similar(a)),
        ):
            assert [found.word for found in answer] == [word for word, _ in expected]
            np.testing.assert_allclose([found.similarity for found in answer], [s for _, s in expected], atol=1e-6)
        assert plain.similarity(a, b) == pytest.approx(float(keyed.similarity(a, b)), abs=1e-6)
        if len(set(words)) == len(words):
            assert plain.doesnt_match(words) == keyed.doesnt_match(words)


@pytest.mark.parametrize("version", FORMATS)
def test_releases_of_every_format_can_be_opened(version: int, tmp_path: Path) -> None:
    table = vecmill.open("glove", unpacked(version, tmp_path).root)
    word = table.words[0]
    assert table.nearest(word, 3) == from_sql(table, "nearest(?, k := 3)", word)
    np.testing.assert_allclose(table.embed([word])[0], table.vector(word), atol=1e-6)
    np.testing.assert_allclose(table.weights, sif_weights(table.counts), rtol=1e-5)


def test_text_is_cut_like_the_corpus_and_averaged(table: Table) -> None:
    assert table.tokenize("A DULL film, in a cafe\u0301!") == ["a", "dull", "film", "in", "a", "café"]
    texts = ["A dull film, a CAFE\u0301", "nothing known", "", "good"]
    weightings: tuple[Weighting, ...] = ("sif", "mean")
    for weighting in weightings:
        found = table.embed(texts, weighting)
        assert found.shape == (4, 20)
        assert found.dtype == np.float32
        words = ["a", "dull", "film", "a", "café"]
        weights = [table.weights[table.rank(word) - 1] if weighting == "sif" else 1 for word in words]
        np.testing.assert_allclose(found[0], np.average(table.vectors(words), 0, weights), atol=1e-6)
        assert np.isnan(found[1:3]).all()
        ((known,),) = table.sql("SELECT text_vector(?)", [texts[0]]).fetchall()
        if weighting == "sif":
            np.testing.assert_allclose(found[0], known, atol=1e-6)
        np.testing.assert_allclose(found[3], table.vector("good"), atol=1e-6)
    assert table.embed([]).shape == (0, 20)


def test_texts_find_words_and_documents(table: Table) -> None:
    words = table.search(["good", "unheard"], k=2)
    assert words[0][0].word == "good"
    assert words[1] == []
    found = table.search_among(["bad film", "", "dull york", "a good film"], ["good film", "unheard"], k=2)
    assert (found[0][0][0], len(found[0]), found[1]) == (3, 2, [])
    one, two = table.embed(["good film", "a good film"])
    assert found[0][0][1] == pytest.approx(one @ two / np.linalg.norm(one) / np.linalg.norm(two), abs=1e-6)


def test_phrases_are_joined_where_the_table_has_them(workspace: Workspace) -> None:
    settings = {"tokenizer": {"name": "whitespace", "phrases": 2}}
    sample = content(["new", "york", "city", "new_york", "new_york_city"])
    publish_release(workspace, "phrases", replace(sample, settings=settings))
    assert vecmill.open("phrases", workspace.root).tokenize("york new york city new york") == [
        "york",
        "new_york_city",
        "new_york",
    ]


def test_words_vectors_and_counts(table: Table) -> None:
    assert (len(table), table.dimension, table.name, table.version) == (3000, 20, "films", 1)
    assert table.words[:2] == ["a", "film"] == list(table)[:2]
    assert "cafe\u0301" in table
    assert "unheard" not in table
    assert 3 not in table
    assert table.rank("cafe\u0301") == 6
    assert table.vectors() is table.vectors()
    assert not table.vectors().flags.writeable
    assert table.vectors(["film", "unheard"], "skip").shape == (1, 20)
    found = table.vectors(["unheard", "film"], "nan")
    assert np.isnan(found[0]).all()
    assert (found[1] == table.vector("film")).all()
    assert np.isnan(table.vector("unheard", "nan")).all()
    assert np.isnan(table.similarity("unheard", "film", "nan"))
    assert table.nearest_many(["film", "unheard"], 1, unknown="skip")[1] == []
    assert table.most_similar(["film", "unheard"], unknown="skip") == table.nearest("film")
    assert table.doesnt_match(["good", "bad", "unheard"], "skip") in ("good", "bad")
    assert "3,000 words x 20" in repr(table)
    assert table.settings["tokenizer.name"] == "unicode_words"


@pytest.mark.parametrize(
    "ask",
    [
        lambda table: table.nearest("fiml"),
        lambda table: table.vector("fiml"),
        lambda table: table.vectors(["a", "fiml"]),
        lambda table: table.analogy("a", "fiml", "good"),
        lambda table: table.most_similar("fiml"),
        lambda table: table.similarity("a", "fiml"),
        lambda table: table.doesnt_match(["a", "fiml"]),
        lambda table: table.rank("fiml"),
    ],
)
def test_an_unknown_word_is_an_error_that_suggests_another(table: Table, ask: Callable[[Table], object]) -> None:
    with pytest.raises(UnknownWordError, match=r"^'films' has no word 'fiml'; did you mean film") as caught:
        ask(table)
    assert isinstance(caught.value, KeyError)


def test_wrong_arguments_are_named(table: Table) -> None:
    with pytest.raises(ReleaseError, match="2 words or more"):
        table.doesnt_match(["film"])
    with pytest.raises(TypeError, match=r"embed\(\[text\]\)"):
        table.embed("a text")
    with pytest.raises(ValueError, match="'sif' or 'mean'"):
        table.embed(["a"], "max")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"shape \(20,\), not \(3,\)"):
        table.nearest_to([1, 2, 3])


def test_a_vector_without_a_direction_has_no_neighbours(table: Table) -> None:
    assert table.nearest_to(np.zeros(20)) == table.nearest_to(np.full(20, np.nan)) == []
    assert table.most_similar(["good"], ["good"]) == []


def test_unknown_words_are_composed_of_ngrams_as_in_sql(tmp_path: Path) -> None:
    buckets = np.random.default_rng(3).normal(size=(500, 16)).astype(np.float32)
    publish_release(Workspace(tmp_path), "grams", replace(content(), ngrams=NgramContent(3, 6, buckets)))
    grams = vecmill.open("grams", tmp_path)
    for word in ("wordy", "unforgettable", "word3"):
        assert grams.nearest(word, 5) == from_sql(grams, "nearest(?, k := 5)", word)
        ((vector,),) = grams.sql("SELECT word_vector(?)", [word]).fetchall()
        np.testing.assert_array_equal(grams.vector(word), np.array(vector, np.float32))
    assert "wordy" not in grams
    for unknown in ("", "\ud800"):
        with pytest.raises(UnknownWordError, match="has no word"):
            grams.nearest(unknown)
        assert np.isnan(grams.vector(unknown, "nan")).all()


def test_sql_is_read_only_and_sees_the_callers_data_frames(table: Table) -> None:
    import pandas

    wanted = pandas.DataFrame({"word": ["film", "unheard"]})
    assert len(wanted) == 2
    assert table.sql("SELECT count(*) FROM wanted JOIN word_vectors USING (word)").fetchall() == [(1,)]
    with pytest.raises(Exception, match="read-only"):
        table.sql("CREATE TABLE mine (word VARCHAR)")


def test_copies_share_memory_and_a_pickle_opens_the_same_release(table: Table, workspace: Workspace) -> None:
    assert copy.deepcopy(table) is copy.copy(table) is table
    again = pickle.loads(pickle.dumps(table))
    assert again.path == table.path == workspace.release_file("films", 1)
    assert again.nearest("film") == table.nearest("film")


def test_a_version_a_path_and_the_current_release_are_opened(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    for seed in (1, 2):
        publish_release(workspace, "news", content(rows=50, seed=seed))
    assert [vecmill.open("news", tmp_path, version).version for version in (None, 1, "2")] == [2, 1, 2]
    assert vecmill.open(workspace.table_file("news")).version == 2
    assert vecmill.open(str(workspace.release_file("news", 1))).version == 1
    with pytest.raises(ReleaseError, match="the versions are 1, 2"):
        vecmill.open("news", tmp_path, 3)
    with pytest.raises(ReleaseError, match="the tables are news"):
        vecmill.open("olds", tmp_path)
    with pytest.raises(SettingsError, match="version=1 does not apply"):
        vecmill.open(workspace.table_file("news"), version=1)
    with pytest.raises(ReleaseError, match="no such release file"):
        vecmill.open(tmp_path / "absent.duckdb")
    (tmp_path / "text.duckdb").write_text("text")
    with pytest.raises(ReleaseError, match="cannot be read as a release"):
        vecmill.open(tmp_path / "text.duckdb")


@pytest.mark.parametrize("damage", ["cut", "unwritable", "other"])
def test_without_a_good_cache_file_the_vectors_are_read(
    table: Table, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, damage: str
) -> None:
    folder = tmp_path / "cache"
    monkeypatch.setenv(CACHE_VARIABLE, str(folder))
    file = folder / "vectors" / f"{table.release.sha256}.npy"
    if damage == "unwritable":
        folder.write_text("not a folder")
    else:
        file.parent.mkdir(parents=True)
        np.save(file, np.zeros((3000, 20) if damage == "cut" else (3, 20), np.float32))
        file.write_bytes(file.read_bytes()[: 1000 if damage == "cut" else None])
    again = vecmill.open(table.path)
    assert again.nearest("film") == table.nearest("film")
    assert not again.vectors().flags.writeable


@pytest.fixture
def folder_server(workspace: Workspace) -> Iterator[str]:
    handler = partial(SimpleHTTPRequestHandler, directory=str(workspace.tables_root))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_a_release_file_on_a_server_is_opened(table: Table, folder_server: str) -> None:
    current = vecmill.open(f"{folder_server}/films.duckdb")
    assert current.nearest("film") == vecmill.open(f"{folder_server}/films.duckdb", version=1).nearest("film")
    assert current.nearest("film") == table.nearest("film")
    with pytest.raises(ReleaseError, match="404"):
        vecmill.open(f"{folder_server}/absent.duckdb")
    with pytest.raises(SettingsError, match="a version is a number"):
        vecmill.open(f"{folder_server}/films.duckdb", version="best")


def test_a_version_is_opened_by_its_tag(tmp_path: Path) -> None:
    for seed in (1, 2):
        publish_release(Workspace(tmp_path), "tagged", content(seed=seed))
    tag_release(Workspace(tmp_path), "tagged", "1", "stable")
    assert vecmill.open("tagged", tmp_path).version == 2
    assert vecmill.open("tagged", tmp_path, "stable").version == 1
    with pytest.raises(ReleaseError, match="missing"):
        vecmill.open("tagged", tmp_path, "missing")


def test_a_mirror_is_opened_by_the_address_of_its_table(table: Table, folder_server: str, workspace: Workspace) -> None:
    folder = workspace.tables_root / "mirror"
    folder.mkdir()
    shutil.copy(table.path, folder)
    record = FileRecord(size=table.path.stat().st_size, sha256=sha256_of(table.path))
    index = MirrorIndex(table="films", current=1, versions={1: {".duckdb": record}})
    (folder / "versions.json").write_text(index.model_dump_json())
    assert vecmill.open(f"{folder_server}/mirror").nearest("film") == table.nearest("film")
    assert vecmill.open(f"{folder_server}/mirror/", version=1).version == 1
    with pytest.raises(ReleaseError, match="no release 2; the versions are 1"):
        vecmill.open(f"{folder_server}/mirror", version=2)
    with pytest.raises(ReleaseError, match="not the index of a mirror"):
        vecmill.open(f"{folder_server}/films")
