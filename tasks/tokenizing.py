"""Tokenize with the options of tasks/text/options.py: choose documents, split, join phrases, split into pieces.

The tokenizers of languages are slow, so they run on all cores or workers and keep each finished batch.
"""

import logging
import time
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from storage.corpus.documents import read_documents
from storage.corpus.finished_batches import FinishedBatches
from storage.corpus.segments import Batch
from storage.corpus.tokens import TOKENS, dictionary_encoded
from storage.corpus.trained_tokenizer import write_tokenizer
from storage.errors import SettingsError
from tasks.documents import Dropped, prepared_documents
from tasks.engine import Engine
from tasks.progress import progress_listener
from tasks.text.cleaning import drop_tokens, stop_words
from tasks.text.languages import MissingExtraError, import_extra, is_language, required_modules
from tasks.text.options import PIECES, TokenizerConfig
from tasks.text.phrases import PairCounts, Phrases, choose_phrases, count_pairs, join_all
from tasks.text.pieces import train_pieces
from tasks.text.reading import TextReader, read_words, unsegmented_warning
from tasks.text.vocabulary import WordCounts, add_counts, count_words

logger = logging.getLogger(__name__)

# Text that a process cuts at once, and text that the speed is measured on before the start.
SLICE_BYTES = 1 << 18
SAMPLE_CHARACTERS = 20_000
# Text that is searched for scripts without spaces: this many characters of this many texts.
SCRIPT_SAMPLE_CHARACTERS, SCRIPT_SAMPLE_TEXTS = 5_000, 100


@contextmanager
def extras_required() -> Iterator[None]:
    """Turn a missing extra or an unknown stop word list into SettingsError."""
    try:
        yield
    except (MissingExtraError, ValueError) as error:
        raise SettingsError(str(error)) from error


def check_tokenizer(config: TokenizerConfig) -> None:
    """Raise SettingsError, before anything slow starts, if a package that the settings need is not installed."""
    with extras_required():
        for module, extra, setting in required_modules(config):
            import_extra(module, extra, setting)
        stop_words(config)


def tokenizer_packages(config: TokenizerConfig) -> list[str]:
    """Packages that the settings need and whose versions can change the tokens."""
    return [module for module, _, _ in required_modules(config)]


def warn_of_unsegmented_text(folder: Path, files: Collection[int], config: TokenizerConfig) -> None:
    """Log a warning if a word tokenizer is to read a script without spaces; the first batch is the sample."""
    for batch in islice(read_documents(folder, files), 1):
        texts = pc.utf8_slice_codeunits(batch.columns[2][:SCRIPT_SAMPLE_TEXTS], 0, SCRIPT_SAMPLE_CHARACTERS)
        if warning := unsegmented_warning(texts, config):
            logger.warning("%s", warning)


def token_batches(
    folder: Path,
    files: Collection[int],
    config: TokenizerConfig,
    stage_folder: Path,
    dropped: Dropped,
    text_bytes: int,
    engine: Engine,
) -> Iterator[Batch]:
    """The tokens of these files, in order. A trained tokenizer is written into `stage_folder`.

    text_bytes: size of the files' text, for the estimate and the progress.  Raises SettingsError for a missing extra.
    """
    documents = prepared_documents(folder, files, config, dropped)
    with extras_required():
        reader = TextReader(config)
    if not config.keeps_batches:
        for batch, tokens in engine.map(_tokens_of, _with_third_column(documents), reader):
            yield with_tokens(batch, tokens)
        return
    kept = FinishedBatches(stage_folder, TOKENS, [sorted(files)])
    _keep_words(documents, config, kept, text_bytes, engine)
    phrases: list[Phrases] = []
    for _ in range(config.phrases):
        phrases.append(_next_phrases(kept, phrases, config, engine))
        logger.info("%s phrases", f"{len(phrases[-1]):,}")
    if config.name in PIECES:
        counted = engine.map(_counted, _with_third_column(kept), phrases, config, stop_words(config))
        content = train_pieces(add_counts(part for _, part in counted), config)
        write_tokenizer(stage_folder, content)
        reader = TextReader(config, content)
    for batch, tokens in engine.map(_finished, _with_third_column(kept), phrases, reader):
        yield with_tokens(batch, tokens)
    kept.remove()


def _next_phrases(kept: FinishedBatches, phrases: list[Phrases], config: TokenizerConfig, engine: Engine) -> Phrases:
    """The phrases of one more pass, over words that the earlier passes have joined."""
    counted = add_counts(part for _, part in engine.map(_counted, _with_third_column(kept), phrases, config))
    pairs = engine.map(_pairs, _with_third_column(kept), phrases, config, counted.words)
    return choose_phrases(counted, (part for _, part in pairs), config)


