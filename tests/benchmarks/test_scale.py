"""The model of training over hosts: its parts against cases computed by hand, and what must hold for all of them."""

import json
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import typer
from typer.testing import CliRunner

from benchmarks.__main__ import app
from benchmarks.processes import ProcessRun, RealRun
from benchmarks.scale import (
    LINKS,
    Cluster,
    Exchanges,
    Link,
    Plan,
    Rates,
    checked,
    exchange_rows,
    host_counts,
    measure_rates,
    predict,
    predict_merging,
    ring_seconds,
    zipf_vocabulary,
)
from tasks.trainers.config import SkipGramConfig
from tasks.trainers.processes.exchange import BLOCK_ROWS, USES_BETWEEN_EXCHANGES, plan_exchanges
from tasks.trainers.processes.shares import SLICE_TOKENS, slice_tokens

CONFIG = SkipGramConfig(dimension=100, workers=1)
RATES = Rates(words_per_second=SLICE_TOKENS, rows_per_second=1000, loopback_bytes_per_second=1e9)
LINK = Link("a byte in a microsecond", 1e-3, 1e6)


def test_a_ring_of_four_sends_six_quarters_in_six_steps() -> None:
    # 2 (4 - 1) = 6 messages of a millisecond, each with a quarter of 8,000 bytes: 2 ms.
    assert ring_seconds(8000, 4, LINK) == pytest.approx(6 * 1e-3 + 6 * 2e-3)
    assert ring_seconds(8000, 4, LINK, messages=3) == pytest.approx(18 * 1e-3 + 6 * 2e-3)
    assert ring_seconds(8000, 1, LINK) == 0


