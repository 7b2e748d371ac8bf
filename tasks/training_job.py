"""What a run and the ranks that train for it say to each other. Imports no torch, unlike the ranks."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from tasks.checkpoints import Recipe
from tasks.trainers.config import SharedWindowConfig, training_config

# Exit statuses of a rank: an error that it has reported, and the loss of another rank.
REPORTED = 3
PEER_LOST = 75
# The line with which the run asks rank 0 to save and stop.
STOP = "stop"
# Under this name rank 0 leaves the job for the other ranks, or that there is none.
JOB = "vecmill/job"
NOTHING_TO_TRAIN = "nothing to train"


@dataclass(frozen=True)
class Job:
    """What the ranks train. encoded, vocabulary, folder: paths that every rank can read; rank 0 writes `folder`.

    config: resolved settings.  recipe: stored in checkpoints.
    """

    encoded: Path
    vocabulary: Path
    folder: Path
    config: SharedWindowConfig
    recipe: Recipe

    def as_json(self) -> str:
        """The job as text for another process."""
        paths = {name: str(getattr(self, name)) for name in ("encoded", "vocabulary", "folder")}
        return json.dumps(paths | {"config": self.config.model_dump(), "recipe": vars(self.recipe)})

    @classmethod
    def from_json(cls, text: str) -> Self:
        """The job of `as_json`."""
        values = json.loads(text)
        config = training_config(values["config"])
        assert isinstance(config, SharedWindowConfig)
        paths = {name: Path(values[name]) for name in ("encoded", "vocabulary", "folder")}
        return cls(**paths, config=config, recipe=Recipe(**values["recipe"]))


@dataclass(frozen=True)
class RankTotals:
    """What rank 0 has done when it ends. tokens: encoded tokens that it trained in this run.

    exchanged_bytes: added up with the other ranks.  seconds, exchange_seconds: of training, and of those in exchanges.
    """

    tokens: float
    seconds: float
    exchanged_bytes: int
    exchange_seconds: float
