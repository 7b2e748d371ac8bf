"""The settings of a publication: table, gates, alignment."""

from collections.abc import Sequence
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from storage.errors import SettingsError
from storage.layout import TABLE_NAME
from storage.models.comparisons import CHANGE_METRICS, REFERENCE_METRICS
from storage.models.matrices import Matrix
from storage.redaction import without_credentials
from storage.releases.mirror import check_mirror
from tasks.metrics.gates import Gate, unknown_gates
from tasks.score_changes import change_metrics
from tasks.scoring import EvaluationConfig

Align = Literal["previous", "reference", "none"]


class PublicationConfig(BaseModel):
    """Which table the release is published to, and the gates it must pass."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    table: str = Field("word-vectors", pattern=f"^{TABLE_NAME.pattern}$", description="name of the published table")
    matrix: Matrix | None = Field(
        None,
        description="vectors to publish: svd (both matrices and the factors of PPMI side by side, reduced to "
        "`dimension` columns; default of skip_gram and cbow), mixed (unit center plus 0.3 unit context vectors), "
        "center (as word2vec does), context, the mean of both, their sum (as GloVe does; default of glove), or those "
        "joined with an encoder's (fused, with training.fuse_with)",
    )
    align: Align = Field(
        "none",
        description="rotate new vectors onto older ones: the current release (previous), the reference vectors, or not "
        "at all",
    )
    gates: dict[str, Gate | None] = Field(
        default_factory=dict,
        description="metric -> bounds: minimum, maximum, max_drop, min_factor, strict",
    )
    when_busy: Literal["wait", "refuse"] = Field(
        "wait", description="if another run is building the same table: wait for it, or fail"
    )

    mirror: str | None = Field(
        None,
        min_length=1,
        max_length=1000,
        description="address in an object store (s3, gs, az) to which every release is copied; none: no mirror",
    )

    @field_validator("gates", mode="before")
    @classmethod
    def _none_is_no_gate(cls, gates: object) -> object:
        """`publication.gates=none` means no gates."""
        return {} if gates is None else gates

    @field_validator("mirror")
    @classmethod
    def _no_credentials(cls, mirror: str | None) -> str | None:
        """Prefect stores the settings of a run; `check_mirror` refuses an address whose credentials were removed."""
        return None if mirror is None else without_credentials(mirror)

    @property
    def published_matrix(self) -> Matrix:
        """The vectors to publish; `BuildParameters` resolves the default of a model family."""
        return self.matrix or "center"

    @property
    def active_gates(self) -> dict[str, Gate]:
        """The gates without disabled ones, which are set to none."""
        return {metric: gate for metric, gate in self.gates.items() if gate is not None}


def check_publication(publication: PublicationConfig, evaluation: EvaluationConfig, measured: Sequence[str]) -> None:
    """Raise SettingsError for gates on metrics that will not be measured, align=reference without a reference, or a
    mirror that is not an address of an object store.

    measured: names of the metrics that the settings yield, except for those of comparisons with other releases.
    """
    if publication.mirror is not None:
        check_mirror(publication.mirror)
    metrics = [*measured, *CHANGE_METRICS, *change_metrics(evaluation)]
    if publication.align == "reference":
        metrics += REFERENCE_METRICS
        if not evaluation.reference:
            raise SettingsError(
                "publication.align=reference needs evaluation.reference; set it, or set publication.align=none"
            )
    if problems := unknown_gates(publication.gates, metrics):
        raise SettingsError("\n".join(f"publication.gates: {problem}" for problem in problems))
