"""Gates refuse what is too low or has fallen too far, and compare only what can be compared."""

import math
from dataclasses import replace

import pytest
from pydantic import ValidationError

from tasks.metrics.gates import Gate, Scores, Verdict, judge, verdict_rows

NOW = Scores(
    metrics={"wordsim353": 0.50, "simlex999": 0.20, "google_analogies": None, "neighbor_overlap": 0.10},
    corpus_digest="reviews",
    digests={"wordsim353": "ws", "simlex999": "sl", "google_analogies": "ga", "neighbor_overlap": "glove"},
)


def only(gate: Gate, current: Scores = NOW, previous: Scores | None = None, metric: str = "wordsim353") -> Verdict:
    (verdict,) = judge(current, {metric: gate}, previous)
    return verdict


def with_value(value: float | None) -> Scores:
    return replace(NOW, metrics={**NOW.metrics, "wordsim353": value})


@pytest.mark.parametrize(("minimum", "passed"), [(0.4, True), (0.5, True), (0.51, False)])
def test_a_value_passes_at_its_minimum_and_above(minimum: float, passed: bool) -> None:
    assert only(Gate(minimum=minimum)).passed is passed


def test_a_refusal_names_metric_value_and_bound() -> None:
    verdict = only(Gate(minimum=0.6))
    assert verdict.note == "wordsim353 is 0.5000, below the minimum 0.6"


@pytest.mark.parametrize(("before", "passed"), [(0.40, True), (0.52, True), (0.53, False)])
def test_a_value_may_lie_below_the_current_release_by_max_drop(before: float, passed: bool) -> None:
    verdict = only(Gate(max_drop=0.02), previous=with_value(before))
    assert verdict.passed is passed
    assert verdict.previous == before


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


def test_a_gate_on_an_unknown_metric_names_the_known_ones() -> None:
    with pytest.raises(ValueError, match=r"wordsim_353.*gates exist for wordsim353, simlex999"):
        judge(NOW, {"wordsim_353": Gate(minimum=0.1)}, None)


def test_verdicts_come_in_one_order_whatever_the_order_of_the_gates() -> None:
    gates = {"neighbor_overlap": Gate(minimum=0.05), "wordsim353": Gate(minimum=0.1)}
    assert [verdict.metric for verdict in judge(NOW, gates, None)] == ["wordsim353", "neighbor_overlap"]


def test_verdicts_become_rows_of_plain_values() -> None:
    assert verdict_rows([only(Gate(minimum=0.4))]) == [
        {
            "metric": "wordsim353",
            "value": 0.5,
            "minimum": 0.4,
            "previous": None,
            "max_drop": None,
            "passed": True,
            "note": "",
        }
    ]


@pytest.mark.parametrize(
    "setting", [{}, {"minimum": math.nan}, {"minimum": 2}, {"max_drop": -0.1}, {"maximum": 1}, {"minimum": None}]
)
def test_a_gate_that_asks_for_nothing_or_nonsense_is_refused(setting: dict[str, float]) -> None:
    with pytest.raises(ValidationError):
        Gate(**setting)
