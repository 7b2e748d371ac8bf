"""Publish word vectors from another program as a release: a file of them, or an installed package."""

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from storage.errors import GateRefusedError, SettingsError, VectorFileError
from storage.files.large_arrays import RowBuffer, row_blocks
from storage.layout import Workspace, checked_table_name
from storage.releases.file import ReleaseContent, content_sha256
from storage.releases.ngrams import NgramContent
from storage.releases.publishing import current_release, keep_candidate, kept_releases, publish_release
from storage.releases.records import Release
from storage.releases.schema import Provenance
from storage.vectors.binary import LARGEST_DIMENSION
from storage.vectors.faults import RowFault, row_faults
from storage.vectors.files import find_vectors, read_vectors
from storage.vectors.format_names import VectorFormat
from storage.vectors.formats import WordVectors, sha256_of_files
from storage.vectors.packages import NOT_STATED, find_vector_package, read_vector_package

logger = logging.getLogger(__name__)

ARCHITECTURE = "imported"
RECORDED_PACKAGES = ("vecmill", "numpy", "pyarrow", "duckdb")
PACKAGE = "package"


Judge = Callable[[ReleaseContent, Release | None], ReleaseContent]


@dataclass(frozen=True)
class FoundVectors:
    """Vectors that were read, and what is known of them. form: a VectorFormat, or `package`."""

    vectors: WordVectors
    source: str
    form: str
    sha256: str
    licence: str


@dataclass(frozen=True)
class VectorImport:
    """The outcome of an import.  published: False if the current release has the same content."""

    table: str
    version: int
    published: bool
    words: int
    dimension: int
    left_out: int
    source: str
    format: str
    licence: str


def import_vectors(
    workspace: Workspace,
    table: str,
    source: str,
    *,
    form: VectorFormat | None = None,
    words: Path | None = None,
    licence: str | None = None,
    skip_bad_rows: bool = False,
    limit: int | None = None,
    yes: bool = False,
    judge: Judge | None = None,
) -> VectorImport:
    """Publish the vectors of a file, folder or package as the next version of a table; their order is the rank.

    form, words: as in `find_vectors`.  licence: a note on the rights in them, else what the package states.
    skip_bad_rows: skip rows that no table can hold, instead of refusing the file.
    limit: publish only the first N rows of the source.
    yes: replace releases that were trained or judged by gates.
    judge: adds scores and verdicts to the vectors; if a gate refuses them, they are kept as a candidate.
    Raises VectorFileError if the vectors are unreadable or unusable, SettingsError without `yes` if a trained or
    gated release would be replaced, GateRefusedError if a gate refuses them, and what `publish_release` raises.
    """
    checked_table_name(table)
    release = current_release(workspace, table)
    if not yes:
        _check_replaceable(workspace, table, release)
    found = find_source(source, form, words, licence)
    rows_in_source = len(found.vectors.words)
    if limit is not None:
        found = replace(found, vectors=_first_rows(found.vectors, limit))
    usable, faults = _usable_rows(found, skip_bad_rows)
    settings: dict[str, dict[str, object]] = {
        "import": {
            "source": found.source,
            "format": found.form,
            "sha256": found.sha256,
            "licence": found.licence,
            "rows_in_source": rows_in_source,
            "rows_left_out": len(faults),
            **({} if limit is None else {"limit": limit}),
        }
    }
    ngrams = None
    if (read := found.vectors.ngrams) is not None:
        ngrams = NgramContent(read.minimum, read.maximum, read.vectors)
        settings["training"] = {
            "model": "fasttext",
            "minimum_ngram": read.minimum,
            "maximum_ngram": read.maximum,
            "buckets": len(read.vectors),
        }
    content = ReleaseContent(
        words=usable.words,
        counts=usable.counts,
        vectors=usable.vectors,
        provenance=Provenance.of(
            settings,
            RECORDED_PACKAGES,
            model_digest=found.sha256,
            architecture=ARCHITECTURE,
            corpus_digest=found.sha256,
            corpus_source=f"vectors imported from {found.source} ({found.form}, sha256 {found.sha256})",
            corpus_licence=found.licence,
        ),
        settings=settings,
        ngrams=ngrams,
    )
    is_new = (
        release is None or release.row.sha256 != content_sha256(content) or release.row.corpus_licence != found.licence
    )
    if release is None or is_new:
        content = judge(content, release) if judge else content
        refusals = [gate.note for gate in content.gates if not gate.passed]
        if refusals:
            keep_candidate(workspace, table, content)
            raise GateRefusedError(f"refused, kept as a candidate of {table}: {'; '.join(refusals)}")
        release = publish_release(workspace, table, content)
    rows, dimension = usable.vectors.shape
    return VectorImport(
        table, release.version, is_new, rows, dimension, len(faults), found.source, found.form, found.licence
    )


