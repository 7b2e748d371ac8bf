"""Evaluate existing vectors: a current or older release of a table, or a vector file of another tool."""

from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, WithJsonSchema, model_validator

from storage.gold.sets import read_gold_sets
from storage.layout import TABLE_NAME, Workspace
from storage.models.rows import ComparedWordRow, EvaluationRow
from storage.releases.named_vectors import NamedVectors, read_outside_vectors, read_release_vectors
from tasks.references import read_references
from tasks.release_reader import release_word_reader
from tasks.scoring import EvaluationConfig, score_vectors
from tasks.unseen_words import release_composer


class TargetConfig(BaseModel):
    """The vectors to evaluate: those of a table, or a vector file."""

    # Prefect renders event values that look like numbers as numbers, and validates them against the schema.
    model_config = ConfigDict(frozen=True, extra="forbid", coerce_numbers_to_str=True)

    table: str | None = Field(None, pattern=f"^{TABLE_NAME.pattern}$", description="a published table")
    version: Annotated[str, WithJsonSchema({"anyOf": [{"type": "string"}, {"type": "integer"}]})] | None = Field(
        None,
        min_length=1,
        description="a kept version, or the prefix of a candidate's digest; none: the current one",
    )
    vectors: str | None = Field(
        None,
        min_length=1,
        description="instead of a table: a vector file, see docs/formats.md, or package:NAME",
    )

    @model_validator(mode="after")
    def _names_one_thing(self) -> Self:
        if (self.table is None) == (self.vectors is None):
            raise ValueError("name either a table or a file of vectors")
        if self.version is not None and self.table is None:
            raise ValueError("only a table has versions")
        return self


class TargetEvaluation(BaseModel):
    """Scores of existing vectors. name: what was evaluated.  version: None for vector files and candidates.

    gold_columns: name of each additional gold set -> the columns that were read.
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
    """The words and vectors of the target. Raises ReleaseError or VectorFileError if they cannot be read."""
    if target.table is not None:
        return read_release_vectors(workspace, target.table, target.version)
    return read_outside_vectors(target.vectors or "", "target.vectors")


def score_target(target: TargetConfig, config: EvaluationConfig, workspace: Workspace) -> TargetEvaluation:
    """Score vectors against the gold sets and all reference vectors, without writing anything.

    Raises GoldSetError or ReferenceVectorsError if one cannot be read, and what `read_target` raises.
    """
    gold = read_gold_sets(config.gold)
    named = read_target(target, workspace)
    cutter = release_word_reader(named.release.path) if named.release else None
    composer = release_composer(named.release.path) if named.release else None
    scored = score_vectors(named.words, named.vectors, gold, read_references(config), config, cutter, composer)
    return TargetEvaluation(
        name=named.name,
        source=named.source,
        table=target.table,
        version=named.release.row.version if named.release else None,
        words=len(named.words),
        dimension=named.vectors.shape[1],
        rows=scored.rows,
        compared_words=scored.compared_words,
        gold_columns=gold.columns,
    )
