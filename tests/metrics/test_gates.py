"""Gates refuse what is too low or has fallen too far, and compare only what can be compared."""

import math
from dataclasses import replace

import pytest
from pydantic import ValidationError

from tasks.metrics.gates import Gate, Measured, Scores, Verdict, bound_text, judge, unknown_gates, verdict_rows

NOW = Scores(
    measures={
        "wordsim353": Measured(0.50),
        "simlex999": Measured(0.20, 0.12, 0.28),
        "google_analogies": Measured(None),
        "google_analogies/semantic": Measured(0.30),
        "neighbor_overlap": Measured(0.10, 0.08, 0.12),
        "neighbor_overlap_random": Measured(0.01, 0.005, 0.015),
    },
    corpus_digest="reviews",
    digests={"wordsim353": "ws", "simlex999": "sl", "google_analogies": "ga", "neighbor_overlap": "glove"},
)


def only(gate: Gate, current: Scores = NOW, previous: Scores | None = None, metric: str = "wordsim353") -> Verdict:
    (verdict,) = judge(current, {metric: gate}, previous)
    return verdict


def with_value(value: float | None, low: float | None = None, high: float | None = None) -> Scores:
    return replace(NOW, measures={**NOW.measures, "wordsim353": Measured(value, low, high)})


@pytest.mark.parametrize(("minimum", "passed"), [(0.4, True), (0.5, True), (0.51, False)])
def test_a_value_passes_at_its_minimum_and_above(minimum: float, passed: bool) -> None:
    assert only(Gate(minimum=minimum)).passed is passed


def test_a_refusal_names_metric_value_and_bound() -> None:
    verdict = only(Gate(minimum=0.6))
    assert verdict.note == "wordsim353 is 0.5000, below the minimum 0.6"


@pytest.mark.parametrize(("before", "passed"), [(0.40, True), (0.52, True), (0.53, False)])
def test_a_value_may_be_below_the_current_release_by_max_drop(before: float, passed: bool) -> None:
    verdict = only(Gate(max_drop=0.02), previous=with_value(before))
    assert verdict.passed is passed
    assert verdict.previous == before


@pytest.mark.parametrize(
    ("low", "high", "passed"), [(-0.09, -0.03, False), (-0.09, -0.01, True), (0.01, 0.02, True), (None, None, True)]
)
def test_a_drop_is_judged_by_the_interval_of_the_change_on_the_same_pairs(
    low: float | None, high: float | None, passed: bool
) -> None:
    wide = with_value(0.44, 0.34, 0.54)
    current = replace(wide, measures={**wide.measures, "wordsim353_change": Measured(-0.06, low, high)})
    verdict = only(Gate(max_drop=0.02), current, with_value(0.50, 0.40, 0.60))
    assert verdict.passed is passed
    assert passed or "95 % interval of the change -0.0900 to -0.0300" in verdict.note


def test_a_part_of_a_metric_has_the_change_of_that_part() -> None:
    parts = {
        "google_analogies/semantic": Measured(0.30, 0.2, 0.4),
        "google_analogies_change/semantic": Measured(-0.1, -0.12, -0.08),
        "google_analogies_change": Measured(0.0, -0.01, 0.01),
    }
    current = replace(NOW, measures={**NOW.measures, **parts})
    previous = replace(NOW, measures={"google_analogies/semantic": Measured(0.40)})
    verdict = only(Gate(max_drop=0.05), current, previous, metric="google_analogies/semantic")
    assert not verdict.passed


def test_a_strict_gate_holds_the_values_themselves_against_max_drop() -> None:
    current = replace(NOW, measures={**NOW.measures, "wordsim353_change": Measured(-0.03, -0.06, 0.01)})
    assert not only(Gate(max_drop=0.02, strict=True), current, with_value(0.53)).passed
    assert only(Gate(max_drop=0.02), current, with_value(0.53)).passed


def test_both_bounds_are_named_when_both_are_missed() -> None:
    note = only(Gate(minimum=0.6, max_drop=0.1), previous=with_value(0.7)).note
    assert "below the minimum 0.6" in note
    assert "more than 0.1 below the current release's 0.7000" in note


@pytest.mark.parametrize(
    ("previous", "reason"),
    [
        (None, "no release yet"),
        (replace(with_value(0.9), corpus_digest="text8"), "another corpus"),
        (replace(with_value(0.9), digests={**NOW.digests, "wordsim353": "other"}), "gold set"),
        (replace(with_value(0.9), digests={}), "gold set"),
        (with_value(None), "no value"),
        (with_value(math.nan), "no value"),
    ],
)
def test_what_cannot_be_compared_is_not_and_the_note_says_why(previous: Scores | None, reason: str) -> None:
    verdict = only(Gate(max_drop=0.01), previous=previous)
    assert verdict.passed
    assert verdict.previous is None
    assert reason in verdict.note


def test_neighbor_overlap_is_compared_only_with_the_same_reference() -> None:
    previous = replace(NOW, digests={**NOW.digests, "neighbor_overlap": "word2vec"})
    assert "reference vectors" in only(Gate(max_drop=0.01), previous=previous, metric="neighbor_overlap").note


@pytest.mark.parametrize("value", [None, math.nan, math.inf])
def test_a_metric_without_a_value_fails_its_gate(value: float | None) -> None:
    verdict = only(Gate(minimum=0.0), current=with_value(value))
    assert not verdict.passed
    assert verdict.value is None
    assert "could not be measured" in verdict.note


