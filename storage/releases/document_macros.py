"""Macros of releases with document vectors: nearest_documents and document_similarity."""

from storage.releases.macro_parts import MOST_NEIGHBORS, DocumentShape, Macro, Shape, whole_number
from storage.releases.schema import quoted
from storage.releases.text_macros import text_tokens, weighted_mean


def documents_table(vectors_table: str) -> str:
    """Name of the table behind `document_vectors`, as unique as that of the word vectors."""
    return vectors_table.replace("word_vectors", "document_vectors", 1)


def _nearest_documents(shape: Shape) -> str:
    """Other methods than means have separate vector spaces, in which SQL cannot place a text."""
    documents = shape.documents or DocumentShape(shape.dimension)
    if documents.method:
        composed = "composed(text_direction) AS (SELECT NULL::FLOAT[])"
        takes = "a vector"
        of_a_text = (
            "error("
            + quoted(
                f"the vectors of these documents were computed by {documents.method}, which SQL cannot apply to a "
                "text; pass a vector, such as (SELECT vector FROM document_vectors WHERE document_id = 7)"
            )
            + ")"
        )
    else:
        composed = f"""listed AS (SELECT unnest({text_tokens(shape)}) AS asked_word FROM written),
         composed(text_direction) AS (
             WITH {weighted_mean(shape, "listed.asked_word")}
         )"""
        takes, of_a_text = "a text or a vector", "composed_direction"
    refusal = quoted(f"nearest_documents takes {takes} of {documents.dimension} numbers")
    cosine = "array_cosine_similarity(d.vector, aim.direction)"
    count = whole_number("asked_k", "k", MOST_NEIGHBORS)
    return f"""WITH vecmill_asked(asked_query, asked_k) AS (SELECT query, k::DOUBLE),
         written AS (
             SELECT CASE WHEN typeof(asked_query) = 'VARCHAR' THEN asked_query::VARCHAR END AS asked_text
             FROM vecmill_asked
         ),
         {composed},
         numbers AS (
             SELECT typeof(asked_query) = 'VARCHAR' AS is_text, asked_query IS NULL AS is_null,
                    TRY_CAST(asked_query AS FLOAT[]) AS given, text_direction::FLOAT[] AS composed_direction,
                    {count} AS asked_count
             FROM vecmill_asked, composed
         ),
         aim AS (
             SELECT (CASE WHEN is_text THEN {of_a_text}
                          WHEN is_null OR len(given) = {documents.dimension} THEN given
                          ELSE error({refusal}) END)::FLOAT[{documents.dimension}] AS direction, asked_count
             FROM numbers
         ),
         best AS (
             SELECT unnest(max({{'cosine': {cosine}, 'place': -d.document_id}}, aim.asked_count)) AS found
             FROM {documents_table(shape.table)} d, aim
             WHERE aim.asked_count > 0 AND d.vector IS NOT NULL AND isfinite({cosine})
         )
    SELECT d.document_id, d.source, best.found.cosine AS similarity
    FROM best JOIN {documents_table(shape.table)} d ON d.document_id = -best.found.place
    ORDER BY best.found.cosine DESC, d.document_id"""


def _document_similarity(shape: Shape) -> str:
    table = documents_table(shape.table)
    return f"""
        SELECT array_cosine_similarity(one.vector, two.vector)
        FROM (SELECT a, b) vecmill_asked(a_document, b_document)
        JOIN {table} one ON one.document_id = a_document
        JOIN {table} two ON two.document_id = b_document
    """


DOCUMENT_MACROS = (
    Macro(
        name="nearest_documents",
        parameters="query, k := 10",
        scalar=False,
        since=5,
        sql=_nearest_documents,
        meaning="The k documents most similar to a text or a vector by cosine: "
        "FROM nearest_documents('a dull film', k := 5)",
        check="SELECT count(*) FROM nearest_documents((SELECT any_value(vector) FROM document_vectors), k := 0)",
        answer=lambda _: 0,
    ),
    Macro(
        name="document_similarity",
        parameters="a, b",
        scalar=True,
        since=5,
        sql=_document_similarity,
        meaning="The cosine of two documents by their document_id, NULL if either has no vector: "
        "SELECT document_similarity(0, 1)",
        check="SELECT document_similarity(-1, -1) IS NULL",
        answer=lambda _: True,
    ),
)
