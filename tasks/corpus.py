"""Fetch a corpus: text from a package, files or a query, copied into the workspace with one row per document."""

import logging
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

from pydantic import Field

from storage.corpus.addresses import check_address
from storage.corpus.archives import unpack_archives
from storage.corpus.documents import DOCUMENTS, DOCUMENTS_WITH_VALUES, document_batches
from storage.corpus.downloads import Download, downloaded_file
from storage.corpus.finished_batches import clear_interrupted
from storage.corpus.known_rows import finished_shards, link_known_rows, write_rows
from storage.corpus.named_corpora import named_corpus
from storage.corpus.object_stores import fetched_objects, is_object_address
from storage.corpus.packages import find_packaged_corpus
from storage.corpus.segments import rows_after
from storage.corpus.source_csv import TableForm
from storage.corpus.source_files import SourceFile, check_unchanged, described_files
from storage.corpus.source_folders import SourceFiles, find_source_files
from storage.corpus.source_forms import SourceFormat, read_pieces
from storage.corpus.source_lines import Piece
from storage.corpus.source_rows import RowOptions
from storage.corpus.source_spool import STANDARD_INPUT, remove_spooled, spooled_input, spooled_query
from storage.disk import check_free_space
from storage.errors import CorpusError
from storage.files.signatures import COMPRESSION_SUFFIXES
from storage.layout import Workspace
from storage.named_paths import check_downloads_allowed, named_path
from storage.stages import Manifest, Stage, StageFacts, complete_stage
from tasks.corpus_config import CorpusConfig
from tasks.pipeline_task import pipeline_task
from tasks.progress import counted
from tasks.tokenizing import text_size

logger = logging.getLogger(__name__)

STAGE_VERSION = 4
# Bytes on disk for each byte of English text: 0.6 for documents, 0.3 for tokens, 0.6 for token ids; and bytes of text
# for each byte of a compressed file.
DISK_PER_TEXT, TEXT_PER_COMPRESSED = 1.5, 3
# Replaces the digest of an unreadable file.
UNREADABLE = "unreadable"
SHOWN_FILES = 5
# Settings of the content that the first corpora did not have.
ADDED_SETTINGS = ("encoding", "on_missing", "group_column", "order_column", "keep_columns")


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
    """Raises CorpusError or NotAllowedError if the files of the corpus cannot be found, or its address is refused."""
    if (download := config.download) is not None:
        check_address(download.address)
    elif config.path is not None and config.path != STANDARD_INPUT:
        find_source_files(config.path)


def corpus_stage(config: CorpusConfig, workspace: Workspace) -> Stage[CorpusFacts]:
    """The stage for these settings, identified by the content of the files and not by their location.

    Reads standard input, runs queries and unpacks archives, into the workspace. Raises CorpusError for a corpus that
    has not been downloaded yet.
    """
    return _stage(config, _find_source(config, workspace))


