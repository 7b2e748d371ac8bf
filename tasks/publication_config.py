"""The settings of a publication: table, gates, alignment."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from storage.errors import SettingsError
from storage.layout import TABLE_NAME
from storage.models.comparisons import CHANGE_METRICS, REFERENCE_METRICS
from storage.models.matrices import Matrix
from tasks.metrics.gates import Gate, unknown_gates
from tasks.scoring import EvaluationConfig, evaluation_metrics

Align = Literal["previous", "reference", "none"]


class PublicationConfig(BaseModel):
    """Which table the release goes to, and what it must reach."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    table: str = Field("word-vectors", pattern=f"^{TABLE_NAME.pattern}$", description="name of the published table")
    matrix: Matrix = Field(
        "center", description="vectors to publish: center (what word2vec saves), context, or the mean of both"
    )
    align: Align = Field(
        "none",
        description="older vectors onto which these are turned: previous (the current release), reference or none",
    )
    gates: dict[str, Gate | None] = Field(
        default_factory=dict,
        description="measure -> what it must reach: minimum, maximum, max_drop, min_factor, strict",
    )
    when_busy: Literal["wait", "refuse"] = Field(
        "wait", description="another run of the same table is at work: wait until it has ended, or give up"
    )

    @field_validator("gates", mode="before")
    @classmethod
    def _none_is_no_gate(cls, gates: object) -> object:
        """No gate at all, where the whole of them is set to none."""
        return {} if gates is None else gates

    @property
    def active_gates(self) -> dict[str, Gate]:
        """The gates without those that are set to none, which switches them off."""
        return {metric: gate for metric, gate in self.gates.items() if gate is not None}


def check_publication(publication: PublicationConfig, evaluation: EvaluationConfig) -> None:
    """Raise SettingsError that names each gate on what will not be measured, or the lack of vectors to align with."""
    metrics = [*evaluation_metrics(evaluation), *CHANGE_METRICS]
    if publication.align == "reference":
        metrics += REFERENCE_METRICS
        if not evaluation.reference:
            raise SettingsError(
                "publication.align=reference needs vectors in evaluation.reference; name some, or align none"
            )
    if problems := unknown_gates(publication.gates, metrics):
        raise SettingsError("\n".join(f"publication.gates: {problem}" for problem in problems))
