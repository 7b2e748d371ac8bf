"""A look at the corpus that `--set corpus.path=…` names, before anything that takes a second to import."""

import glob
from collections.abc import Sequence

from storage.errors import CorpusError
from storage.named_paths import named_path

SETTING = "corpus.path"


def check_named_corpus(assignments: Sequence[str]) -> None:
    """Raise CorpusError if the path is plain and nothing is there; NotAllowedError or SettingsError as a run would."""
    named = [value.strip() for name, _, value in (a.partition("=") for a in assignments) if name.strip() == SETTING]
    # Mappings, lists and patterns are left to those who read them.
    if not named or named[-1].lower() in ("", "none", "null") or named[-1][0] in "[{" or glob.has_magic(named[-1]):
        return
    path = named_path(named[-1], SETTING)
    if not path.exists():
        raise CorpusError(f"there is no file or folder {path.absolute()}; correct {SETTING}")
