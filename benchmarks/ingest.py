"""`python -m benchmarks ingest`: reading a corpus: MB/s by stage, peers on the same text, peak memory by size.

vecmill writes everything that a build writes: documents, tokens, vocabulary and token ids. The peers split and count,
and write nothing.
"""

import multiprocessing
import resource
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Annotated

import typer
from pydantic import BaseModel

from benchmarks.ingest_peers import PEERS
from benchmarks.ledger import RESULTS, this_place
from benchmarks.quality import SHARED_DATA
from storage.files.compressed import open_decompressed
from storage.layout import Workspace
from tasks.corpus import fetch_corpus
from tasks.corpus_config import CorpusConfig
from tasks.text.options import TokenizerConfig
from tasks.text.vocabulary import VocabularyConfig
from tasks.tokens import tokenize_corpus
from tasks.vocabulary import build_vocabulary, encode_corpus

WIKIPEDIA = SHARED_DATA / "corpora" / "enwiki2015_AA_wikiextractor.txt.zst"
STAGES = ("corpus", "tokens", "vocabulary", "encoded")
TOKENIZERS = ("unicode_words", "whitespace")
# Enough for Numba and Arrow to load what they need.
WARM_UP = "one two three one, two; three\N{LATIN SMALL LETTER E WITH ACUTE}\n" * 1000
# Every copy of the text gets other words in place of those with these letters: a third of all distinct words.
CHANGED = (b"er", b"in", b"an")
BLOCK_BYTES = 1 << 22
# The page has two parts, each measured and rewritten without the other.
SIZES = "## Memory by size"
ALPHABET = b"abcdefghijklmnopqrstuvwxyz"


class Reading(BaseModel):
    """One reading of a text. seconds: by stage.  megabytes: of text; peak: of the process, with its libraries."""

    reader: str
    megabytes: float
    tokens: int
    words: int
    seconds: dict[str, float]
    processor_seconds: float
    peak_megabytes: int

    @property
    def speed(self) -> float:
        """MB of text per second, over all stages."""
        return self.megabytes / sum(self.seconds.values())


def measure_ingest(
    corpus: Annotated[Path, typer.Option(dir_okay=False, help="text")] = WIKIPEDIA,
    repeat: Annotated[
        int, typer.Option(min=0, help="runs of each reader; they take turns, the fastest counts; 0: sizes only")
    ] = 3,
    gigabytes: Annotated[list[float] | None, typer.Option(help="sizes of the text for memory; may be repeated")] = None,
    output: Annotated[Path, typer.Option(file_okay=False, help="folder to write into")] = RESULTS,
    work: Annotated[Path | None, typer.Option(file_okay=False, help="folder for temporary files")] = None,
) -> None:
    """Measure vecmill and its peers on the same text, then vecmill on larger ones, and write ingest.md."""
    if not corpus.is_file():
        raise typer.BadParameter(f"{corpus} does not exist; name a text with --corpus")
    output.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=work) as name:
        text = Path(name) / "text"
        with open_decompressed(corpus) as source, text.open("wb") as file:
            while block := source.read(1 << 20):
                file.write(block)
        rounds = [[_in_new_process(reader, text) for reader in (*TOKENIZERS, *PEERS)] for _ in range(repeat)]
        fastest = [max(readings, key=lambda reading: reading.speed) for readings in zip(*rounds, strict=True)]
        if fastest:
            _replace_part(output / "ingest.md", speeds=write_speeds(corpus.name, repeat, fastest))
        larger = []
        for size in gigabytes or ():
            grown = Path(name) / "grown"
            write_grown(text, grown, int(size * 1e9))
            larger.append(_in_new_process(TOKENIZERS[0], grown))
            grown.unlink()
            _replace_part(output / "ingest.md", sizes=write_sizes(larger))


def read_with_vecmill(tokenizer: str, text: Path) -> Reading:
    """The four stages of a build that read text, in a workspace next to the text."""
    with tempfile.TemporaryDirectory(dir=text.parent) as name:
        warm_up = Path(name) / "warm-up.txt"
        warm_up.write_text(WARM_UP, encoding="utf-8")
        _run_stages(tokenizer, warm_up, Workspace(Path(name) / "warm-up"))
        return _run_stages(tokenizer, text, Workspace(Path(name) / "workspace"))


def _run_stages(tokenizer: str, text: Path, workspace: Workspace) -> Reading:
    spent = time.process_time()
    clock = [time.perf_counter()]

    corpus = fetch_corpus(CorpusConfig(path=str(text)), workspace)
    clock.append(time.perf_counter())
    tokens = tokenize_corpus(corpus, TokenizerConfig.model_validate({"name": tokenizer}), workspace)
    clock.append(time.perf_counter())
    vocabulary = build_vocabulary(tokens, VocabularyConfig(), workspace)
    clock.append(time.perf_counter())
    encode_corpus(tokens, vocabulary, workspace)
    clock.append(time.perf_counter())

    return Reading(
        reader=tokenizer,
        megabytes=text.stat().st_size / 1e6,
        tokens=tokens.facts.tokens,
        words=vocabulary.facts.distinct_words,
        seconds={stage: end - start for stage, start, end in zip(STAGES, clock, clock[1:], strict=False)},
        processor_seconds=time.process_time() - spent,
        peak_megabytes=peak_megabytes(),
    )


