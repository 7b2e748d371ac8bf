"""The example of docs/items.md runs: a table's categories become vectors, which are joined back to its rows."""

import re
import shlex
from itertools import pairwise
from pathlib import Path

import duckdb
import numpy as np
import pytest

from tests.flows import builds

pytestmark = pytest.mark.usefixtures("prefect_server")

PAGE = (Path(__file__).resolve().parents[2] / "docs/items.md").read_text(encoding="utf-8")
(COMMAND,) = re.findall(r"^```sh\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
JOIN, ASK = re.findall(r"^```sql\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
# Two groups of customers: the cities and jobs of one never occur with those of the other; devices are of both.
GROUPS = ((["Busan", "Mokpo", "Ulsan"], ["sailor", "fisher"]), (["Taebaek", "Jeongseon"], ["miner", "smith"]))


def test_categories_become_vectors_and_are_joined_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    random = np.random.default_rng(3)
    rows = []
    for number in range(1500):
        cities, jobs = GROUPS[number % 2]
        rows.append((number, str(random.choice(cities)), str(random.choice(jobs)), str(random.choice(["phone", "pc"]))))
    with duckdb.connect("customers.duckdb") as connection:
        connection.execute("CREATE TABLE customers (id INTEGER, city VARCHAR, job VARCHAR, device VARCHAR)")
        connection.executemany("INSERT INTO customers VALUES (?, ?, ?, ?)", rows)
    words = shlex.split(COMMAND.replace("\\\n", " "))
    settings = [word for before, word in pairwise(words) if before == "--set"]
    result = builds.build(tmp_path / "workspace", *settings, "report.enabled=false")
    assert (result.version, result.vocabulary_size) == (1, 11)
    with duckdb.connect() as connection:
        connection.execute(JOIN)
        features = connection.sql("SELECT id, city_vector, job_vector FROM features ORDER BY id").fetchall()
        assert [row[0] for row in features] == list(range(1500))
        assert all(len(city) == len(job) == 16 for _, city, job in features)
    with duckdb.connect() as connection:
        attach, use, nearest, compare = (part for part in ASK.split(";\n") if part.strip())
        connection.execute(f"{attach}; {use}")
        ((near, far),) = connection.sql(compare).fetchall()
        assert near > far + 0.2
        assert {word for word, *_ in connection.sql(nearest).fetchall()} == {"city=Mokpo", "city=Ulsan"}
