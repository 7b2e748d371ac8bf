"""Early check of `--set corpus.path=…`, before the slow imports."""

import glob
from collections.abc import Sequence

from storage.corpus.addresses import check_address, is_address
from storage.errors import CorpusError
from storage.named_paths import named_path

SETTING = "corpus.path"


def check_named_corpus(assignments: Sequence[str]) -> None:
    """Raise CorpusError if a plain path does not exist; NotAllowedError or SettingsError as a run would."""
    named = [value.strip() for name, _, value in (a.partition("=") for a in assignments) if name.strip() == SETTING]
    if named and is_address(named[-1]):
        check_address(named[-1], SETTING)
        return
    # Mappings, lists and glob patterns are checked when they are read.
    if not named or named[-1].lower() in ("", "-", "none", "null") or named[-1][0] in "[{" or glob.has_magic(named[-1]):
        return
    path = named_path(named[-1], SETTING)
    if not path.exists():
        raise CorpusError(f"no such file or folder: {path.absolute()}; fix {SETTING}")
