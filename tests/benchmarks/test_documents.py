"""The benchmark of document vectors on a small labelled set, and its score against scikit-learn."""

from pathlib import Path

import numpy as np
import pytest
from scipy.sparse import csr_matrix
from sklearn.neighbors import KNeighborsClassifier

from benchmarks.documents import METHODS, labelled_documents, neighbor_accuracy, score_method, write_page

TOPICS = {"sea": "ship harbour sail wave captain", "kitchen": "bread oven flour butter baker"}


@pytest.mark.parametrize("sparse", [False, True])
def test_the_accuracy_is_that_of_scikit_learn(sparse: bool) -> None:
    random = np.random.default_rng(2)
    labels = random.integers(0, 2, 300)
    vectors = (random.normal(size=(300, 8)) + labels[:, None]).astype(np.float32)
    held_out = random.random(300) < 0.2
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    peer = KNeighborsClassifier(10, metric="cosine", weights=lambda distances: 1 - 1e-6 * distances)
    peer.fit(unit[~held_out], labels[~held_out])
    expected = float(np.mean(peer.predict(unit[held_out]) == labels[held_out]))
    found = neighbor_accuracy(csr_matrix(vectors) if sparse else vectors, labels, held_out)
    assert found == pytest.approx(expected, abs=0.04)  # ties


def test_every_method_is_scored_and_written(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    labels = [list(TOPICS)[number % 2] for number in range(120)]
    texts = [" ".join(random.choice(f"{TOPICS[label]} the of and".split(), 20)) for label in labels]
    documents = labelled_documents("topics", texts, labels, share=0.25)
    scores = [score_method(method, documents) for method in METHODS]
    assert all(score.accuracy > 0.9 for score in scores[:2])
    page = write_page("python -m benchmarks documents", [documents], scores)
    rows = [line.split(" | ") for line in page.splitlines() if line.startswith("| topics ")]
    assert [row[1] for row in rows] == list(METHODS)
    low, high = map(float, rows[0][-1].removesuffix(" |").split(" to "))
    assert low < scores[0].accuracy <= high
