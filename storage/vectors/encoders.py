"""Find text encoders: folders of transformers or sentence-transformers, on disk or in an installed package.

A spec selects an encoder: `package:NAME` for an installed package, else the path of a folder. Nothing is downloaded,
and the package is never imported.
"""

import hashlib
import json
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from storage.disk import sha256_of
from storage.errors import EncoderError
from storage.named_paths import check_allowed, named_path
from storage.vectors.packages import NOT_STATED

PACKAGE = "package:"
CONFIG, MODULES = "config.json", "modules.json"
# Any of these holds a tokenizer.
TOKENIZERS = (
    "tokenizer.json", "vocab.txt", "vocab.json", "sentencepiece.bpe.model", "spiece.model", "tokenizer.model",
)  # fmt: skip
WEIGHTS = ".safetensors"
# Files that can change what the encoder answers.
READ_SUFFIXES = {".json", ".txt", ".model", WEIGHTS}


@dataclass(frozen=True)
class Encoder:
    """An encoder that was located and not loaded. digest: hex sha256 that changes with its files."""

    name: str
    folder: Path
    source: str
    licence: str
    digest: str


def find_encoder(spec: str, setting: str = "training.encoder") -> Encoder:
    """Locate the encoder of a spec and check that its files are complete.

    Raises EncoderError, which names the folder and the remedy, and NotAllowedError for a folder that is not allowed.
    """
    if spec.startswith(PACKAGE):
        return _in_package(spec.removeprefix(PACKAGE), setting)
    folder = named_path(spec, setting)
    if not folder.is_dir():
        what = "is a file" if folder.exists() else "does not exist"
        raise EncoderError(
            f"{setting}: the folder {folder} {what}; set package:NAME of an installed package, or the folder of a "
            "transformers or sentence-transformers model"
        )
    files = _checked_files(folder, setting)
    check_allowed(files, setting)
    return Encoder(folder.resolve().name, folder, f"folder {folder.absolute()}", NOT_STATED, _digest(folder, files))


def _in_package(name: str, setting: str) -> Encoder:
    try:
        package = distribution(name)
    except (PackageNotFoundError, ValueError) as error:
        raise EncoderError(f"{setting}: the package {name!r} is not installed: pip install {name}") from error
    configs = [Path(str(file.locate())) for file in package.files or [] if file.name in (MODULES, CONFIG)]
    folders = sorted({path.parent for path in configs}, key=lambda folder: (len(folder.parts), str(folder)))
    if not folders:
        raise EncoderError(
            f"{setting}: the package {package.name} contains no encoder: it has no {CONFIG}; choose another package"
        )
    files = _checked_files(folders[0], setting)
    metadata = package.metadata
    licence = next((metadata[key] for key in ("License-Expression", "License") if key in metadata), NOT_STATED)
    source = f"package {package.name} {package.version}"
    return Encoder(package.name, folders[0], source, licence, _digest(folders[0], files))


def _checked_files(folder: Path, setting: str) -> list[Path]:
    """The files that an encoder consists of. Raises EncoderError if one is missing or no JSON."""
    files = sorted(path for path in folder.rglob("*") if path.suffix in READ_SUFFIXES and path.is_file())
    names = {path.name for path in files}
    if CONFIG not in names:
        raise EncoderError(
            f"{setting}: {folder} is not an encoder: it has no {CONFIG}; set the folder that save_pretrained of "
            "transformers or save of sentence-transformers has written"
        )
    if not any(path.suffix == WEIGHTS for path in files):
        raise EncoderError(
            f"{setting}: {folder} has no weights: no *{WEIGHTS} file; download it completely, or save the model again "
            "with safe_serialization=True"
        )
    if not names & set(TOKENIZERS):
        raise EncoderError(
            f"{setting}: {folder} has no tokenizer: none of {', '.join(TOKENIZERS)}; copy the tokenizer's files into "
            "it, or save the tokenizer there with save_pretrained"
        )
    for path in files:
        if path.name in (CONFIG, MODULES):
            _check_json(path, setting)
    return files


def _check_json(path: Path, setting: str) -> None:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise EncoderError(f"{setting}: {path} cannot be read as JSON ({error}); copy the encoder again") from error
    if not isinstance(content, dict if path.name == CONFIG else list):
        raise EncoderError(f"{setting}: {path} does not describe an encoder; copy the encoder again")


def _digest(folder: Path, files: list[Path]) -> str:
    entries = [f"{path.relative_to(folder).as_posix()} {sha256_of(path)}\n" for path in files]
    return hashlib.sha256("".join(entries).encode()).hexdigest()
