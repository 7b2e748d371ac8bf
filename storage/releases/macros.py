"""The SQL that people call: the macros of a release file. Their common rules are in macro_parts.py.

Each search is an exact scan. Rows are stored in rank order, so `max_rank` skips the blocks beyond it. Vectors have unit
length, so an inner product is the cosine.
"""

from collections.abc import Iterator

from storage.releases.macro_parts import (
    ALL_RANKS,
    COSINE_SCALE,
    MOST_NEIGHBORS,
    Macro,
    Shape,
    best_words,
    create_statements,
    neighbor_count,
    search_key,
    spelt_word,
    unpacked,
    unpacked_rank,
    whole_number,
    word_list,
)
from storage.releases.ngrams import nearest_with_ngrams
from storage.releases.schema import quoted
from storage.releases.search_macros import SEARCH_MACROS
from storage.releases.text_macros import TEXT_MACROS
from storage.releases.word_macros import WORD_MACROS


def macro_statements(shape: Shape) -> Iterator[str]:
    """The SQL that creates every macro of any release, with its comment."""
    return create_statements(MACROS, shape)


def drift_query(own: str, other: str) -> str:
    """The SQL that compares the neighbours of the parameters `words`, `k` and `max_rank` in two tables.

    own, other: tables or views with rank, word and vector, named by us. Neighbours are searched among the words that
    both have, so that a larger vocabulary alone is not a change; ranks are those of `own`.
    """
    distance = "-array_inner_product(w.{0}, listed.{0})"
    neighbor = f"{{{{'distance': {distance}, 'word': w.word}}}}"
    nearest = f"list_transform(min({neighbor}, listed.asked_count), lambda x: x.word)"
    return f"""WITH vecmill_asked(asked_words, asked_k, highest) AS (
             SELECT words::DOUBLE, k::DOUBLE, coalesce(max_rank, {ALL_RANKS})
         ),
         counted AS (
             SELECT {whole_number("asked_words", "words", ALL_RANKS)} AS word_count, highest,
                    {whole_number("asked_k", "k", MOST_NEIGHBORS)} AS asked_count
             FROM vecmill_asked
         ),
         shared AS (
             SELECT mine.rank, mine.word, mine.vector AS vector_now, theirs.vector AS vector_before, asked_count
             FROM counted, {own} mine JOIN {other} theirs ON mine.word = theirs.word
             WHERE mine.rank <= highest AND asked_count > 0
         ),
         listed AS (
             SELECT * REPLACE (least(asked_count, (SELECT count(*) FROM shared)) AS asked_count)
             FROM shared ORDER BY rank LIMIT (SELECT word_count FROM counted)
         ),
         found AS (
             SELECT listed.word, listed.rank,
                    {nearest.format("vector_now")} AS neighbors_now,
                    {nearest.format("vector_before")} AS neighbors_before
             FROM shared w JOIN listed ON w.rank <> listed.rank
             GROUP BY listed.word, listed.rank
         )
    SELECT word, rank, len(list_intersect(neighbors_now, neighbors_before)) / len(neighbors_now) AS overlap,
           list_filter(neighbors_now, lambda x: NOT list_contains(neighbors_before, x)) AS gained,
           list_filter(neighbors_before, lambda x: NOT list_contains(neighbors_now, x)) AS lost
    FROM found ORDER BY overlap, rank"""


def _nearest(shape: Shape) -> str:
    if shape.ngrams is not None:
        return nearest_with_ngrams(shape, shape.ngrams)
    return f"""WITH aim AS (
             SELECT q.rank AS own_rank, q.vector AS direction, {COSINE_SCALE}::FLOAT AS scale, highest,
                    {neighbor_count(shape)} AS asked_count
             FROM (SELECT query, k::DOUBLE, coalesce(max_rank, {ALL_RANKS})) vecmill_asked(asked_word, asked_k, highest)
             JOIN {shape.table} q ON q.word = {spelt_word(shape, "asked_word")}
         ),
    {best_words(shape, "w.rank <> aim.own_rank")}"""


