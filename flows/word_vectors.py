"""The pipeline: from a text corpus to a published table of word vectors."""

import logging
from datetime import UTC, datetime
from typing import cast

from prefect import flow
from prefect.runtime import flow_run
from prefect.states import Completed

from flows.runs.record import recorded_run
from flows.runs.result import NOTHING_TO_DO, BuildResult, build_result, metric_rows, nothing_to_do
from flows.runs.stop_notes import note_the_stop, tell_the_failure
from flows.runs.stop_signal import stopped_once
from flows.runs.summary import summary_markdown
from storage.errors import GateRefusedError
from storage.layout import resolve_workspace
from storage.releases.publishing import current_release
from storage.releases.start_vectors import find_start
from storage.runs import registered_run, table_turn
from tasks.arrivals import look_for_new_text
from tasks.artifacts import create_artifacts
from tasks.comparison import compare_with_current
from tasks.corpus import CorpusConfig, fetch_corpus
from tasks.evaluation import EvaluationConfig, check_reference, evaluate_vectors
from tasks.publication_config import PublicationConfig, check_publication
from tasks.publishing import Lineage, judge_release, publish_vectors
from tasks.release_report import ReportConfig
from tasks.reporting import report_release
from tasks.text.tokenizers import TokenizerConfig
from tasks.text.vocabulary import VocabularyConfig
from tasks.tokens import tokenize_corpus
from tasks.trainers.config import SkipGramConfig, TrainingConfig
from tasks.training import as_trained, start_spec, train_vectors
from tasks.vocabulary import build_vocabulary, encode_corpus

# Prefect forwards records of these loggers to a run's log; without a level of their own INFO would be lost.
for _room in ("flows", "tasks", "storage"):
    logging.getLogger(_room).setLevel(logging.INFO)


def _run_name() -> str:
    """Table and start of a run, such as `movie-reviews 2026-11-21 03:00:00`."""
    publication = flow_run.parameters.get("publication") or PublicationConfig()
    table = publication["table"] if isinstance(publication, dict) else publication.table
    return f"{table} {datetime.now(UTC):%Y-%m-%d %H:%M:%S}"


@flow(
    name="build-word-vectors",
    flow_run_name=_run_name,
    # Whatever Prefect's settings say: it would keep what tasks return as pickles.
    persist_result=False,
    # Prefect stores the exception of a failed run all the same, as a pickle by default.
    result_serializer="json",
    on_failure=[note_the_stop, tell_the_failure],
    on_crashed=[note_the_stop],
    on_cancellation=[note_the_stop],
)
def build_word_vectors(
    corpus: CorpusConfig = CorpusConfig(),
    tokenizer: TokenizerConfig = TokenizerConfig(),
    vocabulary: VocabularyConfig = VocabularyConfig(),
    training: TrainingConfig = SkipGramConfig(),
    evaluation: EvaluationConfig = EvaluationConfig(),
    publication: PublicationConfig = PublicationConfig(),
    report: ReportConfig = ReportConfig(),
    workspace: str | None = None,
) -> BuildResult:
    """Turn a text corpus into a published table of word vectors.

    Args:
        corpus: Where the text comes from.
        tokenizer: How a document becomes tokens.
        vocabulary: Which words get a vector, and how often they are seen.
        training: The model family and how it is trained.
        evaluation: What the vectors are compared with.
        publication: Which table the release goes to, and what it must reach.
        report: The page that comes with each release.
        workspace: Folder of all artefacts; none: $VECMILL_WORKSPACE, else ./workspace.

    Raises:
        GateRefusedError: The gates keep the release back; its `result` is the outcome all the same.

    """
    place = resolve_workspace(workspace)
    place.check_writable()
    wait = publication.when_busy == "wait"
    with (
        stopped_once(),
        registered_run(place),
        recorded_run(place, publication.table) as run,
        table_turn(place, publication.table, wait=wait),
    ):
        check_reference(evaluation)
        check_publication(publication, evaluation)
        current = current_release(place, publication.table)
        arrivals = look_for_new_text(corpus, publication.table, current, place)
        if arrivals.nothing_to_do:
            return _nothing_to_do(run.ended(nothing_to_do(arrivals, current, place)))
        text = fetch_corpus(corpus, place)
        arrivals = arrivals.once_read(text)
        tokens = tokenize_corpus(text, tokenizer, place)
        words = build_vocabulary(tokens, vocabulary, place)
        encoded = encode_corpus(tokens, words, place, arrivals.only)
        if not encoded.facts.tokens:
            reason = f"no word of the vocabulary in the {len(arrivals.unseen)} new files"
            return _nothing_to_do(run.ended(nothing_to_do(arrivals, current, place, reason)))
        start = find_start(start_spec(corpus, training), current, place)
        model = train_vectors(encoded, words, training, place, start)
        scores = evaluate_vectors(model, words, evaluation, place, publication.matrix)
        changes = compare_with_current(model, words, evaluation, publication, current, place)
        lineage = Lineage(text, tokens, words, encoded, model, scores, changes)
        verdicts = judge_release(lineage, publication, current, place)
        settings = {
            "corpus": corpus, "tokenizer": tokenizer, "vocabulary": vocabulary,
            "training": as_trained(training, model), "evaluation": evaluation, "publication": publication,
        }  # fmt: skip
        release = publish_vectors(lineage, verdicts, settings, publication, current, place)
        result = run.ended(build_result(lineage, release, arrivals))
        report_release(result.table, result.version, result.release_path, report, place)
        create_artifacts(result.table, metric_rows(result), summary_markdown(result))
        if result.refused:
            raise GateRefusedError(result.message, result)
        return result


def _nothing_to_do(result: BuildResult) -> BuildResult:
    """End the run as completed, under a name that tells it from one that trained."""
    create_artifacts(result.table, metric_rows(result), summary_markdown(result))
    return cast(BuildResult, Completed(name=NOTHING_TO_DO, message=result.message, data=result))
