"""The errors a user can cause. Each message says what was found, where, and what to do about it.

VecmillError
├── SettingsError           a deployment or a setting that does not exist, or a value out of its range
│   └── NotAllowedError     a setting that names a file outside the folders of VECMILL_ALLOWED_ROOTS
├── WorkspaceError          the workspace cannot be written, is full, or holds a damaged file
├── CorpusError             text that is missing, empty, cut off or not in the form that was named
├── VocabularyError         too few words are left to train on
├── GoldSetError            a gold set that cannot be read or has no usable row
├── ReferenceVectorsError   reference vectors that cannot be read or compared
├── VectorFileError         word vectors that cannot be imported, or that an export format cannot hold
├── TableBusyError          another run of the same table is at work, and this one was told not to wait
├── ReleaseError            a table or release that is missing, damaged or in the way
├── QueryError              SQL that is wrong, or would change a published table
├── ServerError             a Prefect server that is not there, or does not do what was asked
├── NotificationError       a notification cannot be delivered to the address that was given
├── TrainingError           the trainer cannot run, or the vectors diverged
└── GateRefusedError        the release did not pass its gates; it is kept as a candidate
"""

from storage.redaction import without_credentials


class VecmillError(Exception):
    """Anything vecmill refuses to do, with a message meant for the user; it shows no credentials of addresses."""

    def __init__(self, message: str = "") -> None:
        super().__init__(without_credentials(message))


class SettingsError(VecmillError):
    """A deployment or setting does not exist, or a value is out of its range."""


class NotAllowedError(SettingsError):
    """A setting names a file outside the folders that VECMILL_ALLOWED_ROOTS lists."""


class WorkspaceError(VecmillError):
    """The workspace cannot be written, is full, or holds a damaged file."""


class CorpusError(VecmillError):
    """The text is missing, empty, cut off, or not in the form that was named."""


class VocabularyError(VecmillError):
    """Too few words are left to train on."""


class GoldSetError(VecmillError):
    """A gold set cannot be read or has no usable row."""


class ReferenceVectorsError(VecmillError):
    """Reference vectors cannot be read, hold NaN or zero rows, or share no word with the model."""


class DownloadError(ReferenceVectorsError):
    """Vectors could not be fetched; another try may do better."""


class VectorFileError(VecmillError):
    """A file of word vectors cannot be read or written, or its format cannot hold some of the words."""


class TableBusyError(VecmillError):
    """Another run of the same table is at work, and this one was told not to wait for it."""


class ReleaseError(VecmillError):
    """A table or release is missing, damaged or in the way."""


class QueryError(VecmillError):
    """The SQL is wrong, or would change a published table or reach beyond it."""


class ServerError(VecmillError):
    """A Prefect server is not there, or does not do what was asked of it."""


class NotificationError(VecmillError):
    """A notification cannot be delivered to the address that was given."""


class TrainingError(VecmillError):
    """The trainer cannot run with these settings on this machine, or the vectors diverged."""


class GateRefusedError(VecmillError):
    """The release did not pass its gates; it is kept as a candidate.

    result: what the run made all the same, for whoever shows it.
    """

    def __init__(self, message: str, result: object = None) -> None:
        super().__init__(message)
        self.result = result
