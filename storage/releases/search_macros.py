"""Further searches: several words with signs, many vectors at once, and among chosen words only.

The definitions are those of gensim's KeyedVectors, which the tests compare with. Source of 3CosMul: Levy and Goldberg
2014, "Linguistic Regularities in Sparse and Explicit Word Representations".
"""

from storage.releases.macro_parts import (
    ALL_RANKS,
    COSINE_SCALE,
    Macro,
    Shape,
    best_words,
    neighbor_count,
    search_key,
    spelt_word,
    unpacked,
    unpacked_rank,
    word_list,
)
from storage.releases.schema import quoted

# Keeps a division by a similarity of zero finite, as in the paper and in gensim.
COSMUL_EPSILON = 1e-6


def _signed_words(shape: Shape) -> str:
    """The start of a search: the vectors of words `named`, each with a sign, if all of them are known."""
    return f"""WITH vecmill_asked(wanted, unwanted, asked_k, highest) AS (
             SELECT positive, negative, k::DOUBLE, coalesce(max_rank, {ALL_RANKS})
         ),
         listed AS (
             SELECT {word_list("wanted")} AS wanted_words, {word_list("unwanted")} AS unwanted_words, asked_k, highest
             FROM vecmill_asked
         ),
         signed AS (
             SELECT unnest(list_concat(
                 list_transform(wanted_words, lambda x: {{'said': x, 'sign': 1}}),
                 list_transform(unwanted_words, lambda x: {{'said': x, 'sign': -1}})
             )) AS one, asked_k, highest FROM listed
         ),
         named AS (
             SELECT q.rank, q.vector, signed.one.sign AS sign, asked_k, highest
             FROM signed LEFT JOIN {shape.table} q ON q.word = {spelt_word(shape, "signed.one.said")}
         )"""


def _most_similar(shape: Shape) -> str:
    numbers = ", ".join(f"sum(sign * vector[{place}])" for place in range(1, shape.dimension + 1))
    return f"""{_signed_words(shape)},
         summed AS (
             SELECT [{numbers}]::FLOAT[{shape.dimension}] AS direction, list(rank) AS own_ranks,
                    any_value(highest) AS highest, any_value(asked_k) AS asked_k
             FROM named HAVING count(*) = count(rank) AND count(*) > 0
         ),
         sized AS (
             SELECT *, sqrt(array_inner_product(direction, direction)) AS length, {neighbor_count(shape)} AS wished
             FROM summed
         ),
         aim AS (
             SELECT direction, own_ranks, highest, ({COSINE_SCALE}::FLOAT / length)::FLOAT AS scale, wished,
                    least(wished + len(own_ranks), {shape.rows}) AS asked_count
             FROM sized WHERE length > 0 AND wished > 0
         ),
         kept AS (
             SELECT max({search_key()}, aim.asked_count) AS packed, any_value(own_ranks) AS own_ranks,
                    any_value(wished) AS wished
             FROM {shape.table} w, aim WHERE w.rank <= aim.highest
         ),
         best AS (
             SELECT unnest(list_filter(
                 packed, lambda x: NOT list_contains(own_ranks, {unpacked_rank("x", "")})
             )[:wished]) AS found FROM kept
         )
    SELECT w.word, {unpacked("best")} AS similarity, w.rank
    FROM best JOIN {shape.table} w ON w.rank = {unpacked_rank("best")} ORDER BY best.found DESC"""


def _most_similar_cosmul(shape: Shape) -> str:
    # The product of no numbers is NULL in DuckDB.
    closeness = "coalesce(list_product(list_transform({0}, lambda x: (1 + array_inner_product(w.vector, x)) / 2)), 1)"
    score = f"{closeness.format('near')} / ({closeness.format('far')} + {COSMUL_EPSILON})"
    return f"""{_signed_words(shape)},
         grouped AS (
             SELECT list(vector) FILTER (sign > 0) AS near, coalesce(list(vector) FILTER (sign < 0), []) AS far,
                    list(rank) AS own_ranks, any_value(highest) AS highest, any_value(asked_k) AS asked_k
             FROM named HAVING count(*) = count(rank) AND count(*) > 0
         ),
         aim AS (
             SELECT coalesce(near, []) AS near, far, own_ranks, highest, {neighbor_count(shape)} AS asked_count
             FROM grouped
         ),
         scored AS (
             SELECT w.rank, aim.asked_count, {score} AS score FROM {shape.table} w, aim
             WHERE w.rank <= aim.highest AND NOT list_contains(aim.own_ranks, w.rank) AND aim.asked_count > 0
         ),
         best AS (
             SELECT unnest(max({{'score': score, 'order': -rank}}, asked_count)) AS found FROM scored
         )
    SELECT w.word, best.found.score AS score, w.rank
    FROM best JOIN {shape.table} w ON w.rank = -best.found.order ORDER BY best.found DESC"""


