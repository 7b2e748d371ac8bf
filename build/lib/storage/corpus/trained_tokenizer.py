"""The model of a tokenizer trained on the corpus, next to the tokens: the JSON of Hugging Face `tokenizers`."""

from pathlib import Path

FILE = "tokenizer.json"


def write_tokenizer(folder: Path, content: str) -> None:
    """Keep a trained tokenizer in the folder of a stage."""
    (folder / FILE).write_text(content, encoding="utf-8")


def read_tokenizer(folder: Path) -> str | None:
    """The trained tokenizer of a tokens stage, None if it needed no training."""
    path = folder / FILE
    return path.read_text(encoding="utf-8") if path.is_file() else None
