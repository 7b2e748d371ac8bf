"""Macros about words: the rank of a similarity, which words a table has, and likely spellings of unknown ones."""

from storage.releases.macro_parts import MOST_NEIGHBORS, Macro, Shape, spelt_word, whole_number, word_list

# Longer words are compared by capitals only.
LONGEST_SUGGESTED = 60


def _rank_of(shape: Shape) -> str:
    return f"""
        SELECT (count(w.rank) + 1)::INTEGER
        FROM (
            SELECT one.rank AS own_rank, one.vector, array_inner_product(two.vector, one.vector) AS bound
            FROM (SELECT a, b) vecmill_asked(a_word, b_word)
            JOIN {shape.table} one ON one.word = {spelt_word(shape, "a_word")}
            JOIN {shape.table} two ON two.word = {spelt_word(shape, "b_word")}
        ) aim
        LEFT JOIN {shape.table} w
        ON w.rank <> aim.own_rank AND array_inner_product(w.vector, aim.vector) > aim.bound
        GROUP BY aim.own_rank
    """


def _known(shape: Shape) -> str:
    return _listed(shape, "q.rank IS NOT NULL")


def _unknown(shape: Shape) -> str:
    return _listed(shape, "q.rank IS NULL AND asked_word IS NOT NULL")


def _listed(shape: Shape, condition: str) -> str:
    return f"""
        WITH vecmill_asked(asked_words) AS (SELECT words),
             counted AS (SELECT {word_list("asked_words")} AS listed_words FROM vecmill_asked),
             listed AS (
                 SELECT unnest(listed_words) AS asked_word, unnest(range(len(listed_words))) AS place FROM counted
             )
        SELECT coalesce(list(asked_word ORDER BY place) FILTER ({condition}), [])
        FROM listed LEFT JOIN {shape.table} q ON q.word = {spelt_word(shape, "asked_word")}
    """


def _suggest(shape: Shape) -> str:
    # DuckDB counts bytes, of which an accented letter has several: all accents together count as one letter.
    # Letters changed, added, left out or swapped: none in a word of one or two letters, at most two in longer ones.
    allowed = f"CASE WHEN length(said) > {LONGEST_SUGGESTED} THEN 0 ELSE least(2, (length(said) - 1) // 2) END"
    return f"""WITH vecmill_asked(asked_word, asked_k) AS (SELECT query, k::DOUBLE),
         spelt AS (
             SELECT lower(nfc_normalize({spelt_word(shape, "asked_word")})) AS said,
                    {whole_number("asked_k", "k", min(shape.rows, MOST_NEIGHBORS))} AS asked_count
             FROM vecmill_asked
         ),
         aim AS (SELECT said, asked_count, {allowed} AS most FROM spelt WHERE asked_count > 0),
         near AS (
             SELECT w.rank, aim.said, aim.most, aim.asked_count, lower(nfc_normalize(w.word)) AS spelling
             FROM {shape.table} w, aim WHERE abs(length(w.word) - length(aim.said)) <= aim.most + 1
         ),
         counted AS (
             SELECT rank, most, asked_count,
                    CASE WHEN spelling = said THEN 0 WHEN most > 0 AND abs(length(spelling) - length(said)) <= most
                         THEN least(damerau_levenshtein(spelling, said),
                                    damerau_levenshtein(strip_accents(spelling), strip_accents(said)) + 1)
                    END AS changed
             FROM near
         ),
         best AS (
             SELECT unnest(min({{'changed': changed, 'place': rank}}, asked_count)) AS found
             FROM counted WHERE changed <= most
         )
    SELECT w.word, best.found.changed::INTEGER AS edits, w.rank
    FROM best JOIN {shape.table} w ON w.rank = best.found.place ORDER BY best.found"""


WORD_MACROS = (
    Macro(
        name="rank_of",
        parameters="a, b",
        scalar=True,
        since=5,
        sql=_rank_of,
        meaning="The rank of b among the neighbours of a, 1 = nearest, NULL if either is unknown: "
        "SELECT rank_of('king', 'queen')",
        check="SELECT rank_of($1, $1)",
        answer=lambda _: 1,
    ),
    Macro(
        name="known",
        parameters="words",
        scalar=True,
        since=5,
        sql=_known,
        meaning="Those words of a list that the table has: SELECT known(['king', 'quux'])",
        check="SELECT len(known([$1, $1 || chr(1) || '?']))",
        answer=lambda _: 1,
    ),
    Macro(
        name="unknown",
        parameters="words",
        scalar=True,
        since=5,
        sql=_unknown,
        meaning="Those words of a list that the table does not have: SELECT unknown(['king', 'quux'])",
        check="SELECT len(unknown([$1]))",
        answer=lambda _: 0,
    ),
    Macro(
        name="suggest",
        parameters="query, k := 3",
        scalar=False,
        since=5,
        sql=_suggest,
        meaning="The words with the most similar spelling, with other capitals or up to two letters changed: "
        "FROM suggest('Kign')",
        check="SELECT edits FROM suggest($1, k := 1)",
        answer=lambda _: 0,
    ),
)
