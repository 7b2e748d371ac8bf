"""Document vectors by gensim's Doc2Vec: PV-DBOW and PV-DM.

Source: Le and Mikolov 2014, "Distributed Representations of Sentences and Documents".
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

NEGATIVES = 5
# gensim silently drops the words of a document after this many.
MOST_WORDS = 10_000
Documents = Callable[[], Iterator[Sequence[str]]]


class Doc2VecDocuments:
    """A Doc2Vec model of some documents.

    With one worker the same documents and seed yield the same bits; with several the vectors differ from run to run,
    because their threads share the model without locks.
    """

    def __init__(
        self,
        documents: Documents,
        trained: NDArray[np.bool_],
        *,
        memory: bool,
        dimension: int,
        epochs: int,
        subsample_threshold: float,
        seed: int,
        workers: int,
    ) -> None:
        """Train. documents: yields the words of all N documents, in order, each time it is called.

        trained: (N,) which documents to train on; at least one has words.  memory: PV-DM instead of PV-DBOW.
        """
        # Deferred: takes a second to import.
        from gensim.models.doc2vec import Doc2Vec

        self._documents, self._trained, self._seed, self._memory = documents, trained, seed, memory
        self._model: Any = Doc2Vec(
            _Tagged(documents, trained), dm=int(memory), vector_size=dimension, min_count=1, epochs=epochs,
            negative=NEGATIVES, sample=subsample_threshold, workers=workers, seed=seed,
        )  # fmt: skip

    def vectors(self) -> Iterator[NDArray[np.float32]]:
        """The (D,) vector of each document, in order: as trained, or inferred."""
        rows = np.cumsum(self._trained) - 1
        for words, trained, row in zip(self._documents(), self._trained.tolist(), rows.tolist(), strict=True):
            yield self._model.dv.vectors[row] if trained else self.infer(words)

    def infer(self, words: Sequence[str]) -> NDArray[np.float32]:
        """The (D,) vector of any document: the same for the same words, in every process.

        gensim's `infer_vector` differs from call to call, since it continues one stream of random numbers, and from
        process to process, since Python's hash of the text is its seed.
        """
        from gensim.models.doc2vec import train_document_dbow, train_document_dm

        model = self._model
        model.random.seed(self._seed)
        vector = ((model.random.random_sample((1, model.vector_size)) - 0.5) / model.vector_size).astype(np.float32)
        free, work = np.ones(1, np.float32), np.zeros(model.layer1_size, np.float32)
        mean = np.zeros(model.layer1_size, np.float32)
        rates = np.linspace(model.alpha, model.min_alpha, model.epochs)
        for rate in rates.tolist():
            for first in range(0, len(words), MOST_WORDS):
                some = list(words[first : first + MOST_WORDS])
                kept: dict[str, Any] = {"doctag_vectors": vector, "doctags_lockf": free}
                if self._memory:
                    train_document_dm(model, some, [0], rate, work, mean, learn_words=False, learn_hidden=False, **kept)
                else:
                    train_document_dbow(model, some, [0], rate, work, learn_words=False, learn_hidden=False, **kept)
        inferred: NDArray[np.float32] = vector[0]
        return inferred


class _Tagged:
    """The documents to train on as gensim reads them, once for each epoch. Long ones in parts with the same tag."""

    def __init__(self, documents: Documents, trained: NDArray[np.bool_]) -> None:
        self._documents, self._trained = documents, trained

    def __iter__(self) -> Iterator[Any]:
        from gensim.models.doc2vec import TaggedDocument

        tag = 0
        for words, trained in zip(self._documents(), self._trained.tolist(), strict=True):
            if trained:
                for first in range(0, max(1, len(words)), MOST_WORDS):
                    yield TaggedDocument(list(words[first : first + MOST_WORDS]), [tag])
                tag += 1