def _nearest_many(shape: Shape) -> str:
    return f"""WITH vecmill_asked(asked_words, asked_k, highest) AS (
             SELECT queries, k::DOUBLE, coalesce(max_rank, {ALL_RANKS})
         ),
         counted AS (
             SELECT {word_list("asked_words")} AS listed_words, highest, {neighbor_count(shape)} AS asked_count
             FROM vecmill_asked
         ),
         listed AS (
             SELECT unnest(listed_words) AS asked_word, unnest(range(len(listed_words))) AS place, highest, asked_count
             FROM counted WHERE asked_count > 0
         ),
         once AS (
             SELECT asked_word, min(place) AS place, any_value(highest) AS highest,
                    any_value(asked_count) AS asked_count
             FROM listed GROUP BY asked_word
         ),
         aim AS (
             SELECT once.*, q.rank AS own_rank, q.vector AS direction, {COSINE_SCALE}::FLOAT AS scale
             FROM once JOIN {shape.table} q ON q.word = {spelt_word(shape, "once.asked_word")}
         ),
         best AS (
             SELECT aim.place, aim.asked_word, max({search_key()}, aim.asked_count) AS packed
             FROM {shape.table} w, aim WHERE w.rank <> aim.own_rank AND w.rank <= aim.highest
             GROUP BY aim.place, aim.asked_word
         ),
         flat AS (SELECT place, asked_word, unnest(packed) AS found FROM best)
    SELECT flat.asked_word AS query, w.word, {unpacked("flat")} AS similarity, w.rank
    FROM flat JOIN {shape.table} w ON w.rank = {unpacked_rank("flat")} ORDER BY flat.place, flat.found DESC"""


def _nearest_to(shape: Shape) -> str:
    # Divided by its largest number first: the squares of 1e30 or 1e-30 are beyond a float.
    refusal = f"nearest_to: a vector is {shape.dimension} numbers, and none of them NULL"
    return f"""WITH vecmill_asked(asked_vector, asked_k, highest) AS (
             SELECT query_vector, k::DOUBLE, coalesce(max_rank, {ALL_RANKS})
         ),
         wide AS (
             SELECT asked_vector::DOUBLE[{shape.dimension}]::DOUBLE[] AS numbers, asked_k, highest FROM vecmill_asked
         ),
         sized AS (
             SELECT numbers, highest, {neighbor_count(shape)} AS asked_count,
                    CASE WHEN list_count(numbers) < {shape.dimension} THEN error({quoted(refusal)})
                         ELSE list_max(list_transform(numbers, lambda x: abs(x))) END AS largest
             FROM wide
         ),
         pointed AS (
             SELECT list_transform(numbers, lambda x: x / largest)::FLOAT[{shape.dimension}] AS direction,
                    highest, asked_count
             FROM sized WHERE largest > 0 AND isfinite(largest)
         ),
         aim AS (
             SELECT direction, highest, asked_count,
                    ({COSINE_SCALE}::FLOAT / sqrt(array_inner_product(direction, direction)))::FLOAT AS scale
             FROM pointed
         ),
    {best_words(shape, "true")}"""


def _analogy(shape: Shape) -> str:
    return f"""WITH vecmill_asked(a_word, b_word, c_word, asked_k, highest) AS (
             SELECT a, b, c, k::DOUBLE, coalesce(max_rank, {ALL_RANKS})
         ),
         known AS (
             SELECT one.rank AS a_rank, two.rank AS b_rank, three.rank AS c_rank, highest,
                    {neighbor_count(shape)} AS asked_count, list_transform(
                        list_zip(one.vector::FLOAT[], two.vector::FLOAT[], three.vector::FLOAT[]),
                        lambda x: x[2] - x[1] + x[3]
                    )::FLOAT[{shape.dimension}] AS direction
             FROM vecmill_asked
             JOIN {shape.table} one ON one.word = {spelt_word(shape, "a_word")}
             JOIN {shape.table} two ON two.word = {spelt_word(shape, "b_word")}
             JOIN {shape.table} three ON three.word = {spelt_word(shape, "c_word")}
         ),
         sized AS (SELECT *, sqrt(array_inner_product(direction, direction)) AS length FROM known),
         aim AS (SELECT *, ({COSINE_SCALE}::FLOAT / length)::FLOAT AS scale FROM sized WHERE length > 0),
    {best_words(shape, "w.rank NOT IN (aim.a_rank, aim.b_rank, aim.c_rank)")}"""


def _similarity(shape: Shape) -> str:
    # Joins, not scalar subqueries: over a column of pairs those would become a cross product.
    return f"""
        SELECT array_inner_product(one.vector, two.vector)
        FROM (SELECT a, b) vecmill_asked(a_word, b_word)
        JOIN {shape.table} one ON one.word = {spelt_word(shape, "a_word")}
        JOIN {shape.table} two ON two.word = {spelt_word(shape, "b_word")}
    """


