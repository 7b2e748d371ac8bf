"""Items of known clusters: their vectors recommend better than popularity, and gates judge the hit rate."""

import csv
from pathlib import Path

import duckdb
import numpy as np
import pytest

from flows.deployments import build_parameters, find_deployment
from flows.runs.planning import plan_stages
from storage.errors import GateRefusedError, SettingsError
from storage.layout import Workspace
from tests.flows import builds

pytestmark = pytest.mark.usefixtures("prefect_server")

CLUSTERS, CLUSTER_ITEMS, BASKETS = 10, 15, 2500
SETTINGS = (
    "corpus.text_column=product", "corpus.group_column=basket", "vocabulary.min_count=1", "training.dimension=16",
    "training.epochs=8", "training.workers=1", "publication.table=products", "report.enabled=false",
)  # fmt: skip


@pytest.fixture(scope="module")
def baskets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Baskets with items of one cluster, in any order, and one bag that everybody buys."""
    random = np.random.default_rng(1)
    path = tmp_path_factory.mktemp("items") / "baskets.csv"
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["basket", "product"])
        for basket in range(BASKETS):
            cluster = random.integers(CLUSTERS)
            items = random.choice(CLUSTER_ITEMS, random.integers(3, 7), replace=False)
            products = [f"{cluster}:{item}" for item in items] + ["bag"] * int(random.random() < 0.5)
            writer.writerows([basket, product] for product in random.permutation(products))
    return path


def test_items_are_scored_by_held_out_last_items(baskets: Path, tmp_path: Path) -> None:
    settings = (f"corpus.path={baskets}", *SETTINGS)
    workspace = tmp_path / "workspace"
    result = builds.build(workspace, *settings, deployment="items")
    assert result.version == 1
    with duckdb.connect(result.release_path, read_only=True) as connection:
        rows = connection.sql(
            "SELECT metric, value, covered FROM evaluation WHERE metric LIKE 'hit_rate%' ORDER BY ALL"
        ).fetchall()
        ((counted,),) = connection.sql("SELECT sum(count) FROM word_vectors").fetchall()
        gates = connection.sql("SELECT metric, min_factor, passed FROM gates").fetchall()
        nearest = connection.sql("SELECT word FROM nearest('3:7', k := 14)").fetchall()
    rates = {metric: value for metric, value, _ in rows}
    assert list(rates) == ["hit_rate_at_10", "hit_rate_at_10_popular", "hit_rate_at_10_random"]
    # Nobody can know which of the 10 or so remaining items of a cluster comes last, but the cluster can be known.
    assert rates["hit_rate_at_10"] > 0.6
    assert rates["hit_rate_at_10_popular"] < 0.3
    assert rates["hit_rate_at_10_random"] == pytest.approx(10 / (CLUSTERS * CLUSTER_ITEMS - 3), rel=0.1)
    held_out = {covered for *_, covered in rows}
    assert len(held_out) == 1
    assert 0.08 * BASKETS < held_out.pop() < 0.12 * BASKETS
    # Held-out items are counted: only training lacks them.
    with duckdb.connect() as connection:
        assert connection.execute("SELECT count(*) FROM read_csv(?)", [str(baskets)]).fetchall() == [(counted,)]
    assert gates == [("hit_rate_at_10", 3.0, True)]
    assert {word.split(":")[0] for (word,) in nearest} == {"3"}
    planned = plan_stages(build_parameters(find_deployment("items"), settings), Workspace(workspace))[1]
    assert all(stage.reused for stage in planned)
    with pytest.raises(GateRefusedError, match=r"hit_rate_at_10 is 0\.\d+ .*below the minimum 1"):
        builds.build(workspace, *settings, "publication.gates.hit_rate_at_10.minimum=1", deployment="items")


def test_nothing_is_held_out_of_text_or_if_the_setting_says_so(baskets: Path) -> None:
    settings = [f"corpus.path={baskets}", *SETTINGS]
    parameters = build_parameters(find_deployment("items"), settings)
    assert (parameters.held_out_sequences("sequences"), parameters.held_out_sequences("text")) == (1000, 0)
    for deployment, without in (("items", [*settings, "evaluation.held_out_sequences=0"]), ("movie-reviews", [])):
        with pytest.raises(SettingsError, match="unknown metric hit_rate_at_10"):
            build_parameters(find_deployment(deployment), [*without, "publication.gates.hit_rate_at_10.minimum=1"])
