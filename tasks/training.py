"""Train the vectors: from the encoded corpus to the two matrices of the model, with checkpoints."""

import logging
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from storage.corpus.cooccurrences import CooccurrenceCorpus
from storage.corpus.encoded import EncodedCorpus
from storage.corpus.vocabularies import read_vocabulary
from storage.errors import TrainingError
from storage.layout import Workspace
from storage.models.matrices import write_vectors
from storage.releases.start_vectors import PREVIOUS, StartPoint, read_start
from storage.stages import Manifest, Stage, StageFacts, complete_stage
from tasks.artifacts import training_progress
from tasks.checkpoints import Recipe, adopt_checkpoint, processes_of_checkpoint, recipe_of, restore_state, save_state
from tasks.cooccurrences import CooccurrenceFacts
from tasks.corpus_config import CorpusConfig
from tasks.pipeline_task import pipeline_task
from tasks.trainers.backends import explain_backend, resolve_config, resolve_workers, train
from tasks.trainers.bookkeeping import RETRAINING_LEARNING_RATE, first_state
from tasks.trainers.compiling import finish_compiling
from tasks.trainers.config import (
    CooccurrenceConfig,
    DistilledConfig,
    FastTextConfig,
    SharedWindowConfig,
    SkipGramConfig,
    TrainingConfig,
    WindowConfig,
    training_config,
)
from tasks.trainers.interface import (
    OWN_VECTORS,
    PASSAGE_VECTORS,
    PPMI_VECTORS,
    Allocator,
    DivergenceError,
    EpochResult,
    TrainingState,
    TrainingStep,
    Vocabulary,
)
from tasks.trainers.warm_start import start_from
from tasks.training_job import Job
from tasks.training_memory import place_factors, place_matrices
from tasks.training_processes import ProcessFacts, RankProcesses, process_facts
from tasks.vocabulary import EncodedFacts, VocabularyFacts

logger = logging.getLogger(__name__)

STAGE_VERSION = 1
# Up to version 1 the torch backend trained with .04 times the learning rate that was set; up to 2 it drew in another
# order.
TORCH_STAGE_VERSION = 3
# Up to version 1 every input of CBOW moved as far as the mean of all inputs.
CBOW_STAGE_VERSION = 2
# Settings that cannot change the vectors.
NOT_IN_DIGEST = {
    "start_from", "checkpoint_every_seconds", "cooccurrence_megabytes", "cooccurrence_disk_megabytes", "fuse_with",
    "fused_dimension", "process_timeout_seconds",
}  # fmt: skip
# Change the vectors only if there are several.
OF_SEVERAL_PROCESSES = {"processes", "process_exchange"}
# The version of training over processes, which changes no vectors of one. Up to 1 exchanges did not overlap training.
EXCHANGE_VERSION = {"exchange_version": 3}
# The version of PPMI. Up to 1 it did not factorize words and passages.
PPMI_VERSION = {"ppmi_version": 2}


class ModelFacts(StageFacts):
    """A trained model. seconds: all epochs.  words_per_second: corpus tokens per second, as word2vec counts them.

    processes: None if one process trained it.
    """

    label: ClassVar[str] = "training"
    unit: ClassVar[str] = "vectors"

    backend: str
    epochs: list[EpochResult]
    seconds: float
    words_per_second: int
    rows: int
    dimension: int
    processes: ProcessFacts | None = None

    @property
    def row_count(self) -> int:
        """Vectors."""
        return self.rows


AnyVocabulary = Stage[VocabularyFacts] | Manifest[VocabularyFacts]


def resolved(config: TrainingConfig, vocabulary: AnyVocabulary, start: StartPoint | None = None) -> TrainingConfig:
    """The settings with `auto` resolved for this machine. Raises TrainingError if the machine cannot meet them.

    A vocabulary that is not built yet is assumed to fit on the GPU, if the machine has one.
    """
    try:
        found = resolve_config(config, _words(vocabulary))
    except ValueError as error:
        raise TrainingError(str(error)) from error
    retrained = start is not None and config.start_from == PREVIOUS
    if retrained and isinstance(config, SkipGramConfig) and config.learning_rate is None and found.backend != "torch":
        return found.model_copy(update={"learning_rate": RETRAINING_LEARNING_RATE})
    return found


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
    config = resolved(config, vocabulary, start)
    alone = not isinstance(config, SharedWindowConfig) or config.processes == 1
    settings = config.model_dump(exclude=NOT_IN_DIGEST | (OF_SEVERAL_PROCESSES if alone else set()))
    if not alone:
        settings |= EXCHANGE_VERSION
    if cooccurrences and not isinstance(config, CooccurrenceConfig):
        settings |= PPMI_VERSION
    return Stage(
        kind="models",
        version=_version(config),
        config=settings,
        inputs=inputs | ({"start": start.digest} if start else {}),
        facts=ModelFacts,
    )


