"""`python -m benchmarks scale --hosts 1..64`: how training over hosts would scale, from rates measured on one machine.

A model, not a measurement: each rank trains slices of the corpus with the measured speed of the CPU kernel and then
exchanges the rows whose turn it is, by the rule of training over processes. Exchanges are ring allreduces over links of
given latency and bandwidth; they cost time only if they take longer than the next slice. Real runs with two and four
processes on one machine check it.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from numpy.typing import NDArray
from pydantic import BaseModel

from benchmarks.ledger import RESULTS, this_place
from benchmarks.processes import RealRun, read_runs, real_runs
from tasks.text.vocabulary import keep_probability, noise_probability
from tasks.trainers.backends import train
from tasks.trainers.config import SkipGramConfig
from tasks.trainers.interface import ArrayTokenSource, Vocabulary
from tasks.trainers.processes.damping import DIRECTIONS, RANKS_THAT_NEED_AGREEMENT
from tasks.trainers.processes.exchange import BLOCK_ROWS, plan_exchanges
from tasks.trainers.processes.shares import slice_tokens

FLOAT_BYTES = 4
TABLES = 2
# Rank-frequency law of text, p ~ 1 / (rank + shift)^exponent (Mandelbrot 1953).
ZIPF_SHIFT, ZIPF_EXPONENT = 2.7, 1.05
MEASURED_WORDS, MEASURED_TOKENS = 1_000_000, 2_000_000
MAXIMUM_HOSTS = 4096


@dataclass(frozen=True)
class Link:
    """A network. latency_seconds: of one message.  bytes_per_second: each way, of each host."""

    name: str
    latency_seconds: float
    bytes_per_second: float


# Round figures: TCP through a switch reaches nine tenths of the line rate, with 25 to 100 microseconds a message.
LINKS = (
    Link("1 Gbit/s", 1e-4, 0.9e9 / 8),
    Link("10 Gbit/s", 5e-5, 9e9 / 8),
    Link("25 Gbit/s", 3e-5, 22.5e9 / 8),
    Link("100 Gbit/s", 2.5e-5, 90e9 / 8),
)


class Rates(BaseModel):
    """What was measured on one core. words_per_second: raw corpus words.  rows_per_second: combined after an exchange.

    loopback_bytes_per_second: of an allreduce between processes of one machine.
    """

    words_per_second: float
    rows_per_second: float
    loopback_bytes_per_second: float


@dataclass(frozen=True)
class Cluster:
    """Hosts that train together. cores: threads of each."""

    hosts: int
    cores: int
    link: Link


@dataclass(frozen=True)
class Exchanges:
    """rows[k]: first rows of both tables that are exchanged every 2**k slices.  words: rows of the whole table."""

    rows: tuple[int, ...]
    words: int

    def rows_per_slice(self, slices: int) -> float:
        """Mean rows of one table that are exchanged after a slice of an epoch of so many."""
        return sum(count * turns for count, turns in zip(self.rows, self._turns(slices), strict=True)) / slices

    def messages_per_slice(self, slices: int) -> float:
        """Mean number of allreduces after a slice of an epoch of so many."""
        messages = [-(-count // BLOCK_ROWS) for count in self.rows]
        return sum(count * turns for count, turns in zip(messages, self._turns(slices), strict=True)) / slices

    def _turns(self, slices: int) -> list[int]:
        """How many of the slices end with each number of rows. An epoch may be too short for the turns of rare rows."""
        reached = [slices >> doublings for doublings in range(len(self.rows))]
        return [here - more for here, more in zip(reached, [*reached[1:], 0], strict=True)]


@dataclass(frozen=True)
class Prediction:
    """Seconds of one slice by part, and what follows. bytes_per_word: that each host sends in a ring.

    tokens: of one thread in a slice.  overlaps: whether changes travel while the next slice is trained.
    """

    training: float
    network: float
    combining: float
    hosts: int
    cores: int
    bytes_per_word: float
    tokens: float
    overlaps: bool

    @property
    def seconds(self) -> float:
        """Of one slice."""
        waiting = max(0.0, self.network - self.training) if self.overlaps else self.network
        return self.training + waiting + self.combining

    @property
    def efficiency(self) -> float:
        """Share of the time that is spent on training."""
        return self.training / self.seconds

    @property
    def added_bytes_per_word(self) -> float:
        """That each host adds up with the others, as the facts of a training count them; a ring sends more."""
        return self.bytes_per_word * self.hosts / (2 * (self.hosts - 1)) if self.hosts > 1 else 0.0

    @property
    def words_per_second(self) -> float:
        """Of all hosts together."""
        return self.hosts * self.cores * self.tokens / self.seconds


def ring_seconds(size: float, hosts: int, link: Link, messages: float = 1) -> float:
    """Seconds of a ring allreduce of so many bytes in so many messages.

    Each host sends 2 (P - 1) pieces of 1/P of the bytes.
    Source: Patarasuk and Yuan 2009, "Bandwidth optimal all-reduce algorithms for clusters of workstations".
    """
    if hosts == 1:
        return 0.0
    steps = 2 * (hosts - 1)
    return messages * steps * link.latency_seconds + steps / hosts * size / link.bytes_per_second


def zipf_vocabulary(words: int, threshold: float) -> Vocabulary:
    """A vocabulary with the frequencies of text. threshold: of subsampling."""
    shares = (np.arange(1, words + 1) + ZIPF_SHIFT) ** -ZIPF_EXPONENT
    shares /= shares.sum()
    counts = np.maximum(1, shares / shares[-1] * 5).astype(np.int64)
    return Vocabulary(counts, keep_probability(counts, threshold), noise_probability(counts, 0.75))


def exchange_rows(vocabulary: Vocabulary, config: SkipGramConfig, ranks: int, cores: int) -> Exchanges:
    """The rows that are exchanged after a slice, by the rule of training over processes.

    A row's turn is every 2**k slices, with the largest k for which all ranks together do not use it too often.
    """
    if ranks == 1:
        return Exchanges((0,), len(vocabulary))
    schedule = plan_exchanges(vocabulary, config, slice_tokens(ranks, cores), ranks)
    return Exchanges(schedule.rows, len(vocabulary))


def predict(
    cluster: Cluster, rates: Rates, exchanges: Exchanges, dimension: int, slices_per_epoch: float
) -> Prediction:
    """Seconds of a slice and what follows from them. The exchange of the whole table is spread over the epoch."""
    hosts, cores = cluster.hosts, cluster.cores
    slices = max(1, round(slices_per_epoch))
    whole = 1 / slices if hosts > 1 else 0.0
    rows = exchanges.rows_per_slice(slices) + whole * exchanges.words
    messages = exchanges.messages_per_slice(slices) + whole * -(-exchanges.words // BLOCK_ROWS)
    # With many ranks, a last column holds the squared length of each change.
    size = TABLES * rows * (dimension + (hosts >= RANKS_THAT_NEED_AGREEMENT)) * FLOAT_BYTES
    sent = 0.0 if hosts == 1 else 2 * (hosts - 1) / hosts * size
    tokens = slice_tokens(hosts, cores) / cores
    return Prediction(
        training=tokens / rates.words_per_second,
        network=ring_seconds(size, hosts, cluster.link, messages),
        combining=0.0 if hosts == 1 else TABLES * rows / (rates.rows_per_second * cores),
        hosts=hosts,
        cores=cores,
        bytes_per_word=sent / (tokens * cores),
        tokens=tokens,
        overlaps=True,
    )


def predict_merging(cluster: Cluster, rates: Rates, plan: "Plan") -> Prediction:
    """The same for `training.process_exchange=tables`: whole tables once an epoch, spread over its slices."""
    hosts, cores = cluster.hosts, cluster.cores
    tokens = slice_tokens(hosts, cores) / cores
    slices = plan.tokens / (hosts * cores * tokens)
    # A last column holds the weight of each row.
    size = TABLES * plan.words * (plan.dimension + 1) * FLOAT_BYTES if hosts > 1 else 0
    messages = -(-plan.words // BLOCK_ROWS)
    return Prediction(
        training=tokens / rates.words_per_second,
        network=ring_seconds(size, hosts, cluster.link, messages) / slices,
        combining=0.0 if hosts == 1 else TABLES * plan.words / (rates.rows_per_second * cores) / slices,
        hosts=hosts,
        cores=cores,
        bytes_per_word=2 * (hosts - 1) / hosts * size / (slices * tokens * cores),
        tokens=tokens,
        overlaps=False,
    )


def measure_scale(
    hosts: Annotated[str, typer.Option(help="numbers of hosts: 1..64 (powers of two) or a list: 1,2,4")] = "1..64",
    cores: Annotated[int, typer.Option(min=1, help="threads of each host")] = 16,
    words: Annotated[int, typer.Option(min=100, help="vocabulary")] = 3_000_000,
    dimension: Annotated[int, typer.Option(min=8, help="numbers of a vector")] = 300,
    tokens: Annotated[float, typer.Option(min=1e6, help="words of the corpus in one epoch")] = 100e9,
    epochs: Annotated[int, typer.Option(min=1, help="passes over the corpus")] = 1,
    rates: Annotated[Path | None, typer.Option(help="rates measured before, as JSON; none: measure them now")] = None,
    real: Annotated[
        Path | None, typer.Option(exists=True, dir_okay=False, help="processes.json of `benchmarks processes`")
    ] = None,
    output: Annotated[Path, typer.Option(file_okay=False, help="folder to write into")] = RESULTS,
) -> None:
    """Predict words/s, hours and bytes of training over hosts, and write scale.md."""
    counts = host_counts(hosts)
    measured = Rates.model_validate_json(rates.read_text()) if rates else measure_rates(dimension)
    typer.echo(measured.model_dump_json())
    config = SkipGramConfig(dimension=dimension, workers=1)
    vocabulary = zipf_vocabulary(words, 1e-3)
    plan = Plan(words, dimension, tokens, epochs, cores)
    table = [
        [predicted(plan, Cluster(count, cores, link), measured, vocabulary, config) for link in LINKS]
        for count in counts
    ]
    merged = [[predict_merging(Cluster(count, cores, link), measured, plan) for link in LINKS] for count in counts]
    runs = real_runs(read_runs(real)) if real else []
    output.mkdir(parents=True, exist_ok=True)
    page = write_page(plan, measured, (table, merged), checked(runs, measured))
    (output / "scale.md").write_text(page, encoding="utf-8")
    typer.echo(page)


@dataclass(frozen=True)
class Plan:
    """What is to be trained. tokens: of one epoch."""

    words: int
    dimension: int
    tokens: float
    epochs: int
    cores: int


def predicted(plan: Plan, cluster: Cluster, rates: Rates, vocabulary: Vocabulary, config: SkipGramConfig) -> Prediction:
    """The prediction for a cluster."""
    exchanges = exchange_rows(vocabulary, config, cluster.hosts, cluster.cores)
    slices = plan.tokens / (cluster.hosts * slice_tokens(cluster.hosts, cluster.cores))
    return predict(cluster, rates, exchanges, plan.dimension, slices)


def checked(runs: Sequence[RealRun], rates: Rates) -> list[tuple[RealRun, Prediction]]:
    """Each real run with the prediction for its processes, connected by the loopback device.

    They share the machine, so each is slower than on a separate core, by the same factor as without exchanges.
    """
    found = []
    for real in runs:
        run = real.run
        share = real.apart / run.processes / real.one_process
        speed = Rates(
            words_per_second=real.apart / run.processes,
            rows_per_second=rates.rows_per_second * share,
            loopback_bytes_per_second=rates.loopback_bytes_per_second * share,
        )
        loopback = Link("loopback", 2e-5, speed.loopback_bytes_per_second)
        config = SkipGramConfig(dimension=run.dimension, workers=1)
        plan = Plan(run.words, run.dimension, run.tokens, 1, 1)
        vocabulary = zipf_vocabulary(run.words, 1e-3)
        found.append((real, predicted(plan, Cluster(run.processes, 1, loopback), speed, vocabulary, config)))
    return found


def host_counts(text: str) -> list[int]:
    """`1..64` as the powers of two between, or a list as it is. Raises BadParameter."""
    try:
        first, dots, last = text.partition("..")
        if not dots:
            counts = [int(part) for part in text.split(",")]
        else:
            counts = [1 << power for power in range(13) if int(first) <= 1 << power <= int(last)]
    except ValueError as error:
        raise typer.BadParameter(f"{text!r} is neither a range such as 1..64 nor a list such as 1,2,4") from error
    if not counts or not all(1 <= count <= MAXIMUM_HOSTS for count in counts):
        raise typer.BadParameter(f"{text!r} names no numbers of hosts from 1 to {MAXIMUM_HOSTS:,}")
    return counts


def measure_rates(dimension: int, words: int = MEASURED_WORDS, tokens: int = MEASURED_TOKENS) -> Rates:
    """Speeds of one core by processor time, which other programs disturb less than time on the clock."""
    return Rates(
        words_per_second=_kernel_speed(dimension, words, tokens),
        rows_per_second=_combining_speed(dimension),
        loopback_bytes_per_second=_copy_speed(),
    )


def _kernel_speed(dimension: int, words: int, tokens: int) -> float:
    vocabulary = zipf_vocabulary(words, 1e-3)
    drawn = np.random.default_rng(0).choice(words, tokens, p=vocabulary.counts / vocabulary.counts.sum())
    source = ArrayTokenSource(drawn.astype(np.int32).reshape(-1, 20))
    config = SkipGramConfig(backend="numba", dimension=dimension, workers=1, epochs=1)
    steps = train(source, vocabulary, config)
    # The first step comes after the tables were allocated and the kernel was compiled.
    first = next(steps).tokens_done
    started = time.process_time()
    for _ in steps:
        pass
    return (tokens - first) / (time.process_time() - started)


def _combining_speed(dimension: int) -> float:
    """Rows per second of what a rank does with its changes and the sum of all: damp some directions, add twice."""
    random = np.random.default_rng(0)
    changes: NDArray[np.float32] = random.standard_normal((BLOCK_ROWS, dimension), dtype=np.float32)
    directions = np.linalg.qr(random.standard_normal((dimension, DIRECTIONS)))[0].astype(np.float32)
    best = np.inf
    for _ in range(5):
        started = time.process_time()
        along = changes @ directions
        along *= np.exp(-np.abs(along))
        sent = along @ directions.T
        sent += changes
        common, table = changes + sent, changes - sent
        table += common
        best = min(best, time.process_time() - started)
    return BLOCK_ROWS / float(best)


def _copy_speed() -> float:
    """Bytes per second that a core can move between two processes: each is written, read and added."""
    source, target = np.ones(1 << 24, np.float32), np.zeros(1 << 24, np.float32)
    best = np.inf
    for _ in range(5):
        started = time.process_time()
        copy = source.copy()
        target += copy
        best = min(best, time.process_time() - started)
    return source.nbytes / float(best)


def _grid(table: Sequence[Sequence[Prediction]], plan: Plan) -> list[str]:
    """Rows of hosts, columns of links."""
    lines = [
        f"| hosts | bytes sent per word | {' | '.join(link.name for link in LINKS)} |",
        f"|---:|---:|{'---:|' * len(LINKS)}",
    ]
    for row in table:
        cells = [
            f"{point.words_per_second / 1e6:,.0f} M, "
            f"{plan.tokens * plan.epochs / point.words_per_second / 3600:,.1f} h, {point.efficiency:.0%}"
            for point in row
        ]
        lines.append(f"| {row[0].hosts} | {row[0].bytes_per_word:,.1f} | {' | '.join(cells)} |")
    return lines


def write_page(
    plan: Plan,
    rates: Rates,
    tables: tuple[Sequence[Sequence[Prediction]], Sequence[Sequence[Prediction]]],
    real: Sequence[tuple[RealRun, Prediction]],
) -> str:
    """The content of scale.md. tables: of both exchanges, rows of hosts and columns of links."""
    place = this_place()
    table, merged = tables
    lines = [
        "# Training over hosts: a model",
        "",
        f"Written by `python -m benchmarks scale` on {datetime.now(UTC):%Y-%m-%d}, commit {place.commit}, "
        f"{place.processor}, {place.cores} cores. A model, not a measurement; docs/scale.md says what it assumes.",
        "",
        f"{plan.tokens / 1e9:,.0f} billion words x {plan.epochs} epochs, {plan.words:,} words of dimension "
        f"{plan.dimension}, {plan.cores} threads on each host. Measured on one core by processor time: "
        f"{rates.words_per_second:,.0f} words/s, {rates.rows_per_second:,.0f} rows/s combined after an exchange.",
        "",
        "Each cell has million words/s, hours, and the share of time that is spent on training.",
        "",
        "## Exchange of rows",
        "",
        *_grid(table, plan),
        "",
        "## Merged tables",
        "",
        "`training.process_exchange=tables`: hosts meet once an epoch.",
        "",
        *_grid(merged, plan),
    ]
    lines += [
        "",
        "## Where the time of a slice goes",
        "",
        "With the exchange of rows: milliseconds of training, network and combining.",
        "",
    ]
    lines += [f"| hosts | {' | '.join(link.name for link in LINKS)} |", f"|---:|{'---:|' * len(LINKS)}"]
    for row in table:
        cells = [
            f"{point.training * 1e3:,.0f} + {point.network * 1e3:,.1f} + {point.combining * 1e3:,.1f}" for point in row
        ]
        lines.append(f"| {row[0].hosts} | {' | '.join(cells)} |")
    lines += ["", "## Checked against real runs", ""]
    if not real:
        lines.append("No real run was given (`--real`).")
        return "\n".join([*lines, ""])
    lines += [
        "Processes with one thread each on this machine, connected by its loopback device (processes.md). The model "
        "gets their speed without exchanges during an epoch, because they share two cores, and words by Zipf's law. "
        "Bytes are those that each process adds up with the others; with P processes, a ring sends 2 (P - 1) / P "
        "times as many.",
        "",
        "| corpus | processes | words/s | share of the speed without exchanges | of the model "
        "| speed-up over one process | bytes added up per word | of the model |",
        "|---|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for run, point in real:
        sent = "" if run.run.bytes_per_word is None else f"{run.run.bytes_per_word:,.1f}"
        lines.append(
            f"| {run.run.corpus} | {run.run.processes} | {run.run.words_per_second:,.0f} | "
            f"{run.run.words_per_second / run.apart:.0%} | {point.efficiency:.0%} | {run.speed_up:.2f} | {sent} | "
            f"{point.added_bytes_per_word:,.1f} |"
        )
    return "\n".join([*lines, ""])
