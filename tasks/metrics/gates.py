"""Gates: what a model's metrics must reach before it is published, and the verdict on each.

A gate is an absolute bound, a bound on the loss against the current release, or both. The second is only applied
where both models were measured in the same way on the same text; otherwise the verdict says why it was not.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

GATED_METRICS = ("wordsim353", "simlex999", "google_analogies", "neighbor_overlap")

# Metrics are means of thousands of float32 values; a difference below this is rounding, not a worse model.
ROUNDING = 1e-9


class Gate(BaseModel):
    """What one metric must reach: an absolute bound, a bound against the current release, or both."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    minimum: float | None = Field(default=None, ge=-1, le=1, description="lowest value that passes")
    max_drop: float | None = Field(
        default=None, ge=0, le=2, description="how far below the current release's value a value may lie"
    )

    @model_validator(mode="after")
    def _asks_for_something(self) -> Self:
        if self.minimum is None and self.max_drop is None:
            raise ValueError("a gate needs minimum, max_drop or both")
        return self


@dataclass(frozen=True)
class Scores:
    """The metrics of one model and what they were measured on.

    metrics: metric -> value, None where it could not be measured.
    corpus_digest: digest of the text that the model was trained on.
    digests: metric -> digest of the gold set or reference vectors, and of the settings, that it was measured with.
    """

    metrics: Mapping[str, float | None]
    corpus_digest: str
    digests: Mapping[str, str]


@dataclass(frozen=True)
class Verdict:
    """One gate's outcome.

    value: the metric, None where it could not be measured.  minimum, max_drop: the gate.
    previous: the current release's value if the two were compared, else None.
    note: why the gate refused, or why no comparison was made; empty when there is nothing to say.
    """

    metric: str
    value: float | None
    minimum: float | None
    previous: float | None
    max_drop: float | None
    passed: bool
    note: str


def judge(current: Scores, gates: Mapping[str, Gate], previous: Scores | None) -> list[Verdict]:
    """One verdict for each gate, in the order of GATED_METRICS.

    previous: scores of the current release of the same table, None before the first release.
    Raises ValueError for a gate on a metric that does not exist.
    """
    unknown = sorted(set(gates) - set(GATED_METRICS))
    if unknown:
        raise ValueError(f"no metric is called {', '.join(unknown)}; gates exist for {', '.join(GATED_METRICS)}")
    return [_judge_one(metric, gates[metric], current, previous) for metric in GATED_METRICS if metric in gates]


def verdict_rows(verdicts: Sequence[Verdict]) -> list[dict[str, Any]]:
    """The verdicts as rows of plain values, for a table that people read."""
    return [asdict(verdict) for verdict in verdicts]


def _judge_one(metric: str, gate: Gate, current: Scores, previous: Scores | None) -> Verdict:
    value = _measured(current, metric)
    before, why_not = (None, "") if gate.max_drop is None else _comparable_value(metric, current, previous)
    if value is None:
        notes = [f"{metric} could not be measured, so it cannot reach its gate"]
    else:
        notes = _refusals(metric, value, gate, before)
    return Verdict(
        metric=metric,
        value=value,
        minimum=gate.minimum,
        previous=before,
        max_drop=gate.max_drop,
        passed=not notes,
        note="; ".join([*notes, why_not] if why_not else notes),
    )


def _refusals(metric: str, value: float, gate: Gate, before: float | None) -> list[str]:
    """What is wrong with a value, naming metric, value and bound."""
    refusals = []
    if gate.minimum is not None and value < gate.minimum - ROUNDING:
        refusals.append(f"{metric} is {value:.4f}, below the minimum {gate.minimum:g}")
    if gate.max_drop is not None and before is not None and value < before - gate.max_drop - ROUNDING:
        refusals.append(
            f"{metric} is {value:.4f}, more than {gate.max_drop:g} below the current release's {before:.4f}"
        )
    return refusals


def _comparable_value(metric: str, current: Scores, previous: Scores | None) -> tuple[float | None, str]:
    """The current release's value, or None and the reason why the two cannot be compared."""
    if previous is None:
        return None, "not compared: the table has no release yet"
    if previous.corpus_digest != current.corpus_digest:
        return None, "not compared with the current release: it was trained on another corpus"
    if metric not in current.digests or previous.digests.get(metric) != current.digests[metric]:
        yardstick = "reference vectors" if metric == "neighbor_overlap" else "gold set"
        return None, f"not compared with the current release: its {yardstick} or evaluation settings differ"
    value = _measured(previous, metric)
    if value is None:
        return None, "not compared with the current release: it has no value for this metric"
    return value, ""


def _measured(scores: Scores, metric: str) -> float | None:
    value = scores.metrics.get(metric)
    return None if value is None or not math.isfinite(value) else float(value)
