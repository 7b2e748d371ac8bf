"""Train the vectors: from the encoded corpus to the two matrices of the model, with checkpoints."""

import logging
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from prefect import task
from prefect.cache_policies import NO_CACHE

from storage.corpus.cooccurrences import CooccurrenceCorpus
from storage.corpus.encoded import EncodedCorpus
from storage.corpus.vocabularies import read_vocabulary
from storage.errors import TrainingError
from storage.layout import Workspace
from storage.models.matrices import Checkpoint, read_checkpoint, write_checkpoint, write_vectors
from storage.releases.start_vectors import PREVIOUS, StartPoint, read_start
from storage.stages import Manifest, Stage, StageFacts, complete_stage
from tasks.artifacts import training_progress
from tasks.cooccurrences import CooccurrenceFacts
from tasks.corpus_config import CorpusConfig
from tasks.trainers.backends import explain_backend, resolve_config, train
from tasks.trainers.bookkeeping import first_state
from tasks.trainers.compiling import finish_compiling
from tasks.trainers.config import DistilledConfig, FastTextConfig, TrainingConfig, training_config
from tasks.trainers.interface import OWN_VECTORS, DivergenceError, EpochResult, TrainingState, TrainingStep, Vocabulary
from tasks.trainers.warm_start import start_from
from tasks.vocabulary import EncodedFacts, VocabularyFacts

logger = logging.getLogger(__name__)

STAGE_VERSION = 1
# Up to version 1 the torch backend trained with .04 times the learning rate that was set; up to 2 it drew in another
# order.
TORCH_STAGE_VERSION = 3
# Settings that cannot change the vectors.
NOT_IN_DIGEST = {
    "start_from", "checkpoint_every_seconds", "cooccurrence_megabytes", "cooccurrence_disk_megabytes", "fuse_with",
    "fused_dimension",
}  # fmt: skip


class ModelFacts(StageFacts):
    """A trained model. seconds: all epochs.  words_per_second: corpus tokens per second, as word2vec counts them."""

    label: ClassVar[str] = "training"
    unit: ClassVar[str] = "vectors"

    backend: str
    epochs: list[EpochResult]
    seconds: float
    words_per_second: int
    rows: int
    dimension: int

    @property
    def row_count(self) -> int:
        """Vectors."""
        return self.rows


AnyVocabulary = Stage[VocabularyFacts] | Manifest[VocabularyFacts]


def resolved(config: TrainingConfig, vocabulary: AnyVocabulary) -> TrainingConfig:
    """The settings with `auto` resolved for this machine. Raises TrainingError if the machine cannot meet them.

    A vocabulary that is not built yet is assumed to fit on the GPU, if the machine has one.
    """
    try:
        return resolve_config(config, _words(vocabulary))
    except ValueError as error:
        raise TrainingError(str(error)) from error


def _words(vocabulary: AnyVocabulary) -> int | None:
    """Size of the vocabulary, if it is built."""
    return vocabulary.facts.words if isinstance(vocabulary, Manifest) else None


def start_spec(corpus: CorpusConfig, config: TrainingConfig) -> str | None:
    """What training starts from. Training on new files only starts from the current release unless set otherwise."""
    if isinstance(config, DistilledConfig):
        return None
    return config.start_from or (PREVIOUS if corpus.train_on == "new" else None)


def training_stage(
    encoded: Stage[EncodedFacts] | Manifest[EncodedFacts],
    vocabulary: AnyVocabulary,
    config: TrainingConfig,
    start: StartPoint | None = None,
    cooccurrences: Stage[CooccurrenceFacts] | Manifest[CooccurrenceFacts] | None = None,
) -> Stage[ModelFacts]:
    """The stage for these inputs and settings: everything that can change the vectors, with `auto` resolved."""
    inputs = {"encoded": encoded.digest, "vocabulary": vocabulary.digest}
    if cooccurrences:
        inputs["cooccurrences"] = cooccurrences.digest
    config = resolved(config, vocabulary)
    return Stage(
        kind="models",
        version=TORCH_STAGE_VERSION if config.backend == "torch" else STAGE_VERSION,
        config=config.model_dump(exclude=NOT_IN_DIGEST),
        inputs=inputs | ({"start": start.digest} if start else {}),
        facts=ModelFacts,
    )


def as_trained(config: TrainingConfig, model: Manifest[ModelFacts]) -> TrainingConfig:
    """The settings with the backend, device, workers and learning rate that the model was trained with."""
    return training_config(config.model_dump() | dict(model.config))


