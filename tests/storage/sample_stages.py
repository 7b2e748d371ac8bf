"""Stages for tests that need one of any kind."""

from collections.abc import Mapping
from typing import Any, ClassVar

from storage.stages import Stage, StageFacts


class SampleFacts(StageFacts):
    label: ClassVar[str] = "tokens"
    unit: ClassVar[str] = "tokens"

    rows: int = 0

    @property
    def row_count(self) -> int:
        return self.rows


def sample_stage(
    kind: str, version: int = 1, config: Mapping[str, Any] | None = None, inputs: Mapping[str, str] | None = None
) -> Stage[SampleFacts]:
    return Stage(kind, version, config or {}, inputs or {}, SampleFacts)