def _nearest_to_many(shape: Shape) -> str:
    refusal = quoted(f"nearest_to_many: a vector is {shape.dimension} numbers, and none of them NULL")
    unequal = quoted("nearest_to_many takes one id for each vector")
    return f"""WITH vecmill_asked(asked_ids, asked_vectors, asked_k, highest) AS (
             SELECT ids, vectors, k::DOUBLE, coalesce(max_rank, {ALL_RANKS})
         ),
         counted AS (
             SELECT CASE WHEN len(asked_ids) <> len(asked_vectors) THEN error({unequal}) ELSE asked_ids END AS all_ids,
                    asked_vectors::DOUBLE[{shape.dimension}][]::DOUBLE[][] AS wide, highest,
                    {neighbor_count(shape)} AS asked_count
             FROM vecmill_asked
         ),
         listed AS (
             SELECT unnest(all_ids) AS asked_id, unnest(wide) AS numbers, unnest(range(len(wide))) AS place, highest,
                    asked_count
             FROM counted WHERE asked_count > 0
         ),
         sized AS (
             SELECT *, CASE WHEN list_count(numbers) < {shape.dimension} THEN error({refusal})
                            ELSE list_max(list_transform(numbers, lambda x: abs(x))) END AS largest
             FROM listed WHERE numbers IS NOT NULL
         ),
         pointed AS (
             SELECT asked_id, place, highest, asked_count,
                    list_transform(numbers, lambda x: x / largest)::FLOAT[{shape.dimension}] AS direction
             FROM sized WHERE largest > 0 AND isfinite(largest)
         ),
         aim AS (
             SELECT *, ({COSINE_SCALE}::FLOAT / sqrt(array_inner_product(direction, direction)))::FLOAT AS scale
             FROM pointed
         ),
         best AS (
             SELECT aim.place, any_value(aim.asked_id) AS asked_id, max({search_key()}, aim.asked_count) AS packed
             FROM {shape.table} w, aim WHERE w.rank <= aim.highest GROUP BY aim.place
         ),
         flat AS (SELECT place, asked_id, unnest(packed) AS found FROM best)
    SELECT flat.asked_id AS id, w.word, {unpacked("flat")} AS similarity, w.rank
    FROM flat JOIN {shape.table} w ON w.rank = {unpacked_rank("flat")} ORDER BY flat.place, flat.found DESC"""


def _nearest_filtered(shape: Shape) -> str:
    # A separate macro: the optional filters add 5 ms to the planning of every plain `nearest`. GLOB, because DuckDB
    # compiles a regular expression that is not a literal once for each word: 470 ms for 100,000 words.
    refusal = quoted("pattern is a glob such as 'un*' or '[a-c]?t*', not a regular expression")
    spelt = "nfc_normalize(x)" if shape.nfc else "x"
    kept = """w.rank <> aim.own_rank AND w.rank <= aim.highest AND aim.asked_count > 0
              AND (aim.least_count IS NULL OR w.count >= aim.least_count)
              AND (aim.glob IS NULL OR w.word GLOB aim.glob)"""
    return f"""WITH vecmill_asked(asked_word, asked_words, least_count, asked_pattern, asked_k, highest) AS (
             SELECT query, words, min_count::DOUBLE, pattern::VARCHAR, k::DOUBLE, coalesce(max_rank, {ALL_RANKS})
         ),
         aim AS (
             SELECT q.rank AS own_rank, q.vector AS direction, {COSINE_SCALE}::FLOAT AS scale, highest, least_count,
                    CASE WHEN starts_with(asked_pattern, '^') OR ends_with(asked_pattern, '$') THEN error({refusal})
                         ELSE asked_pattern END AS glob,
                    list_transform({word_list("asked_words")}, lambda x: {spelt}) AS among,
                    {neighbor_count(shape)} AS asked_count
             FROM vecmill_asked JOIN {shape.table} q ON q.word = {spelt_word(shape, "asked_word")}
         ),
         listed AS (SELECT DISTINCT *, unnest(among) AS listed_word FROM aim WHERE among IS NOT NULL),
         scored AS (
             SELECT {search_key()} AS packed, aim.asked_count
             FROM {shape.table} w, aim WHERE aim.among IS NULL AND {kept}
             UNION ALL
             SELECT {search_key()}, aim.asked_count
             FROM listed aim JOIN {shape.table} w ON w.word = aim.listed_word WHERE {kept}
         ),
         best AS (SELECT unnest(max(packed, asked_count)) AS found FROM scored)
    SELECT w.word, {unpacked("best")} AS similarity, w.rank
    FROM best JOIN {shape.table} w ON w.rank = {unpacked_rank("best")} ORDER BY best.found DESC"""