@pytest.mark.parametrize(("value", "passed"), [(0.19, True), (0.2, True), (0.21, False)])
def test_a_value_may_have_an_upper_bound(value: float, passed: bool) -> None:
    verdict = only(Gate(maximum=0.2), current=with_value(value))
    assert verdict.passed is passed
    assert ("above the maximum 0.2" in verdict.note) is not passed


@pytest.mark.parametrize(("factor", "passed"), [(9, True), (10, True), (12, True), (12.1, False)])
def test_a_value_must_be_so_many_times_that_of_random_vectors(factor: float, passed: bool) -> None:
    verdict = only(Gate(min_factor=factor), metric="neighbor_overlap")
    assert verdict.random == 0.01
    assert verdict.passed is passed
    if not passed:
        assert verdict.note == (
            "neighbor_overlap is 0.1000 (95 % interval 0.0800 to 0.1200), "
            "below 12.1 times the value of random vectors, 0.0100"
        )


def test_without_a_random_value_its_bound_refuses() -> None:
    verdict = only(Gate(min_factor=2))
    assert not verdict.passed
    assert "which was not measured" in verdict.note


@pytest.mark.parametrize(
    ("gate", "lenient", "strict"),
    [
        ({"minimum": 0.27}, True, False),
        ({"minimum": 0.29}, False, False),
        ({"maximum": 0.13}, True, False),
        ({"maximum": 0.11}, False, False),
        ({"max_drop": 0.01}, True, False),
        ({"minimum": 0.2}, True, True),
    ],
)
def test_a_bound_inside_the_interval_refuses_only_where_it_is_strict(
    gate: dict[str, float], lenient: bool, strict: bool
) -> None:
    previous = replace(NOW, measures={**NOW.measures, "simlex999": Measured(0.25, 0.17, 0.33)})
    for is_strict, passed in ((False, lenient), (True, strict)):
        verdict = only(Gate.model_validate(gate | {"strict": is_strict}), previous=previous, metric="simlex999")
        assert verdict.passed is passed
        assert (verdict.low, verdict.high) == (0.12, 0.28)


def test_a_section_can_be_a_gate() -> None:
    assert only(Gate(minimum=0.2), metric="google_analogies/semantic").passed
    previous = replace(NOW, measures={**NOW.measures, "google_analogies/semantic": Measured(0.5)})
    verdict = only(Gate(max_drop=0.1), previous=previous, metric="google_analogies/semantic")
    assert not verdict.passed
    assert verdict.previous == 0.5


def test_where_there_is_nothing_to_measure_a_gate_says_so_and_passes() -> None:
    first = replace(NOW, not_applicable={"stability_overlap": "not compared: the table has no release yet"})
    verdict = only(Gate(minimum=0.2), current=first, metric="stability_overlap")
    assert (verdict.passed, verdict.value) == (True, None)
    assert verdict.note == "not compared: the table has no release yet"


def test_gates_on_what_does_not_exist_are_found_before_anything_is_measured() -> None:
    metrics = ["wordsim353", "neighbor_overlap", "neighbor_overlap_random"]
    gates = {
        "wordsim_353": None,
        "wordsim353": Gate(min_factor=2),
        "neighbor_overlap/rank 1 to 1,000": Gate(minimum=0.1),
        "neighbor_overlap": Gate(min_factor=2),
    }
    assert unknown_gates(gates, metrics) == [
        "unknown metric wordsim_353; the metrics are wordsim353, neighbor_overlap, neighbor_overlap_random",
        "wordsim353 has no value for random vectors, so its gate can have no min_factor",
    ]


def test_verdicts_come_in_one_order_whatever_the_order_of_the_gates() -> None:
    gates = {name: Gate(minimum=0.05) for name in ("zzz", "neighbor_overlap", "aaa", "wordsim353")}
    assert [verdict.metric for verdict in judge(NOW, gates, None)] == ["wordsim353", "neighbor_overlap", "aaa", "zzz"]


def test_the_bounds_of_a_verdict_read_as_a_line() -> None:
    gate = Gate(minimum=0.05, maximum=0.9, max_drop=0.02, min_factor=3, strict=True)
    first = only(gate, metric="neighbor_overlap")
    assert bound_text(vars(first)) == "≥ 0.05, ≤ 0.9, ≥ current - 0.02, ≥ 3 x 0.0100 (strict)"
    assert "≥ 0.1000 - 0.02" in bound_text(vars(only(gate, previous=NOW, metric="neighbor_overlap")))


def test_verdicts_become_rows_of_plain_values() -> None:
    assert verdict_rows([only(Gate(minimum=0.4))]) == [
        {
            "metric": "wordsim353",
            "value": 0.5,
            "low": None,
            "high": None,
            "minimum": 0.4,
            "maximum": None,
            "previous": None,
            "max_drop": None,
            "random": None,
            "min_factor": None,
            "strict": False,
            "passed": True,
            "note": "",
        }
    ]


@pytest.mark.parametrize(
    "setting",
    [
        {},
        {"minimum": math.nan},
        {"max_drop": -0.1},
        {"min_factor": 0},
        {"least": 1},
        {"minimum": None},
        {"strict": True},
    ],
)
def test_a_gate_that_asks_for_nothing_or_nonsense_is_refused(setting: dict[str, float]) -> None:
    with pytest.raises(ValidationError):
        Gate(**setting)
