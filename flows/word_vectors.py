"""The pipeline: from a text corpus to a published table of word vectors."""

import logging
from datetime import UTC, datetime
from typing import cast

from prefect import flow
from prefect.runtime import flow_run
from prefect.states import Completed

from flows.runs.record import recorded_run
from flows.runs.result import NOTHING_TO_DO, BuildResult, build_result, metric_rows, nothing_to_do
from flows.runs.stop_notes import create_stop_note, emit_failure_event
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

# Prefect forwards these loggers to the run's log; without an explicit level, INFO would be lost.
for _room in ("flows", "tasks", "storage"):
    logging.getLogger(_room).setLevel(logging.INFO)


def _run_name() -> str:
    """Table and start time of a run, e.g. `movie-reviews 2026-11-21 03:00:00`."""
    publication = flow_run.parameters.get("publication") or PublicationConfig()
    table = publication["table"] if isinstance(publication, dict) else publication.table
    return f"{table} {datetime.now(UTC):%Y-%m-%d %H:%M:%S}"


@flow(
    name="build-word-vectors",
    flow_run_name=_run_name,
    # Overrides Prefect's settings, which could persist task results as pickles.
    persist_result=False,
    # Prefect still persists the exception of a failed run, by default as a pickle.
    result_serializer="json",
    on_failure=[create_stop_note, emit_failure_event],
    on_crashed=[create_stop_note],
    on_cancellation=[create_stop_note],
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
        corpus: Source of the text.
        tokenizer: How a document becomes tokens.
        vocabulary: Which words get a vector, and how frequent words are subsampled.
        training: Model family and training settings.
        evaluation: Gold sets and reference vectors.
        publication: Target table and quality gates.
        report: HTML report of each release.
        workspace: Folder of all artefacts; default: $VECMILL_WORKSPACE, then ./workspace.

    Raises:
        GateRefusedError: A gate refused the release; the error's `result` holds the outcome.

    """
    resolved_workspace = resolve_workspace(workspace)
    resolved_workspace.check_writable()
    wait = publication.when_busy == "wait"
    with (
        stopped_once(),
        registered_run(resolved_workspace),
        recorded_run(resolved_workspace, publication.table) as run,
        table_turn(resolved_workspace, publication.table, wait=wait),
    ):
        check_reference(evaluation)
        check_publication(publication, evaluation)
        current = current_release(resolved_workspace, publication.table)
        arrivals = look_for_new_text(corpus, publication.table, current, resolved_workspace)
        if arrivals.nothing_to_do:
            return _nothing_to_do(run.ended(nothing_to_do(arrivals, current, resolved_workspace)))
        text = fetch_corpus(corpus, resolved_workspace)
        arrivals = arrivals.once_read(text)
        tokens = tokenize_corpus(text, tokenizer, resolved_workspace)
        words = build_vocabulary(tokens, vocabulary, resolved_workspace)
        encoded = encode_corpus(tokens, words, resolved_workspace, arrivals.only)
        if not encoded.facts.tokens:
            reason = f"no word of the vocabulary in the {len(arrivals.unseen)} new files"
            return _nothing_to_do(run.ended(nothing_to_do(arrivals, current, resolved_workspace, reason)))
        start = find_start(start_spec(corpus, training), current, resolved_workspace)
        model = train_vectors(encoded, words, training, resolved_workspace, start)
        scores = evaluate_vectors(model, words, evaluation, resolved_workspace, publication.matrix)
        changes = compare_with_current(model, words, evaluation, publication, current, resolved_workspace)
        lineage = Lineage(text, tokens, words, encoded, model, scores, changes)
        verdicts = judge_release(lineage, publication, current, resolved_workspace)
        settings = {
            "corpus": corpus, "tokenizer": tokenizer, "vocabulary": vocabulary,
            "training": as_trained(training, model), "evaluation": evaluation, "publication": publication,
        }  # fmt: skip
        release = publish_vectors(lineage, verdicts, settings, publication, current, resolved_workspace)
        result = run.ended(build_result(lineage, release, arrivals))
        report_release(result.table, result.version, result.release_path, report, resolved_workspace)
        create_artifacts(result.table, metric_rows(result), summary_markdown(result))
        if result.refused:
            raise GateRefusedError(result.message, result)
        return result


def _nothing_to_do(result: BuildResult) -> BuildResult:
    """Complete the run under a state name that distinguishes it from a run that trained."""
    create_artifacts(result.table, metric_rows(result), summary_markdown(result))
    return cast(BuildResult, Completed(name=NOTHING_TO_DO, message=result.message, data=result))
