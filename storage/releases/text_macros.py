"""Macros from words and text to vectors: word_vector, mean_vector, text_vector and tokenize.

Means are weighted by how rare a word is: a / (a + p) with p its share of the corpus, from the column `weight`.
Source: Arora, Liang and Ma 2017, "A Simple but Tough-to-Beat Baseline for Sentence Embeddings" (SIF).
"""

from storage.releases.macro_parts import Macro, Shape, spelt_word, word_list
from storage.releases.ngrams import word_vector_with_ngrams
from storage.releases.schema import quoted
from storage.releases.text_tokens import token_list

NO_TOKENIZER = "the tokenizer of this release cannot be expressed in SQL; tokenize in Python and call mean_vector"


def _word_vector(shape: Shape) -> str:
    if shape.ngrams is not None:
        return word_vector_with_ngrams(shape, shape.ngrams)
    # A join, not a scalar subquery, as in `similarity`.
    return f"""
        SELECT q.vector FROM (SELECT query) vecmill_asked(asked_word)
        JOIN {shape.table} q ON q.word = {spelt_word(shape, "asked_word")}
    """


def _mean_vector(shape: Shape) -> str:
    return f"""
        WITH vecmill_asked(asked_words) AS (SELECT words),
             listed AS (SELECT unnest({word_list("asked_words")}) AS asked_word FROM vecmill_asked),
        {weighted_mean(shape, spelt_word(shape, "listed.asked_word"))}
    """


def _text_vector(shape: Shape) -> str:
    # Tokens are composed already.
    return f"""
        WITH vecmill_asked(asked_text) AS (SELECT "text"),
             listed AS (SELECT unnest({text_tokens(shape)}) AS asked_word FROM vecmill_asked),
        {weighted_mean(shape, "listed.asked_word")}
    """


def _tokenize(shape: Shape) -> str:
    return f"""SELECT {text_tokens(shape)} FROM (SELECT "text") vecmill_asked(asked_text)"""


def text_tokens(shape: Shape) -> str:
    """SQL for the tokens of `asked_text`."""
    text = "asked_text::VARCHAR"
    if shape.tokens is None:
        return f"CASE WHEN {text} IS NOT NULL THEN error({quoted(NO_TOKENIZER)})::VARCHAR[] END"
    return token_list(shape.tokens, text)


def weighted_mean(shape: Shape, spelt: str) -> str:
    """The end of a query with the words in `listed`: the mean of the vectors of those that are known.

    One aggregate per number: over many texts up to 2.6 times as fast as lists, and 12 times as fast as rows of numbers.
    A single text of 300 numbers pays 70 ms for planning. Lists take 4 ms, but DuckDB 1.5.6 then returns zeros, or fails
    with an impossible length, where texts of a column have no known word.
    The cast comes last, because CASE has no arrays.
    """
    numbers = ", ".join(f"sum(weight * vector[{place}]) / sum(weight)" for place in range(1, shape.dimension + 1))
    return f"""known AS (
            SELECT q.vector, q.weight::DOUBLE AS weight FROM {shape.table} q JOIN listed ON q.word = {spelt}
        )
        SELECT (CASE WHEN count(*) > 0 THEN [{numbers}] END)::FLOAT[{shape.dimension}] FROM known"""


TEXT_MACROS = (
    Macro(
        name="word_vector",
        parameters="query",
        scalar=True,
        since=5,
        sql=_word_vector,
        meaning="The vector of a word, NULL if neither it nor its n-grams are known: SELECT word_vector('king')",
        check="SELECT len(word_vector($1)) > 0",
        answer=lambda _: True,
    ),
    Macro(
        name="mean_vector",
        parameters="words",
        scalar=True,
        since=5,
        sql=_mean_vector,
        meaning="The mean vector of a list of words, weighted by `weight`; unknown words are skipped, NULL without a "
        "known one: SELECT mean_vector(['king', 'queen'])",
        check="SELECT round(array_inner_product(mean_vector([$1, $1]), word_vector($1)), 3)",
        answer=lambda _: 1.0,
    ),
    Macro(
        name="text_vector",
        parameters='"text"',
        scalar=True,
        since=5,
        sql=_text_vector,
        meaning="The mean vector of a text, tokenized like the corpus; NULL without a known word: "
        "SELECT text_vector('a dull film')",
        check="SELECT text_vector(NULL) IS NULL",
        answer=lambda _: True,
    ),
    Macro(
        name="tokenize",
        parameters='"text"',
        scalar=True,
        since=5,
        sql=_tokenize,
        meaning="The tokens of a text, split like the corpus: SELECT tokenize('A dull film!')",
        check="SELECT tokenize(NULL) IS NULL",
        answer=lambda _: True,
    ),
)
