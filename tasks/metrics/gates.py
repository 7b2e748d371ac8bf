"""Gates: bounds that a model's measures must meet before it is published, and the verdict on each.

Any measure can have a gate, under its metric's name or as `metric/section`. Bounds are absolute, relative to the
current release, or relative to random vectors. A bound relative to the current release applies only if both were
measured the same way on the same text; otherwise the verdict says why it did not.

A measure with a 95 % interval misses a bound only if the whole interval does: a difference within sampling noise is no
reason to refuse a release. Where the change from the current release was measured on the same pairs or questions,
`max_drop` uses the interval of that change, which is narrower. `strict` compares the value itself with the bounds.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

# Metrics are means of thousands of float32 values; a difference below this is rounding, not a worse model.
ROUNDING = 1e-9
RANDOM = "_random"
# Suffix of the measure that holds the change from the current release on the same pairs or questions.
CHANGE = "_change"


class Gate(BaseModel):
    """The bounds of one measure, at least one."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    minimum: float | None = Field(default=None, description="lowest value that passes")
    maximum: float | None = Field(default=None, description="highest value that passes")
    max_drop: float | None = Field(default=None, ge=0, description="largest drop below the current release's value")
    min_factor: float | None = Field(
        default=None, gt=0, description="how many times the value of random vectors it must reach"
    )
    strict: bool = Field(
        default=False, description="hold the value itself against the bounds, not the near end of its 95 % interval"
    )

    @model_validator(mode="after")
    def _asks_for_something(self) -> Self:
        if self.minimum is None and self.maximum is None and self.max_drop is None and self.min_factor is None:
            raise ValueError("a gate needs minimum, maximum, max_drop or min_factor")
        return self


@dataclass(frozen=True)
class Measured:
    """One value, None if it could not be measured, and its 95 % interval if it has one."""

    value: float | None
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class Scores:
    """The measures of one model and what they were measured on.

    measures: metric, or metric/section -> value and interval.
    corpus_digest: digest of the text that the model was trained on.
    digests: metric -> digest of the gold set or reference vectors, and of the settings, that it was measured with.
    not_applicable: metric -> why it does not apply; its gate then passes.
    """

    measures: Mapping[str, Measured]
    corpus_digest: str
    digests: Mapping[str, str]
    not_applicable: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Verdict:
    """One gate's outcome.

    value, low, high: the measure and its interval, None if it was not measured or has none.
    minimum, maximum, max_drop, min_factor, strict: the gate.
    previous: the current release's value if the two were compared, else None.  random: value of random vectors.
    note: why the gate refused, or why no comparison was made; empty otherwise.
    """

    metric: str
    value: float | None
    low: float | None
    high: float | None
    minimum: float | None
    maximum: float | None
    previous: float | None
    max_drop: float | None
    random: float | None
    min_factor: float | None
    strict: bool
    passed: bool
    note: str


def unknown_gates(gates: Mapping[str, Gate | None], metrics: Sequence[str]) -> list[str]:
    """Problems with the names of gates: a sentence for each without a metric or without the random value it needs."""
    problems = []
    for name, gate in gates.items():
        metric, _, section = name.partition("/")
        if metric not in metrics:
            problems.append(f"unknown metric {metric}; the metrics are {', '.join(metrics)}")
        elif gate and gate.min_factor is not None and (section or f"{metric}{RANDOM}" not in metrics):
            problems.append(f"{name} has no value for random vectors, so its gate can have no min_factor")
    return problems


def judge(current: Scores, gates: Mapping[str, Gate], previous: Scores | None) -> list[Verdict]:
    """One verdict for each gate, in the order of the measures.

    previous: scores of the current release of the same table, None before the first release.
    """
    order = {name: place for place, name in enumerate(current.measures)}
    names = sorted(gates, key=lambda name: (order.get(name, len(order)), name))
    return [_judge_one(name, gates[name], current, previous) for name in names]


def verdict_rows(verdicts: Sequence[Verdict]) -> list[dict[str, Any]]:
    """The verdicts as rows of plain values, for display."""
    return [asdict(verdict) for verdict in verdicts]


def bound_text(verdict: Mapping[str, Any]) -> str:
    """The bounds of a verdict's row in short form, such as `≥ 0.28, ≥ 0.4783 - 0.06`."""
    parts = []
    if verdict["minimum"] is not None:
        parts.append(f"≥ {verdict['minimum']:g}")
    if verdict["maximum"] is not None:
        parts.append(f"≤ {verdict['maximum']:g}")
    if verdict["max_drop"] is not None:
        before = "current" if verdict["previous"] is None else f"{verdict['previous']:.4f}"
        parts.append(f"≥ {before} - {verdict['max_drop']:g}")
    if verdict["min_factor"] is not None:
        chance = "random" if verdict["random"] is None else f"{verdict['random']:.4f}"
        parts.append(f"≥ {verdict['min_factor']:g} x {chance}")
    return ", ".join(parts) + (" (strict)" if verdict["strict"] else "")