def _first_rows(read: WordVectors, limit: int) -> WordVectors:
    return WordVectors(read.words[:limit], read.vectors[:limit], read.counts[:limit])


def _check_replaceable(workspace: Workspace, table: str, current: Release | None) -> None:
    """Raise SettingsError, which names what would be replaced, if a kept release was trained or judged by gates."""
    kept = [release for release in kept_releases(workspace, table) if _is_trained_or_gated(release)]
    if current is None or not (kept or _is_trained_or_gated(current)):
        return
    row = current.row
    what = f"version {current.version}: {row.rows:,} words x {row.dimension}, {row.architecture}"
    what += "" if row.architecture == ARCHITECTURE else f" trained with {row.backend}"
    gates = ", ".join(gate.metric for gate in current.gates)
    what += f", judged by {gates}" if gates else ""
    others = [str(release.version) for release in kept if release.version != current.version]
    more = f"; versions {', '.join(others)} were trained or judged by gates" if others else ""
    raise SettingsError(
        f"{table} has releases that were trained or judged by gates. The import would replace {what}{more}. "
        "Add --yes to replace it, or name another --table"
    )


def _is_trained_or_gated(release: Release) -> bool:
    return release.row.architecture != ARCHITECTURE or bool(release.gates)


def find_source(
    source: str, form: VectorFormat | None = None, words: Path | None = None, licence: str | None = None
) -> FoundVectors:
    """The vectors at a path, else those of the installed package of that name.

    Arguments as in `import_vectors`. Raises VectorFileError if there are none or they are unreadable.
    """
    path = Path(source).expanduser()
    name = source.removeprefix(f"{PACKAGE}:")
    if not path.exists() and (name != source or _is_installed(name)):
        if form or words:
            raise VectorFileError(f"{name} is a package; omit --format and --words")
        package = find_vector_package(name)
        sha256 = sha256_of_files((package.table, package.index))
        vectors = read_vector_package(package)
        return FoundVectors(vectors, package.source, PACKAGE, sha256, licence or package.licence)
    if not path.exists():
        raise VectorFileError(f"no such file: {path}, and no package of that name is installed")
    located = find_vectors(path, form, words)
    vectors = read_vectors(located)
    sha256 = sha256_of_files(located.files)
    return FoundVectors(vectors, f"file {path.absolute()}", located.format, sha256, licence or NOT_STATED)


def _is_installed(name: str) -> bool:
    try:
        distribution(name)
    except (PackageNotFoundError, ValueError):
        return False
    return True


def _usable_rows(found: FoundVectors, skip_bad_rows: bool) -> tuple[WordVectors, list[RowFault]]:
    """The rows that a table can hold, and the others. Raises VectorFileError if these may not be skipped."""
    read = found.vectors
    if read.vectors.shape[1] > LARGEST_DIMENSION:
        raise VectorFileError(
            f"{found.source} has vectors of {read.vectors.shape[1]:,} numbers; "
            f"a table holds up to {LARGEST_DIMENSION:,}"
        )
    faults = row_faults(read)
    if faults:
        first = faults[0]
        said = f"{found.source}: {read.location(first.row)}, the word {read.words[first.row][:80]!r}: {first.reason}"
        if not skip_bad_rows:
            more = f", and {len(faults) - 1:,} more rows cannot be used" if len(faults) > 1 else ""
            raise VectorFileError(f"{said}{more}; remove such rows, or skip them with --skip-bad-rows")
        if len(faults) == len(read.words):
            raise VectorFileError(f"{said}, and so no row of {len(faults):,} can be used")
        rows = f"{len(faults):,} row{'' if len(faults) == 1 else 's'}"
        logger.warning("skipped %s that cannot be used; the first: %s", rows, said)
        kept = np.ones(len(read.words), dtype=np.bool_)
        kept[[fault.row for fault in faults]] = False
        words = [word for word, keep in zip(read.words, kept, strict=True) if keep]
        read = WordVectors(words, _kept_rows(read.vectors, kept), read.counts[kept])
    rising = np.flatnonzero(np.diff(read.counts) > 0)
    if len(rising):
        raise VectorFileError(
            f"{found.source}: the count of {read.words[rising[0] + 1][:80]!r} is higher than that of the word before "
            "it; sort the rows, the most frequent word first"
        )
    return read, faults


def _kept_rows(vectors: NDArray[np.float32], kept: NDArray[np.bool_]) -> NDArray[np.float32]:
    rows = RowBuffer(vectors.shape[1])
    for start, block in row_blocks(vectors):
        rows.append(block[kept[start : start + len(block)]])
    return rows.finish()
