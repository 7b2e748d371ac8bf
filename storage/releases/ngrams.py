"""Vectors for words that a release does not have, from the n-grams of a fastText model, in plain SQL.

The vectors of the hash buckets are stored with 8 bits per number and one scale per row, so that they take less space
than the words' own. On the movie reviews a composed vector then differs from the exact one by a cosine of 1e-4 or less.
`tasks/trainers/ngrams.py` is the same hash in Python.
"""

from dataclasses import dataclass

import duckdb
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from storage.releases.macro_parts import (
    ALL_RANKS,
    COSINE_SCALE,
    NgramShape,
    Shape,
    best_words,
    neighbor_count,
    spelt_word,
)

FNV_OFFSET = 2166136261
FNV_PRIME = 16777619
LEVELS = 127
VIEW = "ngram_vectors"


@dataclass(frozen=True)
class NgramContent:
    """The n-grams of a model: lengths in code points, and (B, D) float32 vectors of the hash buckets."""

    minimum: int
    maximum: int
    vectors: NDArray[np.float32]


def ngram_shape(table: str, content: NgramContent) -> NgramShape:
    """What the macros must know of the n-grams that belong to a table of vectors."""
    return NgramShape(f"{table}_ngrams", content.minimum, content.maximum, len(content.vectors))


def quantized(vectors: NDArray[np.float32]) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """(B, D) int8 and (B,) float32 scales, whose products are the vectors rounded to 255 levels."""
    scales = (np.abs(vectors).max(axis=1) / np.float32(LEVELS)).astype(np.float32)
    # A row of zeros keeps any scale.
    scales[scales == 0] = 1
    return np.rint(vectors / scales[:, None]).astype(np.int8), scales


def write_ngrams(connection: duckdb.DuckDBPyConnection, shape: NgramShape, content: NgramContent) -> None:
    """The table of the buckets, and its view under a stable name."""
    dimension = content.vectors.shape[1]
    numbers, scales = quantized(content.vectors)
    block = pa.table(
        {
            "bucket": pa.array(np.arange(len(scales), dtype=np.int32)),
            "scale": pa.array(scales),
            "vector": pa.FixedSizeListArray.from_arrays(pa.array(numbers.reshape(-1)), dimension),
        }
    )
    connection.execute(
        f"CREATE TABLE {shape.table} "
        f"(bucket INTEGER NOT NULL, scale FLOAT NOT NULL, vector TINYINT[{dimension}] NOT NULL)"
    )
    connection.register("block", block)
    connection.execute(f"INSERT INTO {shape.table} SELECT * FROM block")
    connection.unregister("block")
    connection.execute(f"CREATE VIEW {VIEW} AS SELECT bucket, scale, vector FROM {shape.table}")
    meaning = f"Character n-grams of {shape.minimum} to {shape.maximum} letters, by hash bucket; used by word_vector"
    connection.execute(f"COMMENT ON TABLE {shape.table} IS '{meaning}'")
    connection.execute(f"COMMENT ON VIEW {VIEW} IS '{meaning}'")
    for name in (shape.table, VIEW):
        connection.execute(
            f"COMMENT ON COLUMN {name}.bucket IS 'FNV-1a hash of the n-gram modulo {shape.buckets}, as in fastText'"
        )
        connection.execute(f"COMMENT ON COLUMN {name}.scale IS 'What each number of the vector is multiplied by'")
        connection.execute(f"COMMENT ON COLUMN {name}.vector IS 'Its vector as 8-bit integers'")


def read_ngrams(connection: duckdb.DuckDBPyConnection, minimum: int, maximum: int) -> NgramContent | None:
    """The n-grams of an open release, None if it has none. minimum, maximum: their lengths, from the settings."""
    present = connection.execute(
        "SELECT count(*) FROM duckdb_views() WHERE database_name = current_database() AND view_name = ?", [VIEW]
    ).fetchall()
    if not present[0][0]:
        return None
    rows = connection.sql(f"SELECT scale, vector FROM {VIEW} ORDER BY bucket").to_arrow_table()
    numbers = rows["vector"].combine_chunks().flatten().to_numpy().reshape(rows.num_rows, -1)
    return NgramContent(minimum, maximum, numbers * rows["scale"].to_numpy()[:, None])


