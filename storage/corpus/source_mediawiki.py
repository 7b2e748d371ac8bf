"""The articles of a MediaWiki XML dump, plain or compressed.

Reading is sequential; worker processes parse the pages. The streams of a multistream dump are decompressed by the
workers too. See https://meta.wikimedia.org/wiki/Data_dumps/Dump_format.
"""

import bz2
import multiprocessing
import os
import re
from collections import Counter, deque
from collections.abc import Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from importlib.util import find_spec
from itertools import chain
from typing import TYPE_CHECKING
from xml.etree.ElementTree import ParseError

from storage.corpus.source_files import SourceFile, raw_blocks
from storage.errors import CorpusError

if TYPE_CHECKING:
    from storage.corpus.wikitext import Dump

LIBRARY = "mwparserfromhell"
PAGE_START, PAGE_END, DUMP_END = b"<page>", b"</page>", b"</mediawiki>"
BZ2_STREAM = re.compile(rb"BZh[1-9]1AY&SY")
# Pages that a worker parses at once.
PART_BYTES = 1 << 20
# A smaller dump is parsed in this process: starting workers takes about a second.
SMALL_BYTES = 2 << 20
# A multistream dump has a header of about a kilobyte as its first stream.
LONGEST_HEADER = 1 << 20
READ_BYTES = 1 << 20


def article_texts(file: SourceFile, left_out: Counter[str]) -> Iterator[str]:
    """Title and text of every article, in order. left_out: counts the pages that are not articles, by reason.

    Raises CorpusError if the dump is damaged or truncated, or the extra `mediawiki` is not installed.
    """
    if find_spec(LIBRARY) is None:
        raise CorpusError(f"{file.shown} is a MediaWiki dump; to read it, run: pip install 'vecmill[mediawiki]'")
    from storage.corpus import wikitext

    parts = _parts(file)
    try:
        first = list(_within(parts, SMALL_BYTES))
        if not (more := next(parts, None)):
            results: Iterator[tuple[list[str], Counter[str]]] = map(wikitext.article_texts, first)
            yield from _counted(results, left_out)
            return
        workers = len(os.sched_getaffinity(0))
        # Not forked: other threads of this process may hold locks.
        context = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(workers, mp_context=context) as pool:
            yield from _counted(_in_order(pool, chain(first, [more], parts), 2 * workers), left_out)
    except ParseError as error:
        raise CorpusError(f"{file.shown} is not a valid MediaWiki dump ({error}); copy it again") from error
    except (ValueError, OSError) as error:
        raise CorpusError(f"{file.shown}: a bzip2 stream is damaged ({error}); copy it again") from error
    except BrokenProcessPool as error:
        raise CorpusError(f"{file.shown}: a worker process was killed, probably for lack of memory") from error


def _counted(results: Iterator[tuple[list[str], Counter[str]]], left_out: Counter[str]) -> Iterator[str]:
    for texts, others in results:
        left_out.update(others)
        yield from texts


def _in_order(
    pool: ProcessPoolExecutor, parts: Iterator["Dump"], most: int
) -> Iterator[tuple[list[str], Counter[str]]]:
    """Results in order, with at most `most` parts in memory."""
    from storage.corpus import wikitext

    running: deque[Future[tuple[list[str], Counter[str]]]] = deque()
    try:
        for part in parts:
            running.append(pool.submit(wikitext.article_texts, part))
            if len(running) >= most:
                yield running.popleft().result()
        while running:
            yield running.popleft().result()
    finally:
        for future in running:
            future.cancel()


def _within(parts: Iterator["Dump"], size: int) -> Iterator["Dump"]:
    """Parts up to a total size."""
    taken = 0
    for part in parts:
        yield part
        taken += len(part.pages)
        if taken >= size:
            return


def _parts(file: SourceFile) -> Iterator["Dump"]:
    """The dump in parts of whole pages."""
    from storage.corpus import wikitext

    if header := _multistream_header(file):
        files = wikitext.file_namespaces(header)
        streams = _bz2_streams(file)
        next(streams)
        last = next(streams)
        for stream in streams:
            yield wikitext.Dump(last, True, files)
            last = stream
        if not bz2.decompress(last).rstrip().endswith(DUMP_END):
            raise _truncated(file)
        yield wikitext.Dump(last, True, files)
        return
    names: frozenset[str] | None = None
    waiting = b""
    for block in raw_blocks(file):
        waiting += block
        if names is None:
            start = waiting.find(PAGE_START)
            if start < 0:
                continue
            header, waiting = waiting[:start], waiting[start:]
            names = wikitext.file_namespaces(header)
        if len(waiting) >= PART_BYTES and (end := waiting.rfind(PAGE_END)) >= 0:
            yield wikitext.Dump(waiting[: end + len(PAGE_END)], False, names)
            waiting = waiting[end + len(PAGE_END) :]
    if not waiting.rstrip().endswith(DUMP_END):
        raise _truncated(file)
    if names is not None:
        yield wikitext.Dump(waiting.rstrip(), False, names)


def _multistream_header(file: SourceFile) -> bytes:
    """The header of a multistream dump: the whole first stream, which ends before the first page. Empty if it is none.

    Other tools, such as pbzip2, write several streams too, but split them anywhere.
    """
    with file.path.open("rb") as stream:
        head = stream.read(LONGEST_HEADER)
    second = BZ2_STREAM.search(head, 1)
    if not second or not BZ2_STREAM.match(head):
        return b""
    try:
        header = bz2.decompress(head[: second.start()])
    except (OSError, ValueError):
        return b""
    return header if PAGE_START not in header and header.rstrip().endswith(b"</siteinfo>") else b""


def _bz2_streams(file: SourceFile) -> Iterator[bytes]:
    """The compressed streams of a file, split at their signature of 80 bits."""
    waiting = b""
    with file.path.open("rb") as stream:
        while block := stream.read(READ_BYTES):
            # The signature may span two blocks.
            searched = max(1, len(waiting) - 10)
            waiting += block
            while found := BZ2_STREAM.search(waiting, searched):
                yield waiting[: found.start()]
                waiting, searched = waiting[found.start() :], 1
    if waiting:
        yield waiting


def _truncated(file: SourceFile) -> CorpusError:
    return CorpusError(f"{file.shown}: the dump does not end with </mediawiki>; it is truncated: copy it again")
