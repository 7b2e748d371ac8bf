"""The SQL that people call: the macros of a release file.

Each is an exact scan. Rows lie in rank order, so `max_rank` skips the blocks beyond it; vectors have unit length, so
an inner product is the cosine. Rules that the shape of every macro follows:

- Arguments are read once, in a first `asked` without other columns in scope: a macro is expanded in place, and an
  argument such as `x.word` would otherwise be caught by a column or alias of the macro's own.
- Ties are broken by rank: the more frequent word comes first.
- The word is joined, not looked up by a scalar subquery: a missing word then gives no row (NULL from a scalar).
- Tables are named with the version (`word_vectors_v7`): after ATTACH without USE, a macro that is looked up in another
  release's catalog fails loudly instead of reading that one's vectors. `drift` is told the other catalog's name.
"""

from collections.abc import Iterator

from storage.release_schema import quoted

# The largest INTEGER: `rank <= coalesce(max_rank, …)` folds to a constant, which OR would not.
ALL_RANKS = 2_147_483_647


def macro_statements(table: str, dimension: int) -> Iterator[str]:
    """The SQL that makes every macro over `table`, a name of our own, with its comments."""
    vector = f"FLOAT[{dimension}]"
    # The word is fetched for the k rows that are left: carried along, it costs a seventh of the scan.
    found = f"""
    SELECT w.word, best.similarity, w.rank
    FROM best JOIN {table} w ON w.rank = best.found_rank ORDER BY best.similarity DESC, w.rank"""
    in_range = f"w.rank <= coalesce(max_rank, {ALL_RANKS})"
    yield f"""
    CREATE MACRO nearest(query, k := 10, max_rank := NULL) AS TABLE
    WITH asked AS (SELECT query AS asked_word),
         known AS (SELECT q.rank, q.vector FROM {table} q JOIN asked ON q.word = asked.asked_word),
         best AS (
             SELECT w.rank AS found_rank, array_inner_product(w.vector, known.vector) AS similarity
             FROM {table} w, known WHERE w.rank <> known.rank AND {in_range}
             ORDER BY similarity DESC, found_rank LIMIT k
         ){found}"""
    # ORDER BY … LIMIT for each word would sort all of them; min(…, k) keeps k rows of each in one pass.
    yield f"""
    CREATE MACRO nearest_many(queries, k := 10, max_rank := NULL) AS TABLE
    WITH asked AS (SELECT queries AS asked_words),
         listed AS (SELECT unnest(asked_words) AS asked_word, unnest(range(len(asked_words))) AS place FROM asked),
         once AS (SELECT asked_word, min(place) AS place FROM listed GROUP BY asked_word),
         known AS (SELECT once.place, q.word, q.rank, q.vector FROM {table} q JOIN once ON q.word = once.asked_word),
         best AS (
             SELECT known.place, known.word AS query,
                    min({{'distance': -array_inner_product(w.vector, known.vector), 'rank': w.rank}}, k) AS found
             FROM {table} w, known WHERE w.rank <> known.rank AND {in_range}
             GROUP BY known.place, known.word
         ),
         flat AS (SELECT place, query, unnest(found) AS neighbor FROM best)
    SELECT flat.query, w.word, -neighbor.distance AS similarity, w.rank
    FROM flat JOIN {table} w ON w.rank = neighbor.rank ORDER BY flat.place, neighbor.distance, w.rank"""
    yield f"""
    CREATE MACRO nearest_to(query_vector, k := 10, max_rank := NULL) AS TABLE
    WITH asked AS (SELECT query_vector::{vector} AS direction),
         target AS (SELECT direction, sqrt(array_inner_product(direction, direction)) AS length FROM asked),
         best AS (
             SELECT w.rank AS found_rank,
                    (array_inner_product(w.vector, target.direction) / target.length)::FLOAT AS similarity
             FROM {table} w, target WHERE target.length > 0 AND isfinite(target.length) AND {in_range}
             ORDER BY similarity DESC, found_rank LIMIT k
         ){found}"""
    yield f"""
    CREATE MACRO analogy(a, b, c, k := 10, max_rank := NULL) AS TABLE
    WITH asked AS (SELECT a AS a_word, b AS b_word, c AS c_word),
         known AS (
             SELECT one.rank AS a_rank, two.rank AS b_rank, three.rank AS c_rank, list_transform(
                        list_zip(one.vector::FLOAT[], two.vector::FLOAT[], three.vector::FLOAT[]),
                        lambda x: x[2] - x[1] + x[3]
                    )::{vector} AS direction
             FROM asked
             JOIN {table} one ON one.word = asked.a_word
             JOIN {table} two ON two.word = asked.b_word
             JOIN {table} three ON three.word = asked.c_word
         ),
         target AS (SELECT *, sqrt(array_inner_product(direction, direction)) AS length FROM known),
         best AS (
             SELECT w.rank AS found_rank,
                    (array_inner_product(w.vector, target.direction) / target.length)::FLOAT AS similarity
             FROM {table} w, target
             WHERE target.length > 0 AND w.rank NOT IN (a_rank, b_rank, c_rank) AND {in_range}
             ORDER BY similarity DESC, found_rank LIMIT k
         ){found}"""
    # Joins, not scalar subqueries: over a column of pairs those would become a cross product.
    yield f"""
    CREATE MACRO similarity(a, b) AS (
        SELECT array_inner_product(one.vector, two.vector)
        FROM (SELECT a AS a_word, b AS b_word) asked
        JOIN {table} one ON one.word = asked.a_word
        JOIN {table} two ON two.word = asked.b_word
    )"""
    # The inner product with the mean is the mean of the inner products. DISTINCT: a word listed twice counts twice in
    # the mean, as in gensim, but is one word.
    yield f"""
    CREATE MACRO doesnt_match(words) AS (
        WITH asked AS (SELECT words AS asked_words),
             listed AS (SELECT unnest(asked_words) AS asked_word FROM asked),
             known AS (SELECT q.word, q.vector FROM {table} q JOIN listed ON q.word = listed.asked_word),
             scored AS (
                 SELECT one.word, avg(array_inner_product(one.vector, two.vector)) AS closeness
                 FROM known one, known two GROUP BY one.word
             )
        SELECT CASE WHEN count(*) > 1 THEN min({{'closeness': closeness, 'word': word}}).word END FROM scored
    )"""
    yield f"""
    CREATE MACRO drift(other, words := 1000, k := 10, max_rank := NULL) AS TABLE
    {drift_query(table, "query_table(other || '.word_vectors')")}"""
    for name, meaning in MEANINGS.items():
        kind = "MACRO" if name in SCALARS else "MACRO TABLE"
        yield f"COMMENT ON {kind} {name} IS {quoted(meaning)}"