def word_vector_with_ngrams(shape: Shape, ngrams: NgramShape) -> str:
    """The body of `word_vector`: the vector of a known word, else that of its n-grams, of length 1."""
    return f"""
        WITH vecmill_asked(asked_word) AS (SELECT query),
        {_known_or_composed(shape, ngrams)}
        SELECT {_known_first(shape)} FROM composed LEFT JOIN known ON true
    """


def nearest_with_ngrams(shape: Shape, ngrams: NgramShape) -> str:
    """The body of `nearest`, which answers for unknown words too."""
    return f"""WITH vecmill_asked(asked_word, asked_k, highest) AS (
             SELECT query, k::DOUBLE, coalesce(max_rank, {ALL_RANKS})
         ),
         {_known_or_composed(shape, ngrams)},
         aim AS (
             SELECT coalesce(known.rank, 0) AS own_rank, {_known_first(shape)} AS direction,
                    {COSINE_SCALE}::FLOAT AS scale, highest, {neighbor_count(shape)} AS asked_count
             FROM vecmill_asked, composed LEFT JOIN known ON true
             WHERE known.rank IS NOT NULL OR composed.vector IS NOT NULL
         ),
    {best_words(shape, "w.rank <> aim.own_rank")}"""


def _known_first(shape: Shape) -> str:
    return f"coalesce(known.vector::FLOAT[], composed.vector)::FLOAT[{shape.dimension}]"


def _known_or_composed(shape: Shape, ngrams: NgramShape) -> str:
    """Subqueries after `vecmill_asked`: `known` has a row for a known word, `composed` one row for any.

    Vectors are lists until the end, because `coalesce` has no arrays.
    """
    sums = ", ".join(f"sum(n.scale * n.vector[{place}])" for place in range(1, shape.dimension + 1))
    return f"""spelt AS (SELECT {spelt_word(shape, "asked_word")} AS word FROM vecmill_asked),
        known AS (SELECT q.rank, q.vector FROM {shape.table} q JOIN spelt ON q.word = spelt.word),
        hashed AS (SELECT unnest({_buckets("spelt.word", ngrams)}) AS bucket FROM spelt),
        summed AS (
            SELECT CASE WHEN count(*) > 0 THEN [{sums}]::DOUBLE[] END AS numbers
            FROM hashed JOIN {ngrams.table} n ON n.bucket = hashed.bucket
        ),
        composed AS (
            SELECT list_transform(numbers, lambda x: x / sqrt(list_inner_product(numbers, numbers)))
                   ::FLOAT[] AS vector
            FROM summed
        )"""


def _buckets(word: str, ngrams: NgramShape) -> str:
    """The list of buckets of a word's n-grams; NULL for NULL."""
    marked = f"('<' || {word} || '>')"
    starts = f"range(1, length({marked}) - n + 2)"
    # The marks alone are not n-grams.
    if ngrams.minimum == 1:
        starts = f"CASE WHEN n = 1 THEN range(2, length({marked})) ELSE {starts} END"
    grams = (
        f"flatten(list_transform(range({ngrams.minimum}, {ngrams.maximum + 1}), "
        f"lambda n: list_transform({starts}, lambda i: substring({marked}, i, n))))"
    )
    # fastText reads bytes as signed: those above 127 are extended with ones.
    octets = "list_transform(regexp_extract_all(hex(encode(gram)), '..'), lambda h: ('0x' || h)::BIGINT)"
    step = f"(xor(value, CASE WHEN octet > 127 THEN octet + {0xFFFFFF00} ELSE octet END) * {FNV_PRIME}) % {1 << 32}"
    hashed = f"list_reduce(list_prepend({FNV_OFFSET}::BIGINT, {octets}), lambda value, octet: {step})"
    return f"list_transform({grams}, lambda gram: {hashed} % {ngrams.buckets})"