def _judge_one(name: str, gate: Gate, current: Scores, previous: Scores | None) -> Verdict:
    measured = _finite(current.measures.get(name))
    before, notes = None, []
    if gate.max_drop is not None:
        before, why_not = _comparable_value(name, current, previous)
        notes = [why_not] if why_not else []
    random = None if gate.min_factor is None else _finite(current.measures.get(f"{name}{RANDOM}")).value
    refusals: list[str] = []
    metric = name.partition("/")[0]
    if measured.value is not None:
        section = name.removeprefix(metric)
        change = _finite(current.measures.get(f"{metric}{CHANGE}{section}"))
        refusals = _refusals(name, measured, gate, random)
        if gate.max_drop is not None and before is not None:
            refusals += _drop_refusals(name, measured, gate, before, change)
    elif metric in current.not_applicable:
        notes = [current.not_applicable[metric]]
    else:
        refusals = [f"{name} could not be measured, so it cannot reach its gate"]
    return Verdict(
        metric=name,
        **asdict(measured),
        **gate.model_dump(),
        previous=before,
        random=random,
        passed=not refusals,
        note="; ".join(refusals + notes),
    )


def _drop_refusals(name: str, measured: Measured, gate: Gate, before: float, change: Measured) -> list[str]:
    """Why a value has fallen too far; empty if it has not.

    change: from the current release, with its interval, None if it was not measured on the same pairs or questions.
    """
    value, bound = measured.value or 0.0, gate.max_drop or 0.0
    highest, within = value - before, ""
    if not gate.strict and change.low is not None and change.high is not None:
        highest, within = change.high, f" (95 % interval of the change {change.low:.4f} to {change.high:.4f})"
    elif not gate.strict and measured.low is not None and measured.high is not None:
        highest = measured.high - before
        within = f" (95 % interval {measured.low:.4f} to {measured.high:.4f})"
    if highest >= -bound - ROUNDING:
        return []
    return [f"{name} is {value:.4f}{within}, more than {bound:g} below the current release's {before:.4f}"]


def _refusals(name: str, measured: Measured, gate: Gate, random: float | None) -> list[str]:
    """Why a value fails its absolute bounds or that against random vectors, naming measure, value and bound."""
    value = measured.value or 0.0
    has_interval = not gate.strict and measured.low is not None and measured.high is not None
    highest, lowest = (measured.high or 0.0, measured.low or 0.0) if has_interval else (value, value)
    within = f" (95 % interval {measured.low:.4f} to {measured.high:.4f})" if has_interval else ""
    refusals = []
    if gate.minimum is not None and highest < gate.minimum - ROUNDING:
        refusals.append(f"below the minimum {gate.minimum:g}")
    if gate.maximum is not None and lowest > gate.maximum + ROUNDING:
        refusals.append(f"above the maximum {gate.maximum:g}")
    if gate.min_factor is not None and (random is None or highest < gate.min_factor * random - ROUNDING):
        chance = "which was not measured" if random is None else f"{random:.4f}"
        refusals.append(f"below {gate.min_factor:g} times the value of random vectors, {chance}")
    return [f"{name} is {value:.4f}{within}, {refusal}" for refusal in refusals]


def _comparable_value(name: str, current: Scores, previous: Scores | None) -> tuple[float | None, str]:
    """The current release's value, or None and the reason why the two cannot be compared."""
    metric = name.partition("/")[0]
    if previous is None:
        return None, "not compared: the table has no release yet"
    if previous.corpus_digest != current.corpus_digest:
        return None, "not compared with the current release: it was trained on another corpus"
    if metric not in current.digests or previous.digests.get(metric) != current.digests[metric]:
        yardstick = "reference vectors" if metric.startswith("neighbor_") else "gold set"
        return None, f"not compared with the current release: its {yardstick} or evaluation settings differ"
    value = _finite(previous.measures.get(name)).value
    if value is None:
        return None, "not compared with the current release: it has no value for this metric"
    return value, ""


def _finite(measured: Measured | None) -> Measured:
    if measured is None or measured.value is None or not math.isfinite(measured.value):
        return Measured(None)
    return measured