def drift_query(own: str, other: str) -> str:
    """The SQL that compares the neighbours of the parameters `words`, `k` and `max_rank` in two tables.

    own, other: tables or views with rank, word and vector, named by us. Neighbours are searched among the words that
    both have, so that a larger vocabulary alone is no change; ranks are those of `own`.
    """
    distance = "-array_inner_product(w.{0}, asked.{0})"
    nearest = f"list_transform(min({{{{'distance': {distance}, 'word': w.word}}}}, k), lambda x: x.word)"
    return f"""WITH shared AS MATERIALIZED (
             SELECT mine.rank, mine.word, mine.vector AS vector_now, theirs.vector AS vector_before
             FROM {own} mine JOIN {other} theirs ON mine.word = theirs.word
             WHERE mine.rank <= coalesce(max_rank, {ALL_RANKS})
         ),
         asked AS (FROM shared ORDER BY rank LIMIT words),
         found AS (
             SELECT asked.word, asked.rank,
                    {nearest.format("vector_now")} AS neighbors_now,
                    {nearest.format("vector_before")} AS neighbors_before
             FROM shared w JOIN asked ON w.rank <> asked.rank
             GROUP BY asked.word, asked.rank
         )
    SELECT word, rank, len(list_intersect(neighbors_now, neighbors_before)) / len(neighbors_now) AS overlap,
           list_filter(neighbors_now, lambda x: NOT list_contains(neighbors_before, x)) AS gained,
           list_filter(neighbors_before, lambda x: NOT list_contains(neighbors_now, x)) AS lost
    FROM found ORDER BY overlap, rank"""


# The macros that give one value; the others give a table.
SCALARS = {"similarity", "doesnt_match"}
MEANINGS = {
    "nearest": "The k words most like `query` by cosine, among the max_rank most frequent words: FROM nearest('king')",
    "nearest_many": "The k words most like each word of a list: FROM nearest_many(['king', 'queen'], k := 3)",
    "nearest_to": "The k words nearest to a vector, given as an array or a list: FROM nearest_to([0.1, …])",
    "analogy": "a is to b as c is to …? The three words are left out: FROM analogy('man', 'king', 'woman')",
    "similarity": "The cosine of two words, NULL if either is unknown: SELECT similarity('king', 'queen')",
    "doesnt_match": "The word of a list that is least like the others, NULL if fewer than two are known: "
    "SELECT doesnt_match(['king', 'queen', 'bicycle'])",
    "drift": "How far the neighbours of the most frequent words changed since another release, most changed first: "
    "ATTACH 'v000001.duckdb' AS older (READ_ONLY); FROM drift('older')",
}
