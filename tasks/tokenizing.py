"""Tokenize with the options of tasks/text/options.py: choose documents, cut, join phrases, cut into pieces.

The tokenizers of languages are slow, so they run in processes on all cores and keep each finished batch.
"""

import logging
import time
from collections import deque
from collections.abc import Collection, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from itertools import islice
from multiprocessing import get_context
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from storage.corpus.documents import read_documents
from storage.corpus.finished_batches import FinishedBatches
from storage.corpus.segments import Batch
from storage.corpus.tokens import TOKENS
from storage.corpus.trained_tokenizer import write_tokenizer
from storage.errors import CorpusError, SettingsError
from tasks.documents import Dropped, prepared_documents
from tasks.progress import progress_listener
from tasks.text.cleaning import drop_tokens, stop_words
from tasks.text.languages import MissingExtraError, import_extra, is_language, required_modules
from tasks.text.options import PIECES, TokenizerConfig
from tasks.text.phrases import Phrases, find_phrases, join_phrases
from tasks.text.pieces import train_pieces
from tasks.text.reading import TextReader, read_words, unsegmented_warning
from tasks.text.vocabulary import count_words
from tasks.trainers.backends import available_cores

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


def warn_of_unsegmented_text(folder: Path, files: Collection[int], config: TokenizerConfig) -> None:
    """Log a warning if a word tokenizer is to read a script without spaces; the first batch is the sample."""
    for batch in islice(read_documents(folder, files), 1):
        texts = pc.utf8_slice_codeunits(batch.columns[2][:SCRIPT_SAMPLE_TEXTS], 0, SCRIPT_SAMPLE_CHARACTERS)
        if warning := unsegmented_warning(texts, config):
            logger.warning("%s", warning)


def token_batches(
    folder: Path, files: Collection[int], config: TokenizerConfig, stage_folder: Path, dropped: Dropped, text_bytes: int
) -> Iterator[Batch]:
    """The tokens of these files, in order. A trained tokenizer is written into `stage_folder`.

    text_bytes: size of the files' text, for the estimate and the progress.  Raises SettingsError for a missing extra.
    """
    documents = prepared_documents(folder, files, config, dropped)
    with extras_required():
        reader = TextReader(config)
    if not config.keeps_batches:
        for batch, words in _in_threads(documents, config):
            yield _with_tokens(batch, reader.finish(words))
        return
    kept = FinishedBatches(stage_folder, TOKENS, [sorted(files)])
    _keep_words(documents, config, kept, text_bytes)
    phrases: list[Phrases] = []

    def words_of(batch: Batch) -> pa.Array:
        lists = batch.columns[2]
        for found in phrases:
            lists = join_phrases(lists, found, config.phrase_delimiter)
        return lists

    for _ in range(config.phrases):
        counted = count_words(words_of(batch) for batch in kept)
        phrases.append(find_phrases(counted, (words_of(batch) for batch in kept), config))
        logger.info("%s phrases", f"{len(phrases[-1]):,}")
    if config.name in PIECES:
        unwanted = stop_words(config)
        content = train_pieces(count_words(drop_tokens(words_of(batch), unwanted) for batch in kept), config)
        write_tokenizer(stage_folder, content)
        reader = TextReader(config, content)
    for batch in kept:
        yield _with_tokens(batch, reader.finish(words_of(batch)))
    kept.remove()


def _keep_words(documents: Iterable[Batch], config: TokenizerConfig, kept: FinishedBatches, text_bytes: int) -> None:
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
    progress.started(f"cut into words ({config.words})", text_bytes, "bytes")
    try:
        cut = _in_processes if is_language(config.words) and available_cores() > 1 else _in_threads
        if is_language(config.words):
            documents = _after_estimate(documents, config, text_bytes)
        for batch, words in cut(unfinished(), config):
            kept.write(missing.pop(0), _with_tokens(batch, words))
            progress.advanced(text_size(batch))
    finally:
        progress.finished()


def _after_estimate(documents: Iterable[Batch], config: TokenizerConfig, text_bytes: int) -> Iterator[Batch]:
    """The documents, after the expected time was measured on a sample and logged."""
    batches = iter(documents)
    for batch in islice(batches, 1):
        sample = pc.utf8_slice_codeunits(batch.columns[2], 0, SAMPLE_CHARACTERS)[:100]
        read_words(sample[:1], config)
        started = time.perf_counter()
        read_words(sample, config)
        speed = pc.sum(pc.binary_length(sample)).as_py() / (time.perf_counter() - started)
        cores = available_cores()
        logger.info(
            "%s: %.1f MB of text at %.2f MB/s on each of %d cores takes about %.0f s",
            config.words, text_bytes / 1e6, speed / 1e6, cores, text_bytes / speed / cores,
        )  # fmt: skip
        yield batch
    yield from batches


def _in_threads(documents: Iterable[Batch], config: TokenizerConfig) -> Iterator[tuple[Batch, pa.Array]]:
    """Each batch with its words, a few at a time."""
    batches = iter(documents)
    workers = min(available_cores(), 8)
    with ThreadPoolExecutor(workers) as threads:
        while group := list(islice(batches, workers)):
            texts = [batch.columns[2] for batch in group]
            yield from zip(group, threads.map(lambda text: read_words(text, config), texts), strict=True)


def _in_processes(documents: Iterable[Batch], config: TokenizerConfig) -> Iterator[tuple[Batch, pa.Array]]:
    """Each batch with its words. The next batch is cut while one is written."""
    workers = available_cores()
    # A forked copy of a process with threads may deadlock.
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as processes:
        waiting: deque[tuple[Batch, list[Future[pa.Array]]]] = deque()
        try:
            for batch in documents:
                slices = [processes.submit(read_words, texts, config) for texts in _slices(batch.columns[2])]
                waiting.append((batch, slices))
                if sum(len(futures) for _, futures in waiting) > 2 * workers and len(waiting) > 1:
                    yield _finished(*waiting.popleft())
            while waiting:
                yield _finished(*waiting.popleft())
        except BrokenProcessPool as error:
            raise CorpusError(
                "a process that tokenizes was killed, probably for lack of memory; run again to resume"
            ) from error
        finally:
            processes.shutdown(wait=False, cancel_futures=True)


def _finished(batch: Batch, slices: list["Future[pa.Array]"]) -> tuple[Batch, pa.Array]:
    return batch, pa.concat_arrays([future.result() for future in slices])


def _slices(texts: pa.Array) -> Iterator[pa.Array]:
    """Texts in groups of about SLICE_BYTES."""
    start = size = 0
    for end, length in enumerate(pc.binary_length(texts).to_pylist(), 1):
        size += length
        if size >= SLICE_BYTES or end == len(texts):
            # A pickled slice would carry the whole array.
            yield pa.concat_arrays([texts[start:end]])
            start, size = end, 0


def _with_tokens(batch: Batch, tokens: pa.Array) -> Batch:
    return Batch(batch.files, [batch.columns[0], batch.columns[1], tokens])


def text_size(batch: Batch) -> int:
    """Bytes of the text of some documents."""
    return int(pc.sum(pc.binary_length(batch.columns[2])).as_py() or 0)
