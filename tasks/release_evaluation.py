"""Evaluate vectors that exist already: a release of a table, current or old, or a file that was made elsewhere."""

import logging
from typing import Annotated, Self

from prefect import task
from prefect.cache_policies import NO_CACHE
from pydantic import BaseModel, ConfigDict, Field, WithJsonSchema, model_validator

from storage.gold.sets import read_gold_sets
from storage.layout import TABLE_NAME, Workspace
from storage.models.rows import ComparedWordRow, EvaluationRow
from storage.releases.named_vectors import NamedVectors, read_outside_vectors, read_release_vectors
from tasks.evaluation import read_references
from tasks.scoring import EvaluationConfig, score_vectors

logger = logging.getLogger(__name__)


class TargetConfig(BaseModel):
    """Which vectors are evaluated: those of a table, or a file of others."""

    # Prefect's server gives what it takes from an event as a number if it looks like one, and checks the schema.
    model_config = ConfigDict(frozen=True, extra="forbid", coerce_numbers_to_str=True)

    table: str | None = Field(None, pattern=f"^{TABLE_NAME.pattern}$", description="a published table")
    version: Annotated[str, WithJsonSchema({"anyOf": [{"type": "string"}, {"type": "integer"}]})] | None = Field(
        None, min_length=1, description="a kept version of it, or the first letters of a candidate; none: the current"
    )
    vectors: str | None = Field(
        None, min_length=1, description="instead of a table: a file that docs/formats.md tells of, or package:NAME"
    )

    @model_validator(mode="after")
    def _names_one_thing(self) -> Self:
        if (self.table is None) == (self.vectors is None):
            raise ValueError("name either a table or a file of vectors")
        if self.version is not None and self.table is None:
            raise ValueError("only a table has versions")
        return self


class TargetEvaluation(BaseModel):
    """How some vectors score. name: what was evaluated.  version: None for outside vectors and for a candidate.

    gold_columns: name of each further gold set -> which of its columns were read.
    """

    model_config = ConfigDict(frozen=True)

    name: str
    source: str
    table: str | None
    version: int | None
    words: int
    dimension: int
    rows: list[EvaluationRow]
    compared_words: list[ComparedWordRow]
    gold_columns: dict[str, str] = Field(default_factory=dict)


def read_target(target: TargetConfig, workspace: Workspace) -> NamedVectors:
    """The words and vectors that are named. Raises ReleaseError or VectorFileError where they cannot be read."""
    if target.table is not None:
        return read_release_vectors(workspace, target.table, target.version)
    return read_outside_vectors(target.vectors or "", "target.vectors")


@task(name="evaluate release", cache_policy=NO_CACHE)
def evaluate_target(target: TargetConfig, config: EvaluationConfig, workspace: Workspace) -> TargetEvaluation:
    """Score vectors against the gold sets and all reference vectors; nothing is written.

    Raises GoldSetError or ReferenceVectorsError where these cannot be read, and like `read_target`.
    """
    gold = read_gold_sets(config.gold)
    found = read_target(target, workspace)
    scored = score_vectors(found.words, found.vectors, gold, read_references(config), config)
    return TargetEvaluation(
        name=found.name,
        source=found.source,
        table=target.table,
        version=found.release.row.version if found.release else None,
        words=len(found.words),
        dimension=found.vectors.shape[1],
        rows=scored.rows,
        compared_words=scored.compared_words,
        gold_columns=gold.columns,
    )
