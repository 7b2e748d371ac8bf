"""Errors that a user can cause. Each message states the problem, the location and the remedy.

VecmillError
├── SettingsError           an unknown deployment or setting, or a value out of range
│   └── NotAllowedError     a setting that names a file outside VECMILL_ALLOWED_ROOTS
├── WorkspaceError          the workspace is not writable, is full, or contains a damaged file
├── CorpusError             text that is missing, empty, truncated or not in the declared format
├── VocabularyError         too few words left to train on
├── GoldSetError            an unreadable gold set, or one without usable rows
├── ReferenceVectorsError   reference vectors that cannot be loaded or compared
├── VectorFileError         word vectors that cannot be imported, or that an export format cannot represent
├── EncoderError            a text encoder that is missing, incomplete or damaged
├── TableBusyError          another run is building the same table, and publication.when_busy=refuse
├── ReleaseError            a missing or damaged table or release, or an unexpected file under its name
├── UnknownWordError        a word that a table does not have; also a KeyError
├── MirrorError             a mirror of releases that cannot be read or written
├── QueryError              invalid SQL, or SQL that would change a published table
├── ServerError             a Prefect server that is unreachable or rejects a request
├── NotificationError       a notification that cannot be delivered
├── ComputeError            a Dask cluster that is unreachable, has no workers or other versions, or is lost
├── TrainingError           the trainer cannot run, or training diverged
└── GateRefusedError        the release failed its gates and is kept as a candidate
"""

from collections.abc import Iterator
from contextlib import contextmanager

from storage.redaction import without_credentials


class VecmillError(Exception):
    """Base class, with a message for the user; credentials in URLs are removed from it."""

    def __init__(self, message: str = "") -> None:
        super().__init__(without_credentials(message))


@contextmanager
def errors_without_credentials() -> Iterator[None]:
    """Raise VecmillError in place of any error of a library whose text repeats a URL with its credentials.

    Prefect stores the text of an exception in the state of its task and flow run, and shows it to everybody.
    """
    try:
        yield
    except Exception as error:
        text = f"{type(error).__name__}: {error}"
        if without_credentials(text) == text:
            raise
    else:
        return
    # Outside the handler: the new error has no __context__ that a traceback would print.
    raise VecmillError(text)


class SettingsError(VecmillError):
    """A deployment or setting is unknown, or a value is out of range."""


class NotAllowedError(SettingsError):
    """A setting names a file outside the folders listed in VECMILL_ALLOWED_ROOTS."""


class WorkspaceError(VecmillError):
    """The workspace is not writable, is full, or contains a damaged file."""


class CorpusError(VecmillError):
    """The text is missing, empty, truncated, or not in the declared format."""


class VocabularyError(VecmillError):
    """Too few words are left to train on."""


class GoldSetError(VecmillError):
    """A gold set cannot be read or has no usable rows."""


class ReferenceVectorsError(VecmillError):
    """Reference vectors cannot be loaded, contain NaN or zero rows, or share no words with the model."""


class DownloadError(ReferenceVectorsError):
    """Vectors could not be downloaded; a retry may succeed."""


class VectorFileError(VecmillError):
    """A word vector file cannot be read or written, or its format cannot represent some words."""


class EncoderError(VecmillError):
    """A text encoder is missing, incomplete or damaged, or what runs it is not installed."""


class TableBusyError(VecmillError):
    """Another run is building the same table, and this one is configured not to wait."""


class ReleaseError(VecmillError):
    """A table or release is missing or damaged, or an unexpected file has its name."""


class UnknownWordError(VecmillError, KeyError):
    """A table does not have a word. It is a KeyError too, as in gensim."""

    # KeyError would print the message in quotation marks.
    __str__ = Exception.__str__


class MirrorError(VecmillError):
    """A mirror of releases cannot be read or written, or belongs to another workspace."""


class QueryError(VecmillError):
    """The SQL is invalid, or would change a published table or access anything else."""


class ServerError(VecmillError):
    """A Prefect server is unreachable or rejects a request."""


class NotificationError(VecmillError):
    """A notification cannot be delivered to the configured address."""


class ComputeError(VecmillError):
    """A Dask cluster cannot be reached, has no workers, has workers with other versions, or was lost during a run."""


class TrainingError(VecmillError):
    """The trainer cannot run with these settings on this machine, or training diverged."""


class GateRefusedError(VecmillError):
    """The release failed its gates and is kept as a candidate.

    result: what the run produced anyway, for display.
    """

    def __init__(self, message: str, result: object = None) -> None:
        super().__init__(message)
        self.result = result
