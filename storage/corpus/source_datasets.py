"""Folders that Hugging Face `datasets` wrote with `save_to_disk`: which of their files contain the rows.

A dataset's folder has `data-00000-of-00002.arrow` and so on, `dataset_info.json` and `state.json`, which lists the data
files. A DatasetDict has such a folder per split, and `dataset_dict.json`. Only pyarrow is needed to read them.
"""

import json
from collections.abc import Iterable
from pathlib import Path

from storage.errors import CorpusError

STATE, INFO, SPLITS = "state.json", "dataset_info.json", "dataset_dict.json"
DATA_FILES, INDEX_FILES = "_data_files", ("_indices_data_files", "_indices_files")
NOT_ROWS = "metadata or leftovers in a saved dataset"


def not_rows(paths: Iterable[Path]) -> set[Path]:
    """The files of saved datasets that contain none of their rows: metadata, caches, and data of an earlier save.

    Raises CorpusError if a data file is missing, or the rows are selected by an index.
    """
    found = set(paths)
    others = {path for path in found if path.name == SPLITS}
    for state in (path for path in found if path.name == STATE and path.with_name(INFO) in found):
        named = _data_files(state)
        missing = [path for path in named if path not in found]
        if missing:
            raise CorpusError(f"{state.parent} is a saved dataset without its file {missing[0].name}; copy it again")
        others |= {path for path in found if path.parent == state.parent and path not in named}
    return others


def _data_files(state: Path) -> list[Path]:
    try:
        content = json.loads(state.read_bytes())
        named = [state.with_name(str(entry["filename"])) for entry in content[DATA_FILES]]
        indexed = any(content.get(name) for name in INDEX_FILES)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise CorpusError(
            f"{state} does not list the files of a saved dataset; save it again with save_to_disk"
        ) from error
    if indexed:
        raise CorpusError(f"{state.parent} selects rows by an index; call flatten_indices() and save it again")
    return named