# What follows up to `_keep_words` may run on another machine.
def _tokens_of(texts: pa.Array, reader: TextReader) -> pa.Array:
    return dictionary_encoded(reader.tokens(texts))


def _counted(
    words: pa.Array, phrases: list[Phrases], config: TokenizerConfig, unwanted: Collection[str] = ()
) -> WordCounts:
    return count_words([drop_tokens(join_all(words, phrases, config.phrase_delimiter), frozenset(unwanted))])


def _pairs(words: pa.Array, phrases: list[Phrases], config: TokenizerConfig, known: pa.Array) -> PairCounts:
    return count_pairs(join_all(words, phrases, config.phrase_delimiter), known)


def _finished(words: pa.Array, phrases: list[Phrases], reader: TextReader) -> pa.Array:
    return dictionary_encoded(reader.finish(join_all(words, phrases, reader.config.phrase_delimiter)))


def _keep_words(
    documents: Iterable[Batch], config: TokenizerConfig, kept: FinishedBatches, text_bytes: int, engine: Engine
) -> None:
    """Cut all documents into words; batches that an interrupted run has finished are not cut again."""
    missing: list[int] = []

    def unfinished() -> Iterator[Batch]:
        for number, batch in enumerate(documents):
            if number in kept:
                progress.advanced(text_size(batch))
            else:
                missing.append(number)
                yield batch

    if done := len(kept):
        logger.info("resuming: %s batches are finished", f"{done:,}")
    progress = progress_listener()
    progress.started(f"split into words ({config.words})", text_bytes, "bytes")
    try:
        if is_language(config.words):
            documents = _after_estimate(documents, config, text_bytes, engine)
        for batch, words in _cut(unfinished(), config, engine):
            kept.write(missing.pop(0), with_tokens(batch, words))
            progress.advanced(text_size(batch))
    finally:
        progress.finished()


def _after_estimate(
    documents: Iterable[Batch], config: TokenizerConfig, text_bytes: int, engine: Engine
) -> Iterator[Batch]:
    """The documents, after the expected time was measured on a sample and logged."""
    batches = iter(documents)
    for batch in islice(batches, 1):
        sample = pc.utf8_slice_codeunits(batch.columns[2], 0, SAMPLE_CHARACTERS)[:100]
        read_words(sample[:1], config)
        started = time.perf_counter()
        read_words(sample, config)
        speed = pc.sum(pc.binary_length(sample)).as_py() / (time.perf_counter() - started)
        cores = engine.slots
        logger.info(
            "%s: %.1f MB of text at %.2f MB/s on each of %d cores takes about %.0f s",
            config.words, text_bytes / 1e6, speed / 1e6, cores, text_bytes / speed / cores,
        )  # fmt: skip
        yield batch
    yield from batches


def _cut(documents: Iterable[Batch], config: TokenizerConfig, engine: Engine) -> Iterator[tuple[Batch, pa.Array]]:
    """Each batch with its words. Languages are cut in slices, which all cores or workers share evenly."""
    if not is_language(config.words):
        yield from engine.map(read_words, _with_third_column(documents), config)
        return
    slices = (((batch, is_last), texts) for batch in documents for is_last, texts in _slices(batch.columns[2]))
    words: list[pa.Array] = []
    for (batch, is_last), part in engine.map(read_words, slices, config, holds_lock=True):
        words.append(part)
        if is_last:
            yield batch, pa.concat_arrays(words)
            words = []


def _slices(texts: pa.Array) -> Iterator[tuple[bool, pa.Array]]:
    """Texts in groups of about SLICE_BYTES, each with whether it is the last one."""
    start = size = 0
    for end, length in enumerate(pc.binary_length(texts).to_pylist(), 1):
        size += length
        if size >= SLICE_BYTES or end == len(texts):
            # A pickled slice would carry the whole array.
            yield end == len(texts), pa.concat_arrays([texts[start:end]])
            start, size = end, 0


def _with_third_column(batches: Iterable[Batch]) -> Iterator[tuple[Batch, pa.Array]]:
    """Each batch with its text or tokens."""
    return ((batch, batch.columns[2]) for batch in batches)


def with_tokens(batch: Batch, tokens: pa.Array) -> Batch:
    """A batch with tokens in place of its text or words."""
    return Batch(batch.files, [batch.columns[0], batch.columns[1], tokens])


def text_size(batch: Batch) -> int:
    """Bytes of the text of some documents."""
    return int(pc.sum(pc.binary_length(batch.columns[2])).as_py() or 0)
