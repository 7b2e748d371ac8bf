"""User-supplied SQL as the trees of DuckDB's parser, so that only SELECTs of allowed functions run."""

import json
from collections.abc import Iterator
from functools import cache
from typing import Any

import duckdb


class SelectError(ValueError):
    """SQL that DuckDB cannot parse, or that is not a SELECT. is_parsed: whether it is the latter."""

    def __init__(self, message: str, *, is_parsed: bool = False) -> None:
        super().__init__(message)
        self.is_parsed = is_parsed


@cache
def sql_parser() -> duckdb.DuckDBPyConnection:
    """A database without tables and files, which only parses. Opening one costs more than parsing a query."""
    return duckdb.connect(":memory:", config={"enable_external_access": False})


def parsed_selects(sql: str) -> list[Any]:
    """The tree of each statement. Raises SelectError.

    `json_serialize_sql` only parses. `extract_statements` expands statements too: IMPORT DATABASE opens files there.
    """
    try:
        with sql_parser().cursor() as parser:
            answer = parser.execute("SELECT CAST(json_serialize_sql(?) AS VARCHAR)", [sql]).fetchone()
        parsed: dict[str, Any] = json.loads(answer[0]) if answer else {"error": True}
    except (duckdb.Error, UnicodeError) as error:
        raise SelectError(str(error)) from error
    except RecursionError as error:
        raise SelectError("the query is nested too deeply") from error
    if parsed["error"]:
        is_parsed = parsed.get("error_type") == "not implemented"
        raise SelectError(str(parsed.get("error_message")), is_parsed=is_parsed)
    statements: list[Any] = parsed["statements"]
    return statements


def tree_nodes(tree: object) -> Iterator[dict[str, Any]]:
    """All nodes of a tree."""
    # A list instead of recursion: the tree is as deep as the query.
    unseen = [tree]
    while unseen:
        node = unseen.pop()
        if isinstance(node, list):
            unseen.extend(node)
        elif isinstance(node, dict):
            yield node
            unseen.extend(node.values())