def _version(config: TrainingConfig) -> int:
    """The version of the code that trains with these settings."""
    if config.backend == "torch":
        return TORCH_STAGE_VERSION
    averaged = isinstance(config, WindowConfig) and config.averages_inputs_in(0)
    return CBOW_STAGE_VERSION if averaged else STAGE_VERSION


def as_trained(config: TrainingConfig, model: Manifest[ModelFacts]) -> TrainingConfig:
    """The settings with the backend, device, workers and learning rate that the model was trained with."""
    trained = {name: value for name, value in model.config.items() if name not in EXCHANGE_VERSION | PPMI_VERSION}
    return training_config(config.model_dump() | trained)


@pipeline_task("train vectors")
def train_vectors(
    encoded: Manifest[EncodedFacts],
    vocabulary: Manifest[VocabularyFacts],
    config: TrainingConfig,
    workspace: Workspace,
    start: StartPoint | None = None,
    cooccurrences: Manifest[CooccurrenceFacts] | None = None,
    counted: Manifest[EncodedFacts] | None = None,
) -> Manifest[ModelFacts]:
    """Train vectors on the encoded corpus, resuming from the checkpoint of an interrupted run.

    start: vectors of an earlier release to start from; None: random vectors.
    cooccurrences: those of the corpus, for the families that train on them instead, and for PPMI.
    counted: the corpus whose cooccurrences these are; None: `encoded`.
    """
    requested = config
    config = resolved(config, vocabulary, start)
    pairs = CooccurrenceCorpus(cooccurrences.path) if cooccurrences else None
    source = pairs if pairs and isinstance(config, CooccurrenceConfig) else EncodedCorpus(encoded.path)
    words = read_vocabulary(vocabulary.path)
    counts = Vocabulary(words.counts, words.keep_probability, words.noise_probability, _ngrams(words.words, config))
    corpus_tokens = encoded.facts.corpus_tokens

    stage = training_stage(encoded, vocabulary, config, start, cooccurrences)
    recipe = recipe_of(stage)

    def build(folder: Path) -> ModelFacts:
        logger.info("training with %s", explain_backend(requested, len(words.words)))
        place = place_matrices(config, len(counts), folder)
        adopt_checkpoint(workspace, stage)
        saved_by = processes_of_checkpoint(folder)
        state, epochs = restore_state(folder)
        if state is not None:
            logger.info("resuming from a checkpoint: epoch %d, chunk %d", state.epoch + 1, state.next_chunk)
        ranks: RankProcesses | None = None
        with training_progress(corpus_tokens * config.epochs) as progress, _named_errors():

            def follow(tokens_done: int, epoch_result: EpochResult | None) -> None:
                progress.advanced(tokens_done * corpus_tokens // source.token_count)
                if epoch_result:
                    logger.info(_epoch_line(epoch_result, corpus_tokens))

            shared = isinstance(config, SharedWindowConfig) and config.processes > 1
            if state is None and (start is not None or not shared):
                state = _initial_state(start, words.words, counts, config, place.allocate)
            finish_compiling()
            if isinstance(config, SharedWindowConfig) and config.processes > 1:
                if not place.in_memory:
                    raise TrainingError(
                        "the matrices do not fit in memory, and every process has its own; set training.processes=1"
                    )
                if state is not None:
                    save_state(folder, state, epochs, recipe)
                ranks = RankProcesses(Job(encoded.path, vocabulary.path, folder, config, recipe))
                with closing(ranks.reports()) as reports:
                    for report in reports:
                        follow(report.tokens_done, report.epoch_result)
                state, epochs = restore_state(folder)
            else:
                assert state is not None
                state.allocate = place.allocate
                steps = train(source, counts, config, state, resumable_every_seconds=config.checkpoint_every_seconds)
                every_seconds = config.checkpoint_every_seconds if place.checkpoints else None
                for step in _with_checkpoints(steps, folder, epochs, every_seconds, recipe):
                    follow(step.tokens_done, step.epoch_result)
                    state = step.state
        if state is None:
            raise TrainingError("training ended without a single step; this is a bug in the backend")
        # Sums of squared gradients only slow down a training that starts from this one.
        kept = {name: values for name, values in state.optimizer.items() if not name.endswith("squares")}
        center_vectors = state.center_vectors
        if counts.ngrams is not None:
            from tasks.trainers.cpu.subwords import composed_vectors

            kept[OWN_VECTORS] = center_vectors
            center_vectors = composed_vectors(counts, state)
        if pairs and source is not pairs:
            text = EncodedCorpus((counted or encoded).path)
            kept |= _factors(pairs, text, counts, state.context_vectors, config, folder)
        write_vectors(folder, center_vectors, state.context_vectors, kept)
        seconds = sum(epoch.seconds for epoch in epochs)
        return ModelFacts(
            backend=config.backend,
            epochs=epochs,
            seconds=round(seconds, 3),
            words_per_second=round(corpus_tokens * config.epochs / seconds),
            rows=len(words.words),
            dimension=config.dimension,
            processes=process_facts(
                recipe.processes, saved_by, ranks.totals if ranks else None, corpus_tokens / source.token_count
            ),
        )

    return complete_stage(workspace, stage, build, resumable=True)


def _factors(
    pairs: CooccurrenceCorpus,
    text: EncodedCorpus,
    counts: Vocabulary,
    contexts: NDArray[np.float32],
    config: TrainingConfig,
    folder: Path,
) -> dict[str, NDArray[np.float32]]:
    """The factors of PPMI, by name. contexts: (V, D), of the training."""
    from tasks.trainers.cpu.passages import passage_vectors
    from tasks.trainers.cpu.ppmi import ppmi_vectors

    logger.info(
        "factorizing the PPMI of %s pairs of words, and of the passages of %s tokens",
        f"{pairs.token_count:,}", f"{text.token_count:,}",
    )  # fmt: skip
    allocate, workers = place_factors(contexts.shape, folder), resolve_workers(config)
    factors = ppmi_vectors(pairs, contexts, workers, allocate)
    return {
        PPMI_VECTORS: factors,
        PASSAGE_VECTORS: passage_vectors(text, counts.counts, factors, workers, allocate),
    }


def _ngrams(words: list[str], config: TrainingConfig) -> tuple[NDArray[np.int64], NDArray[np.int32]] | None:
    """The hash buckets of each word's n-grams, for the family that composes words of them.

    Raises TrainingError if no word is long enough to have one.
    """
    if not isinstance(config, FastTextConfig) or config.buckets is None:
        return None
    from tasks.trainers.ngrams import ngram_buckets

    offsets, buckets = ngram_buckets(words, config.minimum_ngram, config.maximum_ngram, config.buckets)
    if not len(buckets):
        longest = max(map(len, words)) + 2
        raise TrainingError(
            f"no word of the vocabulary has an n-gram of {config.minimum_ngram} or more characters, the marks at both "
            f"ends included; set training.minimum_ngram to at most {longest}, or use training.model=skip_gram"
        )
    return offsets, buckets


def _initial_state(
    start: StartPoint | None, words: list[str], counts: Vocabulary, config: TrainingConfig, allocate: Allocator
) -> TrainingState:
    """An initial state, which contains the vectors of the start point if there is one. allocate: makes its matrices."""
    assert not isinstance(config, DistilledConfig)  # another task computes those
    if start is None:
        return first_state(counts, config, allocate)
    if config.starts_from == "own" and (start.family != config.model or start.model is None):
        what = "its model is no longer in the workspace" if start.family == config.model else f"it is {start.family}"
        raise TrainingError(
            f"training.start_from: {config.model} continues only from all matrices of a {config.model} model, and "
            f"{start.release} does not have them ({what}); set training.start_from=none and corpus.train_on=all"
        )
    state = first_state(counts, config, allocate)
    earlier = read_start(start)
    try:
        overlap = start_from(
            state, words, earlier.words, earlier.center_vectors, earlier.context_vectors, earlier.optimizer
        )
    except ValueError as error:
        raise TrainingError(f"{start.release}: {error}") from error
    what = "both matrices" if earlier.context_vectors is not None else "center vectors only"
    logger.info(
        "starting from %s (%s): %d words kept, %d new, %d lost",
        start.release.name, what, overlap.kept, overlap.new, overlap.lost,
    )  # fmt: skip
    return state


def _with_checkpoints(
    steps: Iterator[TrainingStep], folder: Path, epochs: list[EpochResult], every_seconds: float | None, recipe: Recipe
) -> Iterator[TrainingStep]:
    """Yield the steps, collect finished epochs, and save the state at resumable steps and when interrupted.

    every_seconds none: nothing is saved.
    """
    step: TrainingStep | None = None
    saved = time.monotonic()
    try:
        with closing(steps):  # type: ignore[type-var]  # a generator, typed as what it yields
            for step in steps:
                if step.epoch_result:
                    epochs.append(step.epoch_result)
                if every_seconds is not None and step.resumable and time.monotonic() - saved >= every_seconds:
                    save_state(folder, step.state, epochs, recipe)
                    saved = time.monotonic()
                yield step
    except BaseException as error:
        # Ctrl-C, or Prefect's signal to cancel the run. Closing the trainer waits for its workers, so the state is
        # consistent; after an error in the trainer it may not be.
        if every_seconds is not None and step is not None and not isinstance(error, Exception):
            save_state(folder, step.state, epochs, recipe)
            logger.warning("training stopped; the next run resumes from the checkpoint in %s", folder)
        raise


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