@task(name="train vectors", cache_policy=NO_CACHE)
def train_vectors(
    encoded: Manifest[EncodedFacts],
    vocabulary: Manifest[VocabularyFacts],
    config: TrainingConfig,
    workspace: Workspace,
    start: StartPoint | None = None,
    cooccurrences: Manifest[CooccurrenceFacts] | None = None,
) -> Manifest[ModelFacts]:
    """Train vectors on the encoded corpus, resuming from the checkpoint of an interrupted run.

    start: vectors of an earlier release to start from; None: random vectors.
    cooccurrences: those of the corpus, for the families that train on them instead.
    """
    requested = config
    config = resolved(config, vocabulary)
    source = CooccurrenceCorpus(cooccurrences.path) if cooccurrences else EncodedCorpus(encoded.path)
    words = read_vocabulary(vocabulary.path)
    counts = Vocabulary(words.counts, words.keep_probability, words.noise_probability, _ngrams(words.words, config))
    corpus_tokens = encoded.facts.corpus_tokens

    def build(folder: Path) -> ModelFacts:
        logger.info("training with %s", explain_backend(requested, len(words.words)))
        state, epochs = _restored(folder)
        with training_progress(corpus_tokens * config.epochs) as progress, _named_errors():
            if state is None and start is not None:
                state = _initial_state(start, words.words, counts, config)
            finish_compiling()
            steps = train(source, counts, config, state, resumable_every_seconds=config.checkpoint_every_seconds)
            for step in _with_checkpoints(steps, folder, epochs, config.checkpoint_every_seconds):
                progress.advanced(step.tokens_done * corpus_tokens // source.token_count)
                state = step.state
                if step.epoch_result:
                    logger.info(_epoch_line(step.epoch_result, corpus_tokens))
        if state is None:
            raise TrainingError("training ended without a single step; this is a bug in the backend")
        # Sums of squared gradients only slow down a training that starts from this one.
        kept = {name: values for name, values in state.optimizer.items() if not name.endswith("squares")}
        center_vectors = state.center_vectors
        if counts.ngrams is not None:
            from tasks.trainers.cpu.subwords import composed_vectors

            kept[OWN_VECTORS] = center_vectors
            center_vectors = composed_vectors(counts, state)
        write_vectors(folder, center_vectors, state.context_vectors, kept)
        seconds = sum(epoch.seconds for epoch in epochs)
        return ModelFacts(
            backend=config.backend,
            epochs=epochs,
            seconds=round(seconds, 3),
            words_per_second=round(corpus_tokens * config.epochs / seconds),
            rows=len(words.words),
            dimension=config.dimension,
        )

    stage = training_stage(encoded, vocabulary, config, start, cooccurrences)
    return complete_stage(workspace, stage, build, resumable=True)


def _ngrams(words: list[str], config: TrainingConfig) -> tuple[NDArray[np.int64], NDArray[np.int32]] | None:
    """The hash buckets of each word's n-grams, for the family that composes words of them."""
    if not isinstance(config, FastTextConfig) or config.buckets is None:
        return None
    from tasks.trainers.ngrams import ngram_buckets

    return ngram_buckets(words, config.minimum_ngram, config.maximum_ngram, config.buckets)


def _initial_state(start: StartPoint, words: list[str], counts: Vocabulary, config: TrainingConfig) -> TrainingState:
    """An initial state that contains the vectors of the start point."""
    if config.starts_from == "own" and (start.family != config.model or start.model is None):
        what = "its model is gone from the workspace" if start.family == config.model else f"it is {start.family}"
        raise TrainingError(
            f"training.start_from: {config.model} continues only from all matrices of a {config.model} model, and "
            f"{start.release} does not have them ({what}); set training.start_from=none and corpus.train_on=all"
        )
    assert not isinstance(config, DistilledConfig)  # its settings refuse start_from
    state = first_state(counts, config)
    earlier = read_start(start)
    try:
        overlap = start_from(
            state, words, earlier.words, earlier.center_vectors, earlier.context_vectors, earlier.optimizer
        )
    except ValueError as error:
        raise TrainingError(f"{start.release}: {error}") from error
    what = "both matrices" if earlier.context_vectors is not None else "unit center vectors only"
    logger.info(
        "starting from %s (%s): %d words kept, %d new, %d lost",
        start.release.name, what, overlap.kept, overlap.new, overlap.lost,
    )  # fmt: skip
    return state


def _with_checkpoints(
    steps: Iterator[TrainingStep], folder: Path, epochs: list[EpochResult], every_seconds: float
) -> Iterator[TrainingStep]:
    """Yield the steps, collect finished epochs, and save the state at resumable steps and when interrupted."""
    step: TrainingStep | None = None
    saved = time.monotonic()
    try:
        with closing(steps):  # type: ignore[type-var]  # a generator, typed as what it yields
            for step in steps:
                if step.epoch_result:
                    epochs.append(step.epoch_result)
                if step.resumable and time.monotonic() - saved >= every_seconds:
                    _save(folder, step.state, epochs)
                    saved = time.monotonic()
                yield step
    except BaseException as error:
        # Ctrl-C, or Prefect's signal to cancel the run. Closing the trainer waits for its workers, so the state is
        # consistent; after an error in the trainer it may not be.
        if step is not None and not isinstance(error, Exception):
            _save(folder, step.state, epochs)
            logger.warning("training stopped; the next run resumes from the checkpoint in %s", folder)
        raise


def _save(folder: Path, state: TrainingState, epochs: list[EpochResult]) -> None:
    position = {name: getattr(state, name) for name in ("epoch", "next_chunk", "loss_sum", "pairs", "seconds")}
    progress = {"state": position, "epochs": [vars(epoch) for epoch in epochs]}
    write_checkpoint(folder, Checkpoint(state.center_vectors, state.context_vectors, progress, state.optimizer))


def _restored(folder: Path) -> tuple[TrainingState | None, list[EpochResult]]:
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
    logger.info("resuming from a checkpoint: epoch %d, chunk %d", state.epoch + 1, state.next_chunk)
    return state, [EpochResult(**epoch) for epoch in checkpoint.progress["epochs"]]


@contextmanager
def _named_errors() -> Iterator[None]:
    """Convert what the trainers raise to the error that users see."""
    try:
        yield
    except (DivergenceError, MemoryError) as error:
        raise TrainingError(str(error)) from error


def _epoch_line(result: EpochResult, corpus_tokens: int) -> str:
    rate = corpus_tokens / max(result.seconds, 1e-9)
    return f"epoch {result.epoch}: mean loss {result.mean_loss:.4f} per pair, {rate:,.0f} words/s"
