"""Save and restore the state of a training, also for another number of processes than the one that saved it."""

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from storage.errors import WorkspaceError
from storage.layout import Workspace
from storage.locks import held_lock
from storage.models.matrices import Checkpoint, move_checkpoint, read_checkpoint, read_progress, write_checkpoint
from storage.stages import Stage
from tasks.trainers.interface import EpochResult, TrainingState

logger = logging.getLogger(__name__)

# Settings that two trainings may differ in and still continue each other's checkpoints.
HOW_MANY = {"processes", "process_exchange", "exchange_version", "workers"}


@dataclass(frozen=True)
class Recipe:
    """What a checkpoint belongs to. digest: of all that a training does except by how many.  processes: by how many."""

    digest: str
    processes: int


def recipe_of(stage: Stage[Any]) -> Recipe:
    """The recipe of a training stage."""
    config = {name: value for name, value in stage.config.items() if name not in HOW_MANY}
    same = Stage(stage.kind, stage.version, config, stage.inputs, stage.facts)
    return Recipe(same.digest, stage.config.get("processes", 1))


def save_state(folder: Path, state: TrainingState, epochs: list[EpochResult], recipe: Recipe) -> None:
    """Replace the checkpoint in the folder of a training stage."""
    position = {name: getattr(state, name) for name in ("epoch", "next_chunk", "loss_sum", "pairs", "seconds")}
    progress = {"state": position, "epochs": [vars(epoch) for epoch in epochs], "recipe": vars(recipe)}
    write_checkpoint(folder, Checkpoint(state.center_vectors, state.context_vectors, progress, state.optimizer))


def restore_state(folder: Path) -> tuple[TrainingState | None, list[EpochResult]]:
    """The state and the finished epochs of an interrupted training, or None and no epochs."""
    checkpoint = read_checkpoint(folder)
    if checkpoint is None:
        return None, []
    state = TrainingState(
        checkpoint.center_vectors,
        checkpoint.context_vectors,
        **checkpoint.progress["state"],
        optimizer=checkpoint.optimizer,
    )
    return state, [EpochResult(**epoch) for epoch in checkpoint.progress["epochs"]]


def adopt_checkpoint(workspace: Workspace, stage: Stage[Any]) -> None:
    """Take over the checkpoint of a run of the same recipe by another number of processes, if it got further.

    The stage is locked by the caller; one that another run is working on is left alone.
    """
    recipe, folder = recipe_of(stage), workspace.partial_folder(stage.kind, stage.digest)
    found = [
        (_position(other), digest, other)
        for digest, other in workspace.partial_folders(stage.kind).items()
        if _is_continued_by(other, recipe)
    ]
    for position, digest, other in sorted(found, reverse=True):
        if position <= _position(folder):
            return
        busy = WorkspaceError(f"{other} is in use")
        try:
            with held_lock(workspace.stage_lock(stage.kind, digest), str(other), refusal=busy):
                move_checkpoint(other, folder)
        except (WorkspaceError, FileNotFoundError):
            continue
        logger.info(
            "continuing the training in %s, with %d instead of its number of processes", other, recipe.processes
        )
        return


def processes_of_checkpoint(folder: Path) -> int | None:
    """How many processes wrote the checkpoint in a folder; None if there is none."""
    progress = read_progress(folder)
    return None if progress is None else (progress.get("recipe") or {}).get("processes", 1)


def _is_continued_by(folder: Path, recipe: Recipe) -> bool:
    saved = (read_progress(folder) or {}).get("recipe") or {}
    return bool(saved.get("digest") == recipe.digest and saved.get("processes") != recipe.processes)


def _position(folder: Path) -> tuple[int, int]:
    """Epoch and chunk of a checkpoint; of none: before all."""
    progress = read_progress(folder)
    return (progress["state"]["epoch"], progress["state"]["next_chunk"]) if progress else (-1, 0)