def _doesnt_match(shape: Shape) -> str:
    # The inner product with the mean is the mean of the inner products. GROUP BY: a word listed twice counts twice in
    # the mean, as in gensim, but is one word.
    return f"""
        WITH vecmill_asked(asked_words) AS (SELECT words),
             listed AS (SELECT unnest({word_list("asked_words")}) AS asked_word FROM vecmill_asked),
             known AS (
                 SELECT q.word, q.vector
                 FROM {shape.table} q JOIN listed ON q.word = {spelt_word(shape, "listed.asked_word")}
             ),
             scored AS (
                 SELECT one.word, avg(array_inner_product(one.vector, two.vector)) AS closeness
                 FROM known one, known two GROUP BY one.word
             )
        SELECT CASE WHEN count(*) > 1 THEN min({{'closeness': closeness, 'word': word}}).word END FROM scored
    """


MACROS: tuple[Macro, ...] = (
    Macro(
        name="nearest",
        parameters="query, k := 10, max_rank := NULL",
        scalar=False,
        since=1,
        sql=_nearest,
        meaning="The k words most similar to `query` by cosine, among the max_rank most frequent words: "
        "FROM nearest('king')",
        check="SELECT count(*) FROM nearest($1, k := 5)",
        answer=lambda rows: min(rows - 1, 5),
    ),
    Macro(
        name="nearest_many",
        parameters="queries, k := 10, max_rank := NULL",
        scalar=False,
        since=1,
        sql=_nearest_many,
        meaning="The k words most similar to each word of a list: FROM nearest_many(['king', 'queen'], k := 3)",
        check="SELECT count(*) FROM nearest_many([$1], k := 5)",
        answer=lambda rows: min(rows - 1, 5),
    ),
    Macro(
        name="nearest_to",
        parameters="query_vector, k := 10, max_rank := NULL",
        scalar=False,
        since=1,
        sql=_nearest_to,
        meaning="The k words nearest to a vector, given as an array or a list: FROM nearest_to([0.1, …])",
        check="SELECT count(*) FROM nearest_to((SELECT vector FROM word_vectors WHERE word = $1), k := 5)",
        answer=lambda rows: min(rows, 5),
    ),
    Macro(
        name="analogy",
        parameters="a, b, c, k := 10, max_rank := NULL",
        scalar=False,
        since=1,
        sql=_analogy,
        meaning="a is to b as c is to …? The three words are excluded: FROM analogy('man', 'king', 'woman')",
        check="SELECT count(*) FROM analogy($1, $2, $3, k := 1)",
        answer=lambda rows: min(max(rows - 3, 0), 1),
    ),
    Macro(
        name="similarity",
        parameters="a, b",
        scalar=True,
        since=1,
        sql=_similarity,
        meaning="The cosine of two words, NULL if either is unknown: SELECT similarity('king', 'queen')",
        check="SELECT round(similarity($1, $1), 3)",
        answer=lambda _: 1.0,
    ),
    Macro(
        name="doesnt_match",
        parameters="words",
        scalar=True,
        since=2,
        sql=_doesnt_match,
        meaning="The word of a list that is least similar to the others, NULL if fewer than two are known: "
        "SELECT doesnt_match(['king', 'queen', 'bicycle'])",
        check="SELECT doesnt_match([$1, $2]) IN ($1, $2)",
        answer=lambda rows: True if rows > 1 else None,
    ),
    Macro(
        name="drift",
        parameters="other, words := 1000, k := 10, max_rank := NULL",
        scalar=False,
        since=2,
        sql=lambda shape: drift_query(shape.table, "query_table(other || '.word_vectors')"),
        meaning="How far the neighbours of the most frequent words changed since another release, most changed first: "
        "ATTACH 'v000001.duckdb' AS older (READ_ONLY); FROM drift('older')",
        # A catalog's name is not a parameter; the checker fills it in. A join of 30,000 words would take 70 MB.
        check="SELECT avg(overlap) FROM drift({catalog}, words := 2, max_rank := 1000)",
        answer=lambda rows: 1.0 if rows > 1 else None,
    ),
    *SEARCH_MACROS,
    *WORD_MACROS,
    *TEXT_MACROS,
)
