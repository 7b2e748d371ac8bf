"""A published table of word vectors in Python: neighbours, text vectors, and copies for other libraries."""

import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import ArrayLike, NDArray

from storage.errors import ReleaseError, UnknownWordError
from storage.releases.loading import LoadedRelease, connect_release, load_release, locate_release
from storage.releases.opening import open_release
from storage.releases.querying import is_unicode, words_spelt_alike
from storage.releases.schema import ReleaseRow
from vecmill.search import (
    Direction,
    Neighbor,
    direction_of,
    inner_products,
    nearest_rows,
    scaled_direction,
    unit_direction,
)

if TYPE_CHECKING:
    import pandas
    import polars
    from gensim.models import KeyedVectors

    from tasks.text.reading import TextReader
    from vecmill.torch_embedding import WordEmbedding

Weighting = Literal["sif", "mean"]


def open_table(source: str | Path, workspace: str | Path | None, version: int | str | None) -> "Table":
    """As `vecmill.open`."""
    return Table(load_release(locate_release(source, workspace, version)))


class Table:
    """V words with vectors of D numbers, most frequent first. `vecmill.open` returns one.

    Nothing changes it, so threads may share it. Pickled, it is the path of its release; copies share its memory.
    Words are spelt as in the table, but accents may come after their letters (NFD).
    """

    def __init__(self, loaded: LoadedRelease) -> None:
        self._loaded = loaded
        self._vectors = loaded.vectors

    # What it is

    @property
    def name(self) -> str:
        """Name of the table."""
        return self.release.table_name

    @property
    def version(self) -> int | None:
        """Number of the release; None for a candidate."""
        return self.release.version

    @property
    def release(self) -> ReleaseRow:
        """Where the release comes from: its row of the SQL table `release`."""
        return self._loaded.row

    @property
    def path(self) -> Path:
        """Path of the release file."""
        return self._loaded.path

    @property
    def settings(self) -> Mapping[str, Any]:
        """Dotted name -> value of each setting of the run that produced the release."""
        return self._loaded.settings

    @property
    def dimension(self) -> int:
        """D, the length of a vector."""
        return self.release.dimension

    @property
    def words(self) -> list[str]:
        """The V words, most frequent first."""
        return self._loaded.words

    @property
    def counts(self) -> NDArray[np.int64]:
        """(V,) occurrences in the corpus; all 0 if they are unknown."""
        return self._loaded.counts

    @property
    def weights(self) -> NDArray[np.float32]:
        """(V,) SIF weights: 1e-3 / (1e-3 + share of the corpus); frequent words weigh little."""
        return self._loaded.weights

    def __len__(self) -> int:
        return len(self.words)

    def __iter__(self) -> Iterator[str]:
        return iter(self.words)

    def __contains__(self, word: object) -> bool:
        return isinstance(word, str) and self._spelt(word) in self._rows

    def __repr__(self) -> str:
        number = "candidate" if self.version is None else f"version {self.version}"
        return f"<vecmill table {self.name!r}, {number}: {len(self):,} words x {self.dimension}>"

    def __reduce__(self) -> tuple[Any, ...]:
        return open_table, (self.path, None, None)

    def __copy__(self) -> "Table":
        return self

    def __deepcopy__(self, memo: object) -> "Table":
        return self

    # Words

    def rank(self, word: str) -> int:
        """Place of a word by frequency, 1 = most frequent. Raises UnknownWordError, which suggests other spellings."""
        return self._row(word) + 1

    def vector(self, word: str, unknown: Literal["error", "nan"] = "error") -> NDArray[np.float32]:
        """(D,) vector of a word, of unit length; if the release has n-grams, unknown words are composed of theirs.

        unknown: "nan" returns NaN instead of raising UnknownWordError.
        """
        found = self._find(word)
        if found is not None:
            return np.array(found[0])
        if unknown == "nan":
            return np.full(self.dimension, np.nan, np.float32)
        raise UnknownWordError(self._unknown(word))

    def vectors(
        self, words: Sequence[str] | None = None, unknown: Literal["error", "skip", "nan"] = "error"
    ) -> NDArray[np.float32]:
        """(N, D) vectors of N words; of all words, without a copy, for None: then (V, D) and read-only.

        unknown: what to do with unknown words: raise UnknownWordError, leave them out, or return rows of NaN.
        """
        if words is None:
            return self._vectors
        rows = self._known_rows(words, "error" if unknown == "error" else "skip")
        if unknown != "nan" or len(rows) == len(words):
            return np.array(self._vectors[rows])
        found = np.full((len(words), self.dimension), np.nan, np.float32)
        found[[word in self for word in words]] = self._vectors[rows]
        return found

    def nearest(self, word: str, k: int = 10, max_rank: int | None = None) -> list[Neighbor]:
        """The k words with the highest cosine to a word, nearest first; ties go to the more frequent word.

        max_rank: search only the most frequent words.  Raises UnknownWordError, which suggests other spellings.
        """
        return self.nearest_many([word], k, max_rank)[0]

    def nearest_many(
        self,
        words: Sequence[str],
        k: int = 10,
        max_rank: int | None = None,
        unknown: Literal["error", "skip"] = "error",
    ) -> list[list[Neighbor]]:
        """`nearest` of N words at once, which is faster. unknown: "skip" returns an empty list for such a word."""
        asked = [self._find(word) for word in words]
        for word, found in zip(words, asked, strict=True):
            if found is None and unknown == "error":
                raise UnknownWordError(self._unknown(word))
        known = [found for found in asked if found is not None]
        results = iter(
            self._search([unit_direction(vector) for vector, _ in known], [own for _, own in known], k, max_rank)
        )
        return [[] if found is None else next(results) for found in asked]

    def nearest_to(self, vector: ArrayLike, k: int = 10, max_rank: int | None = None) -> list[Neighbor]:
        """The k words nearest to a vector (D,) of any length; none for a vector of zeros, NaN or infinities."""
        return self._nearest_to_many([np.asarray(vector)], k, max_rank)[0]

    def most_similar(
        self,
        positive: str | Sequence[str] = (),
        negative: str | Sequence[str] = (),
        k: int = 10,
        max_rank: int | None = None,
        unknown: Literal["error", "skip"] = "error",
    ) -> list[Neighbor]:
        """The k words nearest to the sum of some words less that of others, without these words, as in gensim."""
        added = self._known_rows([positive] if isinstance(positive, str) else positive, unknown)
        removed = self._known_rows([negative] if isinstance(negative, str) else negative, unknown)
        # Summed in float64, as SQL does.
        total = self._vectors[added].sum(axis=0, dtype=np.float64) - self._vectors[removed].sum(
            axis=0, dtype=np.float64
        )
        return self._nearest_to_sum(total.astype(np.float32), [*added, *removed], k, max_rank)

    def analogy(self, a: str, b: str, c: str, k: int = 10, max_rank: int | None = None) -> list[Neighbor]:
        """A is to b as c is to …: the k best words, without these three. Raises UnknownWordError."""
        rows = self._known_rows([a, b, c], "error")
        one, two, three = self._vectors[rows]
        return self._nearest_to_sum(two - one + three, rows, k, max_rank)

    def similarity(self, a: str, b: str, unknown: Literal["error", "nan"] = "error") -> float:
        """Cosine of two words. unknown: "nan" returns NaN instead of raising UnknownWordError."""
        one, two = self.vector(a, unknown), self.vector(b, unknown)
        return float(inner_products(one[None], two)[0])

    def doesnt_match(self, words: Sequence[str], unknown: Literal["error", "skip"] = "error") -> str:
        """The word that is least similar to the mean of all. Raises ReleaseError for fewer than 2 words."""
        rows = self._known_rows(words, unknown)
        if len(rows) < 2:
            raise ReleaseError(f"doesnt_match compares 2 words or more; {self.name!r} has {len(rows)} of these")
        among = self._vectors[rows]
        closeness = {
            self.words[row]: float(inner_products(among, self._vectors[row]).astype(np.float64).mean()) for row in rows
        }
        return min(closeness, key=lambda word: (closeness[word], word))

    # Texts

    def tokenize(self, text: str) -> list[str]:
        """The tokens of a text, tokenized like the corpus. Raises SettingsError if its tokenizer is not installed."""
        return self._token_lists([text])[0]

    def embed(self, texts: Sequence[str], weighting: Weighting = "sif") -> NDArray[np.float32]:
        """(N, D) weighted means of the vectors of the known words of N texts; a row of NaN if no word is known.

        weighting: "sif" weights words by how rare they are, "mean" all alike.
        """
        if isinstance(texts, str):
            raise TypeError("texts is a list of texts; for one text, write embed([text])")
        if weighting not in ("sif", "mean"):
            raise ValueError(f"weighting is 'sif' or 'mean', not {weighting!r}")
        lists = self._token_lists(list(texts))
        lengths = np.fromiter(map(len, lists), np.int64, len(lists))
        flat = pa.array([token for tokens in lists for token in tokens], pa.string())
        rows = pc.index_in(flat, value_set=self._arrow_words).to_numpy(zero_copy_only=False)
        known = ~np.isnan(rows) if rows.dtype.kind == "f" else np.ones(len(rows), bool)
        owners, rows = np.repeat(np.arange(len(lists)), lengths)[known], rows[known].astype(np.int64)
        weights = self.weights[rows] if weighting == "sif" else np.ones(len(rows), np.float32)
        return self._weighted_means(owners, rows, weights, len(lists))

    def search(
        self, texts: Sequence[str], k: int = 10, max_rank: int | None = None, weighting: Weighting = "sif"
    ) -> list[list[Neighbor]]:
        """For each of N texts the k words nearest to it; an empty list if no word of it is known."""
        return self._nearest_to_many(list(self.embed(texts, weighting)), k, max_rank)

    def search_among(
        self, documents: Sequence[str], texts: Sequence[str], k: int = 10, weighting: Weighting = "sif"
    ) -> list[list[tuple[int, float]]]:
        """For each of N texts the k most similar documents: their positions and cosines, the best first.

        Documents and texts without a known word match nothing.
        """
        found, asked = self.embed(documents, weighting), self.embed(texts, weighting)
        usable = np.flatnonzero(np.isfinite(found).all(axis=1) & found.any(axis=1))
        # No row is zero. `tasks.metrics`, which has a function for this, is not for programs to import.
        unit = found[usable] / np.linalg.norm(found[usable], axis=1, keepdims=True)
        directions = [direction_of(vector) for vector in asked]
        pointed = [direction for direction in directions if direction is not None]
        results = (
            list(zip(usable[rows].tolist(), cosines.tolist(), strict=True))
            for rows, cosines in nearest_rows(unit, pointed, [()] * len(pointed), k)
        )
        return [[] if direction is None else next(results) for direction in directions]

    # Other libraries

    def sql(self, query: str, params: Sequence[object] | None = None) -> duckdb.DuckDBPyRelation:
        """A read-only query that also sees the caller's data frames: `table.sql("from nearest(?)", ["film"]).df()`."""
        return self._connection.sql(query, params=params)

    def to_arrow(self) -> pa.Table:
        """V rows of rank, word, count and vector, the last as FixedSizeList of D float32."""
        vectors = pa.FixedSizeListArray.from_arrays(pa.array(self._vectors.reshape(-1)), self.dimension)
        ranks = pa.array(np.arange(1, len(self) + 1, dtype=np.int32))
        return pa.table({"rank": ranks, "word": self._arrow_words, "count": self.counts, "vector": vectors})

    def to_pandas(self) -> "pandas.DataFrame":
        """A data frame of V rows: rank, word, count and vector, an array (D,) in each row. Needs pandas."""
        frame: pandas.DataFrame = self.to_arrow().to_pandas()
        return frame

    def to_polars(self) -> "polars.DataFrame":
        """A data frame of V rows: rank, word, count and vector, of type Array(Float32, D). Needs Polars."""
        import polars

        frame = polars.from_arrow(self.to_arrow())
        assert isinstance(frame, polars.DataFrame)
        return frame

    def to_gensim(self) -> "KeyedVectors":
        """Gensim's KeyedVectors with a copy of the vectors, and counts as the attribute `count`."""
        from gensim.models import KeyedVectors

        keyed = KeyedVectors(self.dimension)
        keyed.vectors = np.array(self._vectors)
        keyed.index_to_key = list(self.words)
        keyed.key_to_index = dict(self._rows)
        keyed.expandos["count"] = np.array(self.counts)
        return keyed

    def to_torch(self, pad: str | None = "<pad>", unk: str | None = "<unk>", freeze: bool = True) -> "WordEmbedding":
        """An nn.Embedding with rows for `pad` (zeros, the padding_idx) and `unk` (the mean of all), then the V words.

        Its `word_to_index` has all of them; `encode` turns lists of tokens into padded indices. A token that the table
        has keeps its own row, and None leaves a row out.  freeze: do not train the vectors.
        """
        from vecmill.torch_embedding import word_embedding

        return word_embedding(self.words, self._vectors, pad, unk, freeze=freeze)

    # Its parts

    @cached_property
    def _rows(self) -> dict[str, int]:
        return {word: row for row, word in enumerate(self.words)}

    @cached_property
    def _composed(self) -> bool:
        """Whether every word is in NFC, so that a query may be composed too."""
        return all(word.isascii() or unicodedata.is_normalized("NFC", word) for word in self.words)

    @cached_property
    def _arrow_words(self) -> pa.Array:
        return pa.array(self.words, pa.string())

    @cached_property
    def _connection(self) -> duckdb.DuckDBPyConnection:
        return connect_release(self.path)

    @cached_property
    def _reader(self) -> "TextReader":
        # Deferred: tokenizers are needed for texts only.
        from tasks.text.options import TokenizerConfig
        from tasks.text.reading import TextReader

        prefix = "tokenizer."
        settings = {
            name.removeprefix(prefix): value for name, value in self.settings.items() if name.startswith(prefix)
        }
        return TextReader(TokenizerConfig.model_validate(settings), self._loaded.tokenizer)

    def _token_lists(self, texts: list[str]) -> list[list[str]]:
        lists = self._reader.cut(texts)
        config = self._reader.config
        for _ in range(config.phrases):
            lists = [self._with_phrases(tokens, config.phrase_delimiter) for tokens in lists]
        return lists

    def _with_phrases(self, tokens: list[str], delimiter: str) -> list[str]:
        """Neighbouring tokens joined, from left to right, if the table has the phrase."""
        joined: list[str] = []
        for token in tokens:
            phrase = f"{joined[-1]}{delimiter}{token}" if joined else ""
            if phrase in self._rows:
                joined[-1] = phrase
            else:
                joined.append(token)
        return joined

    def _spelt(self, word: str) -> str:
        return word if word.isascii() or not self._composed else unicodedata.normalize("NFC", word)

    def _row(self, word: str) -> int:
        row = self._rows.get(self._spelt(word))
        if row is None:
            raise UnknownWordError(self._unknown(word))
        return row

    def _find(self, word: str) -> tuple[NDArray[np.float32], list[int]] | None:
        """The vector of a word, with its row if it is in the table; None if it is unknown and cannot be composed."""
        row = self._rows.get(self._spelt(word))
        if row is not None:
            return self._vectors[row], [row]
        if not self._loaded.ngrams or not is_unicode(word):
            return None
        ((composed,),) = self._connection.execute("SELECT word_vector(?)", [word]).fetchall()
        return None if composed is None else (np.array(composed, np.float32), [])

    def _unknown(self, word: str) -> str:
        with open_release(self.path) as connection:
            alike = words_spelt_alike(connection, word) if is_unicode(word) else []
        hint = f"did you mean {', '.join(alike)}?" if alike else 'check with `word in table`, or see unknown="skip"'
        return f"{self.name!r} has no word {word[:80]!r}; {hint}"

    def _known_rows(self, words: Sequence[str], unknown: Literal["error", "skip"]) -> list[int]:
        return [self._row(word) for word in words if unknown == "error" or word in self]

    def _nearest_to_sum(
        self, total: NDArray[np.float32], left_out: Sequence[int], k: int, max_rank: int | None
    ) -> list[Neighbor]:
        direction = direction_of(total)
        return [] if direction is None else self._search([direction], [left_out], k, max_rank)[0]

    def _nearest_to_many(
        self, vectors: Sequence[NDArray[np.floating]], k: int, max_rank: int | None
    ) -> list[list[Neighbor]]:
        for vector in vectors:
            if vector.shape != (self.dimension,):
                raise ValueError(f"a vector has shape ({self.dimension},), not {vector.shape}")
        directions = [scaled_direction(vector) for vector in vectors]
        found = iter(self._search([d for d in directions if d is not None], [()] * len(directions), k, max_rank))
        return [[] if direction is None else next(found) for direction in directions]

    def _search(
        self, directions: Sequence[Direction], left_out: Sequence[Sequence[int]], k: int, max_rank: int | None
    ) -> list[list[Neighbor]]:
        among = self._vectors if max_rank is None else self._vectors[: max(0, max_rank)]
        inside = [[row for row in rows if row < len(among)] for rows in left_out[: len(directions)]]
        return [
            [Neighbor(self.words[row], float(cosine), int(row) + 1) for row, cosine in zip(rows, cosines, strict=True)]
            for rows, cosines in nearest_rows(among, directions, inside, k)
        ]

    def _weighted_means(
        self, owners: NDArray[np.int64], rows: NDArray[np.int64], weights: NDArray[np.float32], texts: int
    ) -> NDArray[np.float32]:
        """(N, D) weighted means of rows by owner, NaN where an owner has none."""
        # Deferred: a slow import.
        from scipy.sparse import csr_array

        counted = csr_array((weights, (owners, rows)), shape=(texts, len(self)), dtype=np.float32)
        totals = np.bincount(owners, weights, minlength=texts)
        with np.errstate(invalid="ignore", divide="ignore"):
            means: NDArray[np.float32] = ((counted @ self._vectors) / totals[:, None]).astype(np.float32)
        return means