def _closer_than(shape: Shape) -> str:
    return f"""WITH aim AS (
             SELECT one.rank AS own_rank, one.vector AS direction, {COSINE_SCALE}::FLOAT AS scale,
                    array_inner_product(two.vector, one.vector) AS bound, {ALL_RANKS} AS highest,
                    {shape.rows} AS asked_count
             FROM (SELECT a, b) vecmill_asked(a_word, b_word)
             JOIN {shape.table} one ON one.word = {spelt_word(shape, "a_word")}
             JOIN {shape.table} two ON two.word = {spelt_word(shape, "b_word")}
         ),
    {best_words(shape, "w.rank <> aim.own_rank AND array_inner_product(w.vector, aim.direction) > aim.bound")}"""


SEARCH_MACROS = (
    Macro(
        name="most_similar",
        parameters="positive, negative := [], k := 10, max_rank := NULL",
        scalar=False,
        since=5,
        sql=_most_similar,
        meaning="The k words nearest to the sum of some words minus others, without these; no rows if one is unknown: "
        "FROM most_similar(['woman', 'king'], ['man'])",
        check="SELECT count(*) FROM most_similar([$1, $2, $2], [$3], k := 1)",
        answer=lambda rows: min(max(rows - 3, 0), 1),
    ),
    Macro(
        name="most_similar_cosmul",
        parameters="positive, negative := [], k := 10, max_rank := NULL",
        scalar=False,
        since=5,
        sql=_most_similar_cosmul,
        meaning="The same by 3CosMul, which multiplies similarities: FROM most_similar_cosmul(['woman', 'king'], "
        "['man'])",
        check="SELECT count(*) FROM most_similar_cosmul([$1, $2], [$3], k := 1)",
        answer=lambda rows: min(max(rows - 3, 0), 1),
    ),
    Macro(
        name="nearest_to_many",
        parameters="ids, vectors, k := 10, max_rank := NULL",
        scalar=False,
        since=5,
        sql=_nearest_to_many,
        meaning="The k words nearest to each vector of a list, with the id at the same position: "
        "FROM nearest_to_many([7, 8], [[0.1, …], [0.2, …]])",
        check="SELECT count(*) FROM nearest_to_many([1], [(SELECT vector FROM word_vectors WHERE word = $1)], k := 5)",
        answer=lambda rows: min(rows, 5),
    ),
    Macro(
        name="nearest_filtered",
        parameters="query, words := NULL, min_count := NULL, pattern := NULL, k := 10, max_rank := NULL",
        scalar=False,
        since=5,
        sql=_nearest_filtered,
        meaning="The k nearest words in a list, with a minimum count, or matching a pattern: "
        "FROM nearest_filtered('king', pattern := '*ing')",
        check="SELECT count(*) FROM nearest_filtered($1, words := [$1, $2], min_count := 0, pattern := '*')",
        answer=lambda rows: min(rows - 1, 1),
    ),
    Macro(
        name="closer_than",
        parameters="a, b",
        scalar=False,
        since=5,
        sql=_closer_than,
        meaning="The words that are closer to a than b is, nearest first: FROM closer_than('king', 'queen')",
        check="SELECT count(*) FROM closer_than($1, $1)",
        answer=lambda _: 0,
    ),
)