@pytest.mark.parametrize("slices", [1, 2, 3, 90, 1024])
def test_mean_rows_are_those_of_the_schedule_of_training(slices: int) -> None:
    vocabulary = zipf_vocabulary(30_000, 1e-3)
    schedule = plan_exchanges(vocabulary, CONFIG, slice_tokens(4, 1), 4)
    exchanges = exchange_rows(vocabulary, CONFIG, 4, 1)
    exchanged = [schedule.rows_after(number) for number in range(1, slices + 1)]
    assert exchanges.rows_per_slice(slices) == pytest.approx(np.mean(exchanged))
    messages = [-(-rows // BLOCK_ROWS) for rows in exchanged]
    assert exchanges.messages_per_slice(slices) == pytest.approx(np.mean(messages))


def test_two_hosts_by_hand() -> None:
    # 100 rows after every slice and 1,000 at the end of an epoch of ten: 200 rows of 2 tables x 25 x 4 bytes.
    found = predict(Cluster(2, 2, LINK), RATES, Exchanges((100,), 1000), dimension=25, slices_per_epoch=10)
    assert found.tokens == SLICE_TOKENS
    assert found.training == 1
    assert found.network == pytest.approx(2 * 1e-3 * 1.1 + 40_000 / 1e6)
    assert found.combining == pytest.approx(2 * 200 / (1000 * 2))
    assert found.bytes_per_word == found.added_bytes_per_word == 40_000 / (2 * SLICE_TOKENS)
    four = predict(Cluster(4, 2, LINK), RATES, Exchanges((100,), 1000), dimension=25, slices_per_epoch=10)
    assert four.added_bytes_per_word == pytest.approx(found.added_bytes_per_word)
    assert four.bytes_per_word == pytest.approx(1.5 * four.added_bytes_per_word)
    # What travels while the next slice is trained costs no time.
    assert found.words_per_second == pytest.approx(4 * SLICE_TOKENS / (1 + found.combining))
    slow = replace(found, network=5.0)
    assert slow.efficiency == pytest.approx(1 / (5 + found.combining))


def test_two_hosts_that_merge_tables_by_hand() -> None:
    # Two tables of 1,000 rows of 25 numbers and a weight, once in an epoch of ten slices.
    plan = Plan(words=1000, dimension=25, tokens=2 * 2 * 10 * SLICE_TOKENS, epochs=1, cores=2)
    found = predict_merging(Cluster(2, 2, LINK), RATES, plan)
    assert found.network == pytest.approx((2 * 1e-3 + 208_000 / 1e6) / 10)
    assert found.combining == pytest.approx(2 * 1000 / (1000 * 2) / 10)
    assert found.bytes_per_word == pytest.approx(208_000 / (10 * 2 * SLICE_TOKENS))
    alone = predict_merging(Cluster(1, 2, LINK), RATES, plan)
    assert (alone.efficiency, alone.bytes_per_word) == (1, 0)


def test_one_host_spends_all_its_time_on_training() -> None:
    exchanges = exchange_rows(zipf_vocabulary(1000, 1e-3), CONFIG, 1, 8)
    found = predict(Cluster(1, 8, LINK), RATES, exchanges, 100, 100)
    assert found.efficiency == 1
    assert found.words_per_second == 8 * SLICE_TOKENS
    assert found.bytes_per_word == 0


def test_no_row_is_used_more_often_than_allowed_before_its_turn() -> None:
    vocabulary = zipf_vocabulary(20_000, 1e-3)
    exchanges = exchange_rows(vocabulary, CONFIG, 4, 1)
    kept = vocabulary.counts * vocabulary.keep_probability
    windows = slice_tokens(4, 1) * kept.sum() / vocabulary.counts.sum()
    as_input = windows * 6 * kept / kept.sum()
    as_output = windows * (kept / kept.sum() + 5 * vocabulary.noise_probability)
    uses = 4 * np.maximum(as_input, as_output)
    assert exchanges.rows[-1] == 20_000
    before = 0
    for doublings, count in enumerate(exchanges.rows):
        if doublings:
            assert (uses[before:count] * 2**doublings <= USES_BETWEEN_EXCHANGES * 1.01).all()
        before = count


def test_more_hosts_train_faster_and_send_more_for_each_word() -> None:
    vocabulary = zipf_vocabulary(100_000, 1e-3)
    rates = Rates(words_per_second=1e6, rows_per_second=1e6, loopback_bytes_per_second=1e9)
    points = [
        predict(Cluster(hosts, 16, LINKS[3]), rates, exchange_rows(vocabulary, CONFIG, hosts, 16), 100, 1e4 / hosts)
        for hosts in (1, 2, 4, 8, 16)
    ]
    for fewer, more in pairwise(points):
        assert more.words_per_second > fewer.words_per_second
        assert more.efficiency < fewer.efficiency
        assert more.bytes_per_word > fewer.bytes_per_word


def test_a_faster_link_never_trains_slower() -> None:
    exchanges = exchange_rows(zipf_vocabulary(100_000, 1e-3), CONFIG, 8, 16)
    speeds = [predict(Cluster(8, 16, link), RATES, exchanges, 100, 1000).words_per_second for link in LINKS]
    assert speeds == sorted(speeds)
    slow = replace(LINKS[0], latency_seconds=1.0)
    assert predict(Cluster(8, 16, slow), RATES, exchanges, 100, 1000).words_per_second < speeds[0]


def test_processes_that_share_cores_are_compared_with_their_own_speed_without_exchanges() -> None:
    run = ProcessRun(
        corpus="reviews", processes=2, exchange="rows", seed=1, words=500, dimension=100, tokens=10**7,
        words_per_second=1e6, bytes_per_word=None, scores={},
    )  # fmt: skip
    rates = Rates(words_per_second=9e9, rows_per_second=1e6, loopback_bytes_per_second=1e9)
    ((_, alone),) = checked([RealRun(run=run, apart=2e6, one_process=1e6)], rates)
    ((_, shared),) = checked([RealRun(run=run, apart=1e6, one_process=1e6)], rates)
    # Two processes on one core: training and exchanges take twice the time.
    assert shared.training == pytest.approx(2 * alone.training)
    assert shared.combining == pytest.approx(2 * alone.combining)
    assert alone.words_per_second == pytest.approx(2e6 * alone.efficiency)


def test_numbers_of_hosts_are_a_range_or_a_list() -> None:
    assert host_counts("1..64") == [1, 2, 4, 8, 16, 32, 64]
    assert host_counts("3,5") == [3, 5]
    for text in ("few", "0", "5..4", "1..x"):
        with pytest.raises(typer.BadParameter, match=r"hosts|range"):
            host_counts(text)


@pytest.mark.long
def test_rates_are_measured_on_this_machine() -> None:
    rates = measure_rates(16, words=500, tokens=300_000)
    assert min(rates.model_dump().values()) > 0


def test_the_page_has_a_row_for_each_number_of_hosts_and_each_real_run(tmp_path: Path) -> None:
    (tmp_path / "rates.json").write_text(RATES.model_dump_json())
    runs = [
        ProcessRun(
            corpus="reviews", processes=processes, exchange=exchange, seed=1, words=500, dimension=10, tokens=10**6,
            words_per_second=speed, bytes_per_word=None, scores={},
        )
        for processes, exchange, speed in ((1, None, 1e6), (2, "tables", 2e6), (2, "rows", 1.8e6))
    ]  # fmt: skip
    (tmp_path / "real.json").write_text(json.dumps([run.model_dump() for run in runs]))
    arguments = ["--hosts", "1..4", "--words", "1000", "--tokens", "1e9", "--output", str(tmp_path)]
    files = ["--rates", str(tmp_path / "rates.json"), "--real", str(tmp_path / "real.json")]
    assert CliRunner().invoke(app, ["scale", *arguments, *files]).exit_code == 0
    lines = (tmp_path / "scale.md").read_text(encoding="utf-8").splitlines()
    assert sum(line.startswith(("| 1 |", "| 2 |", "| 4 |")) for line in lines) == 9
    assert any(line.startswith("| reviews | 2 | 1,800,000 | 90% | ") for line in lines)
