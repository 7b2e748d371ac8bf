"""Building blocks of the macros in a release file: their record, and the SQL that several of them share.

Rules that the shape of every macro follows:

- Arguments are read once, in a first `vecmill_asked` whose columns are named in its head: a macro is expanded in
  place, and an argument such as `x.word` would otherwise be caught by a column or alias of the macro's own.
- The best words are kept by an aggregate, not by ORDER BY … LIMIT: DuckDB turns the latter into a sort of the whole
  vocabulary for each row of a LATERAL join (118 ms and 16 MB a row), the former into one pass.
- Cosine and rank are packed into one integer, so that the aggregate compares numbers and breaks ties by rank: the more
  frequent word comes first. A pair {cosine, rank} takes a third longer. Cosines nearer than 2e-10 count as equal.
- The word is joined, not looked up by a scalar subquery: a missing word then yields no row (NULL from a scalar).
- Tables are named with table, version and checksum: after ATTACH without USE, a macro that is looked up in another
  release's catalog fails loudly instead of reading that one's vectors. `drift` takes the other catalog's name.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from storage.releases.schema import quoted

# The largest INTEGER.
ALL_RANKS = 2_147_483_647
# What DuckDB's max(…, k) and min(…, k) take.
MOST_NEIGHBORS = 999_999
# A cosine fills the upper bits of a BIGINT, the rank the lower 28.
COSINE_SCALE = 2**60
RANK_MASK = 2**28 - 1


@dataclass(frozen=True)
class NgramShape:
    """The table of n-gram vectors, the lengths of n-grams in code points, and the number of hash buckets."""

    table: str
    minimum: int
    maximum: int
    buckets: int


@dataclass(frozen=True)
class DocumentShape:
    """Vectors of documents. method: how they were computed, if that is not as the mean of a text's words."""

    dimension: int
    method: str | None = None


@dataclass(frozen=True)
class Shape:
    """What the SQL of a macro depends on.

    table: our own name of the vectors' table.  nfc: every word is in NFC.  tokens: see `tokenizer_in_sql`.
    ngrams: in releases that compose vectors of unknown words.  documents: in those with vectors of documents.
    """

    table: str
    dimension: int
    rows: int
    nfc: bool
    tokens: str | None = "unicode_words"
    ngrams: NgramShape | None = None
    documents: DocumentShape | None = None


@dataclass(frozen=True)
class Macro:
    """One macro of a release file.

    parameters: as CREATE MACRO takes them.  scalar: returns one value, not a table.  since: the first format with it.
    check: a query of one value about it, whose parameters are the most frequent words; `answer` computes the value that
    it has in a table of so many rows.
    """

    name: str
    parameters: str
    scalar: bool
    since: int
    sql: Callable[[Shape], str]
    meaning: str
    check: str
    answer: Callable[[int], object]


def create_statements(macros: Iterable[Macro], shape: Shape) -> Iterator[str]:
    """The SQL that creates macros, with their comments."""
    for macro in macros:
        body = f"({macro.sql(shape)})" if macro.scalar else f"TABLE {macro.sql(shape)}"
        yield f"CREATE MACRO {macro.name}({macro.parameters}) AS {body}"
        yield f"COMMENT ON MACRO {'' if macro.scalar else 'TABLE '}{macro.name} IS {quoted(macro.meaning)}"


def best_words(shape: Shape, condition: str) -> str:
    """The end of a search: the best words for the one row of `aim` (direction, scale, highest, asked_count)."""
    return f"""best AS (
             SELECT unnest(max({search_key()}, aim.asked_count)) AS found
             FROM {shape.table} w, aim WHERE {condition} AND w.rank <= aim.highest AND aim.asked_count > 0
         )
    SELECT w.word, {unpacked("best")} AS similarity, w.rank
    FROM best JOIN {shape.table} w ON w.rank = {unpacked_rank("best")} ORDER BY best.found DESC"""


def search_key() -> str:
    """The similarity of a row `w` to `aim` and its rank as one BIGINT: larger is nearer."""
    return f"((array_inner_product(w.vector, aim.direction) * aim.scale)::BIGINT & {~RANK_MASK}) - w.rank"


def unpacked_rank(keys: str, field: str = ".found") -> str:
    """The rank in a `search_key`, which is a field of `keys`, or `keys` itself where `field` is empty."""
    return f"((-{keys}{field}) & {RANK_MASK})::INTEGER"


def unpacked(keys: str) -> str:
    """The cosine in a `search_key`, of which row `w` has the rank."""
    return f"(({keys}.found + w.rank)::DOUBLE * {2.0**-60!r})::FLOAT"


def neighbor_count(shape: Shape) -> str:
    """How many neighbours `asked_k` asks for."""
    return whole_number("asked_k", "k", shape.rows)


def whole_number(value: str, name: str, rows: int) -> str:
    """How many of `rows` things an argument, a DOUBLE, asks for: NULL means all of them, as in LIMIT."""
    refusal = quoted(f"{name} is a whole number, 0 or more; NULL means all")
    chosen, all_rows = f"least({value}, {rows})::BIGINT", str(rows)
    if MOST_NEIGHBORS < rows < ALL_RANKS:
        too_many = f"error({quoted(f'{name} is at most {MOST_NEIGHBORS:,}')})"
        chosen, all_rows = f"CASE WHEN {value} > {MOST_NEIGHBORS} THEN {too_many} ELSE {chosen} END", too_many
    # NaN and infinity have no remainder of 0.
    return f"""CASE WHEN {value} >= 0 AND {value} % 1 = 0 THEN {chosen}
                    WHEN {value} IS NULL THEN {all_rows} ELSE error({refusal}) END"""


def spelt_word(shape: Shape, value: str) -> str:
    """A word as the table spells it: a number is the word of its digits, and an accent may come after its letter."""
    refusal = quoted("a word is text, not a list; nearest_many takes a list of words")
    text = f"nfc_normalize({value}::VARCHAR)" if shape.nfc else f"{value}::VARCHAR"
    return f"""CASE WHEN regexp_matches(typeof({value}), '\\]$|^(STRUCT|MAP|UNION)') THEN error({refusal})
                    ELSE {text} END"""


def word_list(value: str) -> str:
    """A list of words; NULL stays NULL."""
    refusal = quoted("words are given as a list, such as ['king', 'queen']")
    # In DuckDB 1.4 a NULL that passed through a subquery has the type INTEGER.
    return f"""CASE WHEN {value} IS NOT NULL AND NOT regexp_full_match(typeof({value}), '"NULL"|[^\\[\\]]*\\[\\d*\\]')
                    THEN error({refusal}) ELSE {value}::VARCHAR[] END"""
