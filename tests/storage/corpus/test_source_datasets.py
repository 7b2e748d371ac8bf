"""Folders of `save_to_disk` are read like Arrow files; everything else in them is left out."""

import json
from pathlib import Path

import pyarrow as pa
import pytest

from storage.corpus.source_folders import find_source_files
from storage.corpus.source_forms import read_pieces
from storage.errors import CorpusError


def save(folder: Path, shards: list[list[str]], **state: object) -> Path:
    """As datasets 5.2 does: Arrow streams, and two JSON files."""
    folder.mkdir(parents=True)
    names = [f"data-{number:05d}-of-{len(shards):05d}.arrow" for number in range(len(shards))]
    for name, texts in zip(names, shards, strict=True):
        table = pa.table({"text": texts, "label": [0] * len(texts)})
        with pa.OSFile(str(folder / name), "wb") as sink, pa.ipc.new_stream(sink, table.schema) as writer:
            writer.write_table(table, max_chunksize=1)
    info = {"citation": "", "features": {"text": {"dtype": "string", "_type": "Value"}}}
    (folder / "dataset_info.json").write_text(json.dumps(info, indent=2))
    files = {"_data_files": [{"filename": name} for name in names], "_fingerprint": "0", "_split": None}
    (folder / "state.json").write_text(json.dumps(files | state, indent=2))
    return folder


def read(path: Path) -> list[str]:
    files = find_source_files(str(path)).files
    return [piece.text.decode() for file in files for piece in read_pieces(file, "auto", "text", "strict")]


def test_the_shards_of_a_dataset_are_read_in_order(tmp_path: Path) -> None:
    folder = save(tmp_path / "saved", [["one", "two"], ["three"]])
    assert read(folder) == ["one", "two", "three"]
    # Of an earlier save, and of `map`.
    for name in ("data-00000-of-00001.arrow", "cache-0123.arrow"):
        (folder / name).write_bytes((folder / "data-00000-of-00002.arrow").read_bytes())
    assert read(folder) == ["one", "two", "three"]
    assert "4 as metadata or leftovers in a saved dataset" in str(find_source_files(str(folder)))


def test_a_dataset_dict_is_read_with_all_splits_or_one(tmp_path: Path) -> None:
    save(tmp_path / "saved" / "train", [["one"]])
    save(tmp_path / "saved" / "test", [["two"]])
    (tmp_path / "saved" / "dataset_dict.json").write_text('{"splits": ["train", "test"]}')
    assert sorted(read(tmp_path / "saved")) == ["one", "two"]
    assert read(tmp_path / "saved" / "train") == ["one"]


def test_a_saved_dataset_that_is_incomplete_is_an_error(tmp_path: Path) -> None:
    folder = save(tmp_path / "saved", [["one"], ["two"]])
    (folder / "data-00001-of-00002.arrow").unlink()
    with pytest.raises(CorpusError, match=r"without its file data-00001-of-00002\.arrow; copy it again"):
        read(folder)
    with pytest.raises(CorpusError, match=r"selects rows by an index; call flatten_indices\(\)"):
        read(save(tmp_path / "old", [["one"]], _indices_data_files=[{"filename": "indices.arrow"}]))
    (folder / "state.json").write_text("{}")
    with pytest.raises(CorpusError, match="does not list the files of a saved dataset"):
        read(folder)
