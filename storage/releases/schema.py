"""What a release file contains in addition to the vectors: one model per table, whose fields are the columns.

The description of a field is the comment on its column, so that `DESCRIBE` and this file never disagree. A change of
any table or macro raises FORMAT_VERSION; files of earlier versions stay readable, and one of each is kept in
tests/storage/samples.

2: the macros doesnt_match and drift.
3: intervals and counts in `evaluation`, further bounds in `gates`, the table `compared_words`.
4: the table of the vectors is named after table, version and checksum; macros without capturable names.
5: the column `weight`; macros for the vectors of words, lists of words and texts.
"""

import hashlib
import json
import platform
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from types import NoneType, UnionType
from typing import Any, Self, get_args

from pydantic import AwareDatetime, Field

from storage.models.rows import ComparedWordRow, EvaluationRow, Row

FORMAT_VERSION = 5


SQL_TYPES: dict[Any, str] = {
    int: "BIGINT",
    float: "DOUBLE",
    str: "VARCHAR",
    bool: "BOOLEAN",
    list[str]: "VARCHAR[]",
    # Without a time zone: clients need an extension to show one. The value is UTC, as the comment says.
    AwareDatetime: "TIMESTAMP",
}


class Provenance(Row):
    """The origin of a model, as its producer knows it."""

    model_digest: str = Field(pattern=r"^[0-9A-Za-z_-]{1,128}$", description="digest of the trained model's stage")
    architecture: str = Field(description="model family, such as skip_gram, or imported")
    backend: str = Field(description="the trainer that ran")
    seed: int = Field(description="seed of the training")
    corpus_digest: str = Field(description="digest of the corpus")
    config_digest: str = Field(description="digest of all settings")
    library_versions: str = Field(description="versions of the libraries that trained the model, as a JSON object")
    corpus_source: str = Field(description="where the text comes from")
    corpus_licence: str = Field(description="what is known about the rights in the text")
    reference_source: str = Field(description="where the reference vectors of the evaluation come from")
    reference_licence: str = Field(description="what is known about the rights in the reference vectors")

    @classmethod
    def of(
        cls,
        settings: Mapping[str, Any],
        packages: Sequence[str],
        *,
        model_digest: str,
        corpus_digest: str,
        corpus_source: str,
        corpus_licence: str,
        architecture: str,
        backend: str = "none",
        seed: int = 0,
        reference_source: str = "none",
        reference_licence: str = "none",
    ) -> Self:
        """The origin of a model of this process. settings: all of them, nested.  packages: to record."""
        return cls(
            model_digest=model_digest,
            architecture=architecture,
            backend=backend,
            seed=seed,
            corpus_digest=corpus_digest,
            config_digest=hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest(),
            library_versions=json.dumps(
                {"python": platform.python_version()} | {name: version(name) for name in packages}
            ),
            corpus_source=corpus_source,
            corpus_licence=corpus_licence,
            reference_source=reference_source,
            reference_licence=reference_licence,
        )


class Identity(Row):
    """Which release it is."""

    table_name: str = Field(description="name of the published table")
    version: int | None = Field(description="number of the release; NULL for a candidate that the gates refused")
    created_at: AwareDatetime = Field(description="when the file was written, UTC")


class ReleaseRow(Provenance, Identity):
    """The one row of the table `release`. Identity comes last among the bases, so that its columns come first."""

    dimension: int = Field(description="length of a word's vector")
    rows: int = Field(description="words in word_vectors")
    sha256: str = Field(
        description="sha256 over the words (UTF-8, each followed by a NUL byte), then the counts (int64, little "
        "endian), then the vectors (float32, little endian), each in rank order"
    )
    format_version: int = Field(default=FORMAT_VERSION, description="version of the layout of this file")


class TrainingRow(Row):
    """One epoch of training, in the table `training`."""

    epoch: int = Field(description="number of the epoch, from 1")
    mean_loss: float = Field(description="mean loss per positive pair")
    learning_rate: float = Field(description="step size at the end of the epoch")
    tokens: int = Field(description="encoded tokens in the epoch, before subsampling")
    seconds: float = Field(description="time for the epoch")
    words_per_second: float = Field(description="tokens over seconds")


class GateRow(Row):
    """The verdict of one gate, in the table `gates`."""

    metric: str = Field(description="name of the metric")
    value: float | None = Field(description="its value in this release")
    minimum: float | None = Field(default=None, description="lowest value that passes; NULL: no such bound")
    previous: float | None = Field(default=None, description="value in the release then current; NULL: not compared")
    max_drop: float | None = Field(default=None, description="largest drop below the current; NULL: no such bound")
    passed: bool = Field(description="whether the value is within its bounds")
    note: str = Field(default="", description="why a bound did not apply, or what failed")
    low: float | None = Field(default=None, description="lower end of the value's 95 % interval; NULL: it has none")
    high: float | None = Field(default=None, description="upper end of the value's 95 % interval; NULL: it has none")
    maximum: float | None = Field(default=None, description="largest value that passes; NULL: no such bound")
    min_factor: float | None = Field(
        default=None, description="how many times the value of random vectors it must reach; NULL: no such bound"
    )
    random: float | None = Field(default=None, description="value of random vectors; NULL: not compared with them")
    strict: bool = Field(default=False, description="whether the value itself had to pass, not the end of its interval")


class SettingRow(Row):
    """One setting of the run, in the table `settings`."""

    name: str = Field(description="dotted name, such as training.epochs")
    value: str = Field(description="the value as JSON text")


TABLES: dict[str, tuple[type[Row], str]] = {
    "release": (ReleaseRow, "What this release is and where it comes from: one row"),
    "training": (TrainingRow, "The training, epoch by epoch"),
    "evaluation": (EvaluationRow, "How the vectors score against gold sets and reference vectors"),
    "gates": (GateRow, "What the release had to reach, and whether it did"),
    "compared_words": (
        ComparedWordRow,
        "Words that agree most and least with reference vectors and the previous release",
    ),
    "settings": (SettingRow, "Every setting of the run that produced this release"),
}


def schema_statements() -> Iterator[str]:
    """The SQL that creates the tables above, with their comments."""
    for table, (model, meaning) in TABLES.items():
        columns = ", ".join(f"{name} {_sql_type(field.annotation)}" for name, field in model.model_fields.items())
        yield f"CREATE TABLE {table} ({columns})"
        yield f"COMMENT ON TABLE {table} IS {quoted(meaning)}"
        for name, field in model.model_fields.items():
            yield f"COMMENT ON COLUMN {table}.{name} IS {quoted(field.description or '')}"


def quoted(text: str) -> str:
    """A text of our own as an SQL literal, for the statements that take no bound values. Never for data."""
    return "'" + text.replace("'", "''") + "'"


def quoted_name(name: str) -> str:
    """Any name as an SQL identifier."""
    return '"' + name.replace('"', '""') + '"'


def sql_values(row: Row) -> list[Any]:
    """The values of a row in the order of its columns, ready to be bound."""
    return [
        value.astimezone(UTC).replace(tzinfo=None) if isinstance(value, datetime) else value
        for value in (getattr(row, name) for name in type(row).model_fields)
    ]


def _sql_type(annotation: Any) -> str:  # noqa: ANN401 - an annotation is any object
    options = get_args(annotation) if isinstance(annotation, UnionType) else (annotation,)
    (python_type,) = (option for option in options if option is not NoneType)
    return SQL_TYPES[python_type] + ("" if NoneType in options else " NOT NULL")
