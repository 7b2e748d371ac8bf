"""No name inside a macro catches an argument: callers may name tables, columns and parameters as the macros do."""

import re
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest

from storage.releases.file import write_release_file
from storage.releases.macro_parts import Macro, Shape
from storage.releases.macros import MACROS
from storage.releases.reader import open_release
from tests.storage.sample_releases import content, inner_table

# Macro -> a call whose arguments are all handed over, and the values of those.
CALLS: dict[str, tuple[str, dict[str, object]]] = {
    "nearest": ("nearest({a}, k := {k}, max_rank := {m})", {"a": "word1", "k": 3, "m": 30}),
    "nearest_many": ("nearest_many({a}, k := {k}, max_rank := {m})", {"a": ["word1", "word2"], "k": 3, "m": 30}),
    "nearest_to": ("nearest_to({a}, k := {k}, max_rank := {m})", {"a": [*range(1, 17)], "k": 3, "m": 30}),
    "analogy": (
        "analogy({a}, {b}, {c}, k := {k}, max_rank := {m})",
        {"a": "word1", "b": "word2", "c": "word3", "k": 3, "m": 30},
    ),
    "similarity": ("similarity({a}, {b})", {"a": "word1", "b": "word2"}),
    "doesnt_match": ("doesnt_match({a})", {"a": ["word1", "word2", "word3"]}),
    "most_similar": (
        "most_similar({a}, {b}, k := {k}, max_rank := {m})",
        {"a": ["word1", "word2"], "b": ["word3"], "k": 3, "m": 30},
    ),
    "most_similar_cosmul": (
        "most_similar_cosmul({a}, {b}, k := {k}, max_rank := {m})",
        {"a": ["word1", "word2"], "b": ["word3"], "k": 3, "m": 30},
    ),
    "nearest_to_many": (
        "nearest_to_many({a}, {b}, k := {k}, max_rank := {m})",
        {"a": [7, 8], "b": [[*range(1, 17)], [*range(16, 0, -1)]], "k": 3, "m": 30},
    ),
    "nearest_filtered": (
        "nearest_filtered({a}, words := {w}, min_count := {c}, pattern := {p}, k := {k}, max_rank := {m})",
        {"a": "word1", "w": ["word3", "word4", "word50"], "c": 10, "p": "word*", "k": 3, "m": 30},
    ),
    "closer_than": ("closer_than({a}, {b})", {"a": "word1", "b": "word2"}),
    "rank_of": ("rank_of({a}, {b})", {"a": "word1", "b": "word2"}),
    "known": ("known({a})", {"a": ["word1", "no-such-word"]}),
    "unknown": ("unknown({a})", {"a": ["word1", "no-such-word"]}),
    "suggest": ("suggest({a}, k := {k})", {"a": "Wrod1", "k": 3}),
    "word_vector": ("word_vector({a})", {"a": "word1"}),
    "mean_vector": ("mean_vector({a})", {"a": ["word1", "word2"]}),
    "text_vector": ("text_vector({a})", {"a": "Word1, word2!"}),
    "tokenize": ("tokenize({a})", {"a": "Word1, word2!"}),
    "drift": ("drift('release', words := {w}, k := {k}, max_rank := {m})", {"w": 3, "k": 3, "m": 30}),
}
PLAIN = "a_name_of_no_macro"


@pytest.fixture(scope="module")
def release_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("names") / "release.duckdb"
    write_release_file(path, "news", 1, content())
    return path


@pytest.fixture
def connection(release_file: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    with open_release(release_file) as connection:
        yield connection


def names_inside(macro: Macro, path: Path) -> list[str]:
    """Every table, alias, column and parameter in the SQL of a macro: all that is no function and no reserved word."""
    text = re.sub(r"'(?:[^']|'')*'", "", macro.sql(Shape(inner_table(path), 16, 200, True)).lower())
    with duckdb.connect() as connection:
        passed_over = connection.execute(
            """SELECT keyword_name FROM duckdb_keywords() WHERE keyword_category = 'reserved'
               UNION SELECT function_name FROM duckdb_functions() UNION SELECT logical_type FROM duckdb_types()
               EXCEPT (SELECT 'rank' UNION SELECT 'text')"""
        ).fetchall()
    return sorted(set(re.findall(r"[a-z_]\w*", text)) - {word.lower() for (word,) in passed_over})


def handed_over(
    macro: Macro, call: str, values: dict[str, object], name: str
) -> Iterator[tuple[str, str, dict[str, object]]]:
    """Ways to hand the values over in a struct of this name: the way, the statement, the prepared parameters."""
    made = f'SELECT $caller_values AS "{name}"'

    def asked(struct: str, source: str = "") -> str:
        arguments = {field: f"struct_extract({struct}, '{field}')" for field in values}
        if macro.scalar:
            return f"SELECT {call.format(**arguments)}" + (f" FROM {source}" if source else "")
        return f"SELECT answers.* FROM {source + ', ' if source else ''}{call.format(**arguments)} answers"

    given: dict[str, object] = {"caller_values": values}
    yield "column", asked(f'"{name}"', f"({made}) callers"), given
    yield "column of a table", asked(f'"{name}"."{name}"', f'({made}) "{name}"'), given
    yield "subquery", f'WITH "{name}" AS ({made}) {asked(f"""(SELECT "{name}" FROM "{name}")""")}', given
    yield "prepared parameter", asked(f"${name}"), {name: values}
    body = asked(f'"{name}"')
    kind = f"({body})" if macro.scalar else f"TABLE {body}"
    yield "parameter", f'CREATE OR REPLACE TEMP MACRO wrapping("{name}") AS {kind}', {}
    yield "parameter", f"{'SELECT' if macro.scalar else 'FROM'} wrapping($caller_values)", given


def answers(
    connection: duckdb.DuckDBPyConnection, macro: Macro, call: str, values: dict[str, object], name: str
) -> dict[str, object]:
    found: dict[str, object] = {}
    for way, statement, parameters in handed_over(macro, call, values, name):
        try:
            # A join with a column keeps no order.
            found[way] = sorted(connection.execute(statement, parameters).fetchall())
        except duckdb.Error as error:
            found[way] = type(error).__name__
    return found


@pytest.mark.parametrize("macro", MACROS, ids=lambda macro: macro.name)
def test_no_name_inside_a_macro_catches_an_argument(
    connection: duckdb.DuckDBPyConnection, release_file: Path, macro: Macro
) -> None:
    call, values = CALLS[macro.name]
    literal = call.format(**{field: repr(value) for field, value in values.items()})
    direct = connection.execute(f"{'SELECT' if macro.scalar else 'FROM'} {literal}").fetchall()
    assert direct
    direct.sort()
    expected = answers(connection, macro, call, values, PLAIN)
    # DuckDB takes no column in a LIMIT.
    refused = {"column", "column of a table"} if macro.name == "drift" else set()
    assert {way for way, answer in expected.items() if answer != direct} == refused
    names = names_inside(macro, release_file)
    own_table = inner_table(release_file)
    read = {"vecmill_asked"} if macro.name == "tokenize" else {"vecmill_asked", own_table, "word"}
    assert read <= set(names)
    for name in names:
        found = answers(connection, macro, call, values, name)
        if name == own_table:  # a caller who takes this very name hides our table, and is refused
            assert found.pop("subquery") == "BinderException"
        assert found.items() <= expected.items(), name
