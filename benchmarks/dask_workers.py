"""Text that the workers of a Dask cluster tokenize in a second: two workers compared with one, back to back.

One and two plain processes tokenize the same text next to them, without Dask, files or a writer: their ratio is what
the cores of the machine allow.
"""

import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from itertools import repeat
from multiprocessing import get_context
from pathlib import Path
from statistics import median
from typing import Annotated, Any

import psutil  # type: ignore[import-untyped]
import pyarrow as pa
import typer

from benchmarks.ledger import RESULTS, this_place
from benchmarks.quality import SHARED_DATA
from storage.files.compressed import open_decompressed
from storage.layout import Workspace
from tasks.compute_config import ComputeConfig
from tasks.corpus import fetch_corpus
from tasks.corpus_config import CorpusConfig
from tasks.text.options import TokenizerConfig
from tasks.text.reading import TextReader
from tasks.tokenizing import SLICE_BYTES
from tasks.tokens import tokenize_corpus

WIKIPEDIA = SHARED_DATA / "corpora" / "kowiki2022_AC00-49_wikiextractor.txt.zst"

WARM_UP = "한국어 문장입니다. 我来到北京。\n" * 16_000


def measure_dask(
    corpus: Annotated[Path, typer.Option(dir_okay=False, help="text")] = WIKIPEDIA,
    tokenizer: Annotated[str, typer.Option(help="tokenizer.name")] = "korean",
    megabytes: Annotated[float, typer.Option(min=0.1, help="text to tokenize")] = 6,
    pairs: Annotated[int, typer.Option(min=1, help="comparisons of one and two workers")] = 5,
    output: Annotated[Path, typer.Option(file_okay=False, help="folder to write into")] = RESULTS,
) -> None:
    """Tokenize the same text with one and with two workers in turn, and write dask.md."""
    if not corpus.is_file():
        raise typer.BadParameter(f"{corpus} does not exist; name a text with --corpus")
    output.mkdir(parents=True, exist_ok=True)
    load = psutil.getloadavg()[0]
    config = TokenizerConfig.model_validate({"name": tokenizer})
    with tempfile.TemporaryDirectory() as name, ExitStack() as clusters:
        text = Path(name) / "text"
        with open_decompressed(corpus) as source:
            text.write_text(source.read(int(megabytes * 1e6)).decode(errors="ignore"), encoding="utf-8")
        computes = []
        for workers in (1, 2):
            cluster = clusters.enter_context(_cluster(workers))
            compute = ComputeConfig(engine="dask", address=cluster.scheduler_address)
            computes.append(compute)
            _load_tokenizer(compute, config, workers)
        pools = [clusters.enter_context(_processes(count)) for count in (1, 2)]
        for count, pool in enumerate(pools, start=1):
            _tokenize_plainly(WARM_UP * count, config, pool)
        content = text.read_text(encoding="utf-8")
        seconds = [
            [
                *(
                    _tokenize(text, config, compute, Path(name) / f"{number}-{index}")
                    for index, compute in enumerate(computes)
                ),
                *(_tokenize_plainly(content, config, pool) for pool in pools),
            ]
            for number in range(pairs)
        ]
    (output / "dask.md").write_text(write_page(tokenizer, f"{megabytes:g} MB", seconds, load), encoding="utf-8")


def _cluster(workers: int) -> Any:  # noqa: ANN401 - without types
    # Deferred: an extra.
    from distributed import LocalCluster

    return LocalCluster(n_workers=workers, threads_per_worker=1, dashboard_address=None)  # type: ignore[no-untyped-call]


def _load_tokenizer(compute: ComputeConfig, config: TokenizerConfig, workers: int) -> None:
    """Let every worker load its dictionary, which takes seconds."""
    with tempfile.TemporaryDirectory() as name:
        text = Path(name) / "text"
        text.write_text(WARM_UP * workers, encoding="utf-8")
        _tokenize(text, config, compute, Path(name) / "workspace")


def _processes(count: int) -> ProcessPoolExecutor:
    # As Dask's: started anew, not forked.
    return ProcessPoolExecutor(count, mp_context=get_context("spawn"))


def _tokenize_plainly(text: str, config: TokenizerConfig, pool: ProcessPoolExecutor) -> float:
    """Seconds of tokenizing alone, in slices as they are sent to workers. pool: of one thread per process."""
    slices, lines, size = [], [], 0
    for line in text.splitlines():
        lines.append(line)
        size += len(line.encode())
        if size >= SLICE_BYTES:
            slices.append(lines)
            lines, size = [], 0
    started = time.perf_counter()
    for _ in pool.map(_count_tokens, [*slices, lines], repeat(config)):
        pass
    return time.perf_counter() - started


def _count_tokens(lines: list[str], config: TokenizerConfig) -> int:
    return len(TextReader(config).tokens(pa.array(lines, pa.string())).flatten())


def _tokenize(text: Path, config: TokenizerConfig, compute: ComputeConfig, folder: Path) -> float:
    """Seconds of the whole stage, connection and files included."""
    workspace = Workspace(folder)
    fetched = fetch_corpus(CorpusConfig(path=str(text), format="text"), workspace)
    started = time.perf_counter()
    tokenize_corpus(fetched, config, workspace, compute)
    return time.perf_counter() - started


def write_page(tokenizer: str, size: str, seconds: list[list[float]], load: float) -> str:
    """The measurements as Markdown. seconds: of each pair, on Dask with one worker and with two, then plainly."""
    place = this_place()
    rows = [
        f"| {one:.1f} | {two:.1f} | {one / two:.2f} | {alone:.1f} | {both:.1f} | {alone / both:.2f} |"
        for one, two, alone, both in seconds
    ]
    ratios = {
        "Dask": [one / two for one, two, _, _ in seconds],
        "plain processes": [alone / both for _, _, alone, both in seconds],
    }
    return "\n".join(
        [
            "# Text stages on Dask",
            "",
            f"`python -m benchmarks dask`: the whole stage `tokens` of {size} of text, `tokenizer.name={tokenizer}`, "
            "with one worker process and with two, back to back. Workers, scheduler and the run share one machine. "
            "Next to them, one and two plain processes that only tokenize the same text: their ratio is what the cores "
            "allow.",
            "",
            f"{place.processor}, {place.cores} cores, Python {place.python}, commit {place.commit}; load before "
            f"the first run {load:.1f}.",
            "",
            "| one worker, s | two workers, s | ratio | one process, s | two processes, s | ratio |",
            "|---|---|---|---|---|---|",
            *rows,
            "",
            *(
                f"Ratio, {name}: median {median(found):.2f}, {min(found):.2f} to {max(found):.2f}."
                for name, found in ratios.items()
            ),
            "",
        ]
    )
