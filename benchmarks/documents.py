"""`python -m benchmarks documents`: how well document vectors find documents of the same label, compared with peers.

Scored by the accuracy of the 10 nearest neighbours by cosine: a held-out document gets the label of their majority.
"""

import csv
import html
import io
import time
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, NamedTuple, TypeAlias

import numpy as np
import pyarrow as pa
import typer
from backports import zstd
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from benchmarks.ledger import RESULTS, ROOT, this_place
from storage.corpus.labelled_texts import read_labelled_reviews
from storage.releases.file import SIF_A
from tasks.metrics.intervals import share_interval
from tasks.text.document_means import TokenRows, document_means
from tasks.text.tokenizers import TOKENIZERS
from tasks.text.vocabulary import keep_probability, noise_probability
from tasks.trainers.backends import train
from tasks.trainers.config import SkipGramConfig
from tasks.trainers.interface import ArrayTokenSource, Vocabulary

WIKIPEDIA = ROOT.parent / "shared" / "data" / "corpora" / "enwiki2015_AA_wikiextractor.txt.zst"
MIN_COUNT, DIMENSION, EPOCHS, NEIGHBORS, SEED = 3, 100, 10, 10, 1
FEWEST_WORDS, PARAGRAPHS = 40, 10
# float32 in an array or a sparse matrix.
Vectors: TypeAlias = Any


class Labelled(NamedTuple):
    """Documents as lists of tokens, (N,) labels, and (N,) whether each is held out."""

    name: str
    tokens: list[list[str]]
    labels: NDArray[np.int64]
    held_out: NDArray[np.bool_]


class Score(NamedTuple):
    """One method on one set."""

    documents: str
    method: str
    seconds: float
    accuracy: float
    held_out: int


def measure_documents(
    labelled: Annotated[
        Path | None, typer.Option(help="csv with the columns text and label, such as AG News; default: see the page")
    ] = None,
    most: Annotated[int, typer.Option(min=100, help="documents of a set")] = 20_000,
    output: Annotated[Path, typer.Option(file_okay=False, help="folder to write into")] = RESULTS,
) -> None:
    """Compare SIF means with TF-IDF and gensim's Doc2Vec by retrieval, and write documents.md."""
    sets = [_csv_documents(labelled, most)] if labelled else default_documents(most)
    scores = [score_method(name, documents) for documents in sets for name in METHODS]
    output.mkdir(parents=True, exist_ok=True)
    command = f"python -m benchmarks documents --most {most}" + (f" --labelled {labelled.name}" if labelled else "")
    (output / "documents.md").write_text(write_page(command, sets, scores), encoding="utf-8")


def score_method(method: str, documents: Labelled) -> Score:
    """Compute all vectors with one method, without labels, and classify the held-out documents."""
    started = time.perf_counter()
    vectors = METHODS[method](documents.tokens)
    seconds = time.perf_counter() - started
    accuracy = neighbor_accuracy(vectors, documents.labels, documents.held_out)
    return Score(documents.name, method, seconds, accuracy, int(documents.held_out.sum()))


