"""The tokenizer of a corpus or a release, for words of gold sets, queries and new texts."""

from pathlib import Path
from typing import TYPE_CHECKING

from storage.corpus.trained_tokenizer import read_tokenizer
from storage.layout import Workspace
from storage.releases.reader import read_trained_tokenizer
from storage.stages import Manifest, StageFacts, read_manifest
from tasks.released_settings import release_section
from tasks.text.options import TokenizerConfig
from tasks.text.reading import TextReader
from tasks.tokenizing import extras_required

if TYPE_CHECKING:
    from tasks.vocabulary import VocabularyFacts


def corpus_reader(vocabulary: "Manifest[VocabularyFacts]", workspace: Workspace) -> TextReader | None:
    """Reads words as the corpus of this vocabulary was read; None if its words are plain."""
    if "tokens" not in vocabulary.inputs:
        return None
    folder = workspace.stage_folder("tokens", vocabulary.inputs["tokens"])
    tokens = read_manifest(folder, StageFacts)
    return word_reader(TokenizerConfig.model_validate(tokens.config), read_tokenizer(folder)) if tokens else None


def release_reader(path: Path) -> TextReader:
    """Reads text as the corpus of a release file was read. Raises SettingsError for a missing extra."""
    settings = release_section(path, "tokenizer")
    with extras_required():
        return TextReader(TokenizerConfig.model_validate(settings), read_trained_tokenizer(path))


def word_reader(config: TokenizerConfig, pieces: str | None) -> TextReader | None:
    """Reads words of gold sets; None if the tokenizer leaves words whole."""
    with extras_required():
        return TextReader(config, pieces) if config.cuts_gold_words else None


def release_word_reader(path: Path) -> TextReader | None:
    """Like `release_reader`; None if the tokenizer leaves words whole."""
    settings = release_section(path, "tokenizer")
    return word_reader(TokenizerConfig.model_validate(settings), read_trained_tokenizer(path))