def read_with_peer(peer: str, text: Path) -> Reading:
    """Split the lines of a text with a peer, and count its words."""
    count: Callable[[Path], tuple[int, int]] = PEERS[peer]
    warm_up = text.with_suffix(".warm-up")
    warm_up.write_text(WARM_UP, encoding="utf-8")
    count(warm_up)
    started, spent = time.perf_counter(), _processor_seconds()
    tokens, words = count(text)
    return Reading(
        reader=peer,
        megabytes=text.stat().st_size / 1e6,
        tokens=tokens,
        words=words,
        seconds={"": time.perf_counter() - started},
        processor_seconds=_processor_seconds() - spent,
        peak_megabytes=peak_megabytes(),
    )


def peak_megabytes() -> int:
    """Peak resident memory of this process."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


def _processor_seconds() -> float:
    """Of this process and its finished children."""
    usages = map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


def write_grown(text: Path, target: Path, size: int) -> None:
    """Write copies of a text until they reach a size; every copy has its own words."""
    written = copy = 0
    with target.open("wb") as file:
        while written < size:
            for changed in changed_lines(text, copy):
                file.write(changed)
                written += len(changed)
            copy += 1


def changed_lines(text: Path, copy: int) -> Iterator[bytes]:
    """Blocks of lines of a text, in which words that contain CHANGED are other ones in every copy but the first."""
    tag = bytes([ALPHABET[copy // 26 % 26], ALPHABET[copy % 26]])
    with text.open("rb") as file:
        while lines := file.readlines(BLOCK_BYTES):
            block = b"".join(lines)
            if copy:
                for letters in CHANGED:
                    block = block.replace(letters, letters + tag)
            yield block


def _replace_part(page: Path, speeds: str | None = None, sizes: str | None = None) -> None:
    """Write one part of the page, and keep the other one of an earlier run."""
    before, heading, after = (page.read_text(encoding="utf-8") if page.exists() else "").partition(SIZES)
    parts = [before if speeds is None else speeds, heading + after if sizes is None else sizes]
    page.write_text("\n\n".join(part.strip() for part in parts if part.strip()) + "\n", encoding="utf-8")


def write_speeds(corpus: str, repeat: int, readings: Sequence[Reading]) -> str:
    """Speed of all readers, by stage."""
    place = this_place()
    slowest = next((reading.speed for reading in readings if reading.reader == "gensim"), None)
    lines = [
        "# Reading a corpus",
        "",
        f"Written by `python -m benchmarks ingest` on {datetime.now(UTC).date()}, commit {place.commit}, "
        f"{place.processor}, {place.cores} cores. Corpus: {corpus}, {readings[0].megabytes:.1f} MB. The readers take "
        f"turns; the fastest of {repeat} runs counts. vecmill writes documents, tokens, vocabulary and token ids; the "
        "peers split and count, and write nothing. Cores busy is processor time over elapsed time: on a machine with "
        "other work it shows how much of the cores a reader got.",
        "",
        f"| reader | {' | '.join(STAGES)} | MB/s | x gensim | MB per processor second | cores busy | peak MB "
        "| M tokens | distinct words |",
        f"|---|{'---:|' * (len(STAGES) + 7)}",
    ]
    for reading in readings:
        by_stage = [
            f"{reading.megabytes / reading.seconds[stage]:.0f}" if stage in reading.seconds else "" for stage in STAGES
        ]
        ratio = f"{reading.speed / slowest:.1f}" if slowest else ""
        lines.append(
            f"| {reading.reader} | {' | '.join(by_stage)} | {reading.speed:.1f} | {ratio} "
            f"| {reading.megabytes / reading.processor_seconds:.1f} "
            f"| {reading.processor_seconds / sum(reading.seconds.values()):.2f} | {reading.peak_megabytes:,} "
            f"| {reading.tokens / 1e6:.2f} | {reading.words:,} |"
        )
    return "\n".join(lines) + "\n"


def write_sizes(larger: Sequence[Reading]) -> str:
    """Time and memory of vecmill by size of the text."""
    place = this_place()
    lines = [
        SIZES,
        "",
        f"`{TOKENIZERS[0]}` on {datetime.now(UTC).date()}, commit {place.commit}, {place.processor}, {place.cores} "
        "cores. The text is the one above, repeated with other words in every copy. Seconds depend on other work on "
        "the machine, processor seconds hardly.",
        "",
        "| GB | processor seconds per GB | seconds per GB | peak MB | M tokens | distinct words |",
        "|---:|---:|---:|---:|---:|---:|",
    ]
    lines += [
        f"| {reading.megabytes / 1e3:.1f} | {reading.processor_seconds / reading.megabytes * 1e3:.0f} "
        f"| {sum(reading.seconds.values()) / reading.megabytes * 1e3:.0f} | {reading.peak_megabytes:,} "
        f"| {reading.tokens / 1e6:.1f} | {reading.words:,} |"
        for reading in larger
    ]
    return "\n".join(lines) + "\n"


def _in_new_process(reader: str, text: Path) -> Reading:
    """Measure in a separate process, so that its peak memory is that of one reader."""
    context = multiprocessing.get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_send_reading, args=(sender, reader, text))
    process.start()
    sender.close()
    reading: Reading = receiver.recv()
    process.join()
    return reading


def _send_reading(results: Connection, reader: str, text: Path) -> None:
    results.send((read_with_peer if reader in PEERS else read_with_vecmill)(reader, text))