def neighbor_accuracy(vectors: Vectors, labels: NDArray[np.int64], held_out: NDArray[np.bool_]) -> float:
    """Share of held-out documents whose label most of their nearest other documents have; ties go to the nearest."""
    norms = np.sqrt(np.asarray(vectors.multiply(vectors).sum(1)).ravel() if isinstance(vectors, csr_matrix) else
                    np.einsum("nd,nd->n", vectors, vectors))  # fmt: skip
    scale = 1 / np.maximum(norms, 1e-12)
    known, known_labels = np.flatnonzero(~held_out), labels[~held_out]
    right = 0
    for rows in np.array_split(np.flatnonzero(held_out), max(1, int(held_out.sum()) // 500)):
        products = vectors[rows] @ vectors[known].T
        cosines = (products.toarray() if isinstance(products, csr_matrix) else products) * scale[known]
        nearest = np.argpartition(-cosines, NEIGHBORS, axis=1)[:, :NEIGHBORS]
        order = np.take_along_axis(nearest, np.argsort(-np.take_along_axis(cosines, nearest, 1), axis=1), 1)
        for row, places in zip(rows.tolist(), order, strict=True):
            # Counter keeps the order of first occurrence, so the nearest of equals wins.
            right += Counter(known_labels[places].tolist()).most_common(1)[0][0] == labels[row]
    return right / int(held_out.sum())


def sif_means(documents: list[list[str]]) -> Vectors:
    """vecmill: skip-gram on these documents, then SIF-weighted means of unit vectors."""
    counts = Counter(token for tokens in documents for token in tokens)
    words = [word for word, count in counts.most_common() if count >= MIN_COUNT]
    row_of = {word: row for row, word in enumerate(words)}
    ids = [[row_of[token] for token in tokens if token in row_of] for tokens in documents]
    flat = np.array([word for words_of_one in ids for word in words_of_one], np.int32)
    offsets = np.cumsum([0, *map(len, ids)])
    number = np.array([counts[word] for word in words])
    vocabulary = Vocabulary(number, keep_probability(number, 1e-3), noise_probability(number, 0.75))
    source = ArrayTokenSource(np.split(flat, offsets[1:-1]))
    for step in train(source, vocabulary, SkipGramConfig(dimension=DIMENSION, epochs=EPOCHS, workers=2, seed=SEED)):
        state = step.state
    unit = state.center_vectors / np.linalg.norm(state.center_vectors, axis=1, keepdims=True)
    weights = (SIF_A / (SIF_A + number / number.sum())).astype(np.float32)
    rows = TokenRows(np.arange(len(documents)), flat, offsets)
    return np.concatenate([means.vectors for means in document_means([rows], unit, weights)])


def tf_idf(documents: list[list[str]]) -> Vectors:
    """scikit-learn's TF-IDF with logarithmic counts."""
    from sklearn.feature_extraction.text import TfidfVectorizer

    return csr_matrix(TfidfVectorizer(analyzer=list, min_df=2, sublinear_tf=True).fit_transform(documents), copy=False)


def doc2vec(documents: list[list[str]], *, memory: bool = False) -> Vectors:
    """Gensim's Doc2Vec: PV-DBOW, or PV-DM with `memory`; the vectors are those of the training."""
    from gensim.models.doc2vec import Doc2Vec, TaggedDocument

    tagged = [TaggedDocument(tokens, [number]) for number, tokens in enumerate(documents)]
    model = Doc2Vec(
        tagged, dm=int(memory), vector_size=DIMENSION, min_count=MIN_COUNT, epochs=EPOCHS, negative=5, sample=1e-3,
        workers=2, seed=SEED,
    )  # fmt: skip
    return np.array(model.dv.vectors)


METHODS: dict[str, Callable[[list[list[str]]], Vectors]] = {
    "vecmill SIF means": sif_means,
    "TF-IDF (scikit-learn)": tf_idf,
    "Doc2Vec PV-DBOW (gensim)": doc2vec,
    "Doc2Vec PV-DM (gensim)": lambda documents: doc2vec(documents, memory=True),
}


def labelled_documents(name: str, texts: list[str], labels: list[str], share: float = 0.1) -> Labelled:
    """Tokenize as a corpus is, and hold out a share of the documents."""
    tokens = TOKENIZERS["unicode_words"](pa.array([text.lower() for text in texts])).to_pylist()
    _, numbers = np.unique(labels, return_inverse=True)
    return Labelled(name, tokens, numbers, np.random.default_rng(SEED).random(len(tokens)) < share)


def write_page(command: str, sets: list[Labelled], scores: list[Score]) -> str:
    """A table of all scores, and the command that writes it again."""
    place = this_place()
    sizes = "; ".join(
        f"{documents.name}: {len(documents.tokens):,} documents, {len(np.unique(documents.labels)):,} labels, "
        f"{int(documents.held_out.sum()):,} held out"
        for documents in sets
    )
    lines = [
        "# Document vectors",
        "",
        f"Written by `{command}` on {datetime.now(UTC).date()}, commit {place.commit}, "
        f"{place.processor}, 2 workers. {sizes}. Dimension {DIMENSION}, {EPOCHS} epochs, min count {MIN_COUNT}, one "
        f"seed. Accuracy: label of the majority of the {NEIGHBORS} nearest documents by cosine, for held-out "
        "documents, with its 95 % interval. No method sees a label; all see the text of all documents. Seconds "
        "include training; rows measured on a busy machine are not comparable in time.",
        "",
        "| documents | method | seconds | accuracy | interval |",
        "|---|---|---:|---:|---|",
    ]
    for row in scores:
        interval = share_interval(round(row.accuracy * row.held_out), row.held_out)
        assert interval is not None
        lines.append(
            f"| {row.documents} | {row.method} | {row.seconds:.0f} | {row.accuracy:.3f} "
            f"| {interval.low:.3f} to {interval.high:.3f} |"
        )
    lines += [
        "",
        "20 newsgroups and AG News are not in the packages that vecmill installs; `--labelled FILE` reads such a set "
        "from a csv file.",
    ]
    return "\n".join(lines) + "\n"


def default_documents(most: int) -> list[Labelled]:
    """The film reviews and, where its file is, Wikipedia."""
    sets = [review_documents(most)]
    return [*sets, paragraph_documents(most)] if WIKIPEDIA.exists() else sets


def review_documents(most: int) -> Labelled:
    """Film reviews, labelled by sentiment."""
    reviews = read_labelled_reviews()
    chosen = np.random.default_rng(SEED).permutation(len(reviews.labels))[:most]
    texts = reviews.texts.take(pa.array(chosen)).to_pylist()
    return labelled_documents("film reviews by sentiment", texts, reviews.labels[chosen].astype(str).tolist())


def paragraph_documents(most: int) -> Labelled:
    """Paragraphs of Wikipedia, labelled by their article."""
    pairs = list(_paragraphs(WIKIPEDIA, most))
    return labelled_documents("Wikipedia paragraphs by article", [p for _, p in pairs], [a for a, _ in pairs])


def _csv_documents(path: Path, most: int) -> Labelled:
    with path.open(encoding="utf-8", newline="") as file:
        rows = [(row["text"], row["label"]) for row, _ in zip(csv.DictReader(file), range(most), strict=False)]
    return labelled_documents(path.stem, [text for text, _ in rows], [label for _, label in rows])


def _paragraphs(path: Path, most: int) -> Iterator[tuple[str, str]]:
    """The first paragraphs of each article that are long enough, of the articles with at least PARAGRAPHS of them."""
    found, article, long_ones = 0, "", list[str]()
    with zstd.open(path, "rb") as packed, io.TextIOWrapper(packed, "utf-8") as file:
        for line in file:
            if line.startswith("<doc "):
                article, long_ones = line, []
            elif len(line.split()) >= FEWEST_WORDS and len(long_ones) < PARAGRAPHS:
                long_ones.append(html.unescape(line))
                if len(long_ones) == PARAGRAPHS:
                    yield from ((article, paragraph) for paragraph in long_ones)
                    found += PARAGRAPHS
                    if found >= most:
                        return