@pipeline_task("fetch corpus")
def fetch_corpus(config: CorpusConfig, workspace: Workspace) -> Manifest[CorpusFacts]:
    """Copy the documents of the source into the workspace. Raises CorpusError if they cannot be read as text."""
    source = _find_source(config, workspace)
    if source.passed_over:
        logger.info("%s", source.passed_over)
    stage = _stage(config, source)

    def build(folder: Path) -> CorpusFacts:
        files = [(file.name, _key(stage, file)) for file in source.files]
        clear_interrupted(folder, DOCUMENTS.segment_name(stage.digest))
        known = link_known_rows(workspace, stage, folder, [key for _, key in files])
        fresh = [file for file in range(len(files)) if file not in known]
        skipped: dict[int, str] = {}
        size = sum(_text_bytes(source.files[number]) for number in fresh)
        needed = int(DISK_PER_TEXT * size)
        check_free_space(folder, needed, f"the text of {source.description}")
        logger.info("the stages that read the text need about %.2f GB on disk", needed / 1e9)
        keep = config.keep_columns
        table = DOCUMENTS_WITH_VALUES if keep else DOCUMENTS
        options = RowOptions(config.on_missing, config.group_column or "", config.order_column or "", keep, folder)
        finished = finished_shards(folder, table, stage.digest, files, known)
        if finished is not None and finished.shards:
            logger.info("resuming: %s shards are finished", f"{finished.shards:,}")
        # The source is read again: what it leaves out must be counted.
        batches = document_batches(_pieces(source, fresh, config, options, skipped), with_values=bool(keep))
        shown = counted(batches, text_size, "reading", size, "bytes")
        batches = rows_after(shown, finished.rows if finished is not None else 0)
        rows = write_rows(folder, table, stage.digest, files, known, batches, skipped, finished=finished)
        check_unchanged([file for number, file in enumerate(source.files) if number not in skipped])
        documents = sum(row.documents for row in rows)
        if not documents and skipped:
            raise CorpusError(f"cannot read {source.description}, for example: {next(iter(skipped.values()))}")
        if not documents:
            setting = "corpus.path" if config.query is None else "corpus.query"
            raise CorpusError(f"{source.description} contains no text; correct {setting} or corpus.text_column")
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
            left_out=dict(sorted(options.left_out.items())),
        )

    manifest = complete_stage(workspace, stage, build, after_kill=True)
    for file in source.files:
        remove_spooled(workspace, file)
    _report(manifest.facts)
    return manifest


def _text_bytes(file: SourceFile) -> int:
    """About how much text a file has."""
    return file.size * (TEXT_PER_COMPRESSED if Path(file.name).suffix.lower() in COMPRESSION_SUFFIXES else 1)


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
    download = config.download
    source = _listed_files(config, download, workspace)
    source = unpack_archives(source, workspace, keep_damaged=config.on_bad_file == "skip")
    named = named_corpus(config.name) if config.name is not None else None
    files = [
        replace(file, encoding=config.encoding) for file in (named.chosen(source.files) if named else source.files)
    ]
    return _Source(
        files=files,
        passed_over=str(source),
        source_format=named.source_format if named and config.format == "auto" else config.format,
        text_column=config.text_column,
        form=TableForm(config.delimiter, config.quoting),
        markup=named.markup if named else "",
        description=_description(files, download, workspace),
        licence=named.licence if named else f"not stated: {'' if download else 'your own '}files",
    )


def _description(files: Sequence[SourceFile], download: Download | None, workspace: Workspace) -> str:
    if download is not None:
        return download.shown
    if files[0].path.parent == workspace.spool:
        return files[0].name
    return f"the file {files[0].name}" + (f" and {len(files) - 1:,} more files" if len(files) > 1 else "")


def _listed_files(config: CorpusConfig, download: Download | None, workspace: Workspace) -> SourceFiles:
    if config.query is not None:
        database = None if config.path is None else named_path(config.path, "corpus.path").absolute()
        return SourceFiles([spooled_query(workspace, config.query, database, config.text_column)])
    if config.path == STANDARD_INPUT:
        return SourceFiles([spooled_input(workspace)])
    if download is None:
        return find_source_files(str(config.path))
    check_address(download.address)
    check_downloads_allowed(workspace.root)
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
        }
        # Only where set, so that older corpora keep their digests.
        | {name: value for name in ADDED_SETTINGS if (value := getattr(config, name)) != _default(name)},
        inputs={file.name: _digest(file, config) for file in source.files},
        facts=CorpusFacts,
    )


def _default(name: str) -> object:
    return CorpusConfig.model_fields[name].get_default(call_default_factory=True)


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
    markup = source.markup.encode()
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
            yield (number, piece._replace(text=piece.text.replace(markup, b" ")) if markup else piece)


def _read(source: _Source, number: int, config: CorpusConfig, options: RowOptions) -> Iterator[Piece]:
    file = source.files[number]
    return read_pieces(file, source.source_format, source.text_column, config.errors, source.form, options)
