"""The pipeline: from a text corpus to a published table of word vectors."""

import logging
from datetime import UTC, datetime

from prefect import flow
from prefect.runtime import flow_run

from flows.runs.ending import end_run
from flows.runs.record import recorded_build
from flows.runs.result import BuildResult, build_result, nothing_to_do
from flows.runs.stop_notes import create_stop_note, emit_failure_event
from storage.layout import resolve_workspace
from storage.releases.publishing import current_release
from tasks.arrivals import look_for_new_text
from tasks.compute_config import ComputeConfig
from tasks.corpus_config import CorpusConfig
from tasks.document_vectors import check_document_encoder
from tasks.documents_config import DocumentsConfig
from tasks.downloading import download_corpus
from tasks.encoded_words import check_encoder
from tasks.engine import check_compute
from tasks.evaluation import EvaluationConfig, check_reference
from tasks.mirroring import mirror_releases
from tasks.parameters import BuildParameters
from tasks.pipeline import NothingToTrainError, add_documents, build_model, evaluate_model
from tasks.publication_config import PublicationConfig, check_publication
from tasks.publishing import judge_release, publish_vectors
from tasks.release_report import ReportConfig
from tasks.reporting import report_release
from tasks.text.options import TokenizerConfig
from tasks.text.vocabulary import VocabularyConfig
from tasks.tokenizing import check_tokenizer, tokenizer_packages
from tasks.trainers.config import SkipGramConfig, TrainingConfig

# Prefect forwards the records of these loggers to the run's log. Without an explicit level, INFO records are dropped.
for _room in ("flows", "tasks", "storage"):
    logging.getLogger(_room).setLevel(logging.INFO)


def _run_name() -> str:
    """Table and start time of a run, such as `movie-reviews 2026-11-21 03:00:00`."""
    publication = flow_run.parameters.get("publication") or PublicationConfig()
    table = publication["table"] if isinstance(publication, dict) else publication.table
    return f"{table} {datetime.now(UTC):%Y-%m-%d %H:%M:%S}"


@flow(
    name="build-word-vectors",
    flow_run_name=_run_name,
    # Regardless of Prefect's settings, which may have it store the results of tasks as pickles.
    persist_result=False,
    # Prefect still stores the exception of a failed run, by default as a pickle.
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
    documents: DocumentsConfig = DocumentsConfig(),
    compute: ComputeConfig = ComputeConfig(),
    workspace: str | None = None,
) -> BuildResult:
    """Turn a text corpus into a published table of word vectors.

    Args:
        corpus: The source of the text.
        tokenizer: How text is split into tokens.
        vocabulary: Which words get a vector, and how frequent words are subsampled.
        training: The model family and its training settings.
        evaluation: The gold sets and reference vectors to evaluate against.
        publication: The table to publish, and the gates a release must pass.
        report: The HTML report of each release.
        documents: Vectors of the corpus' documents.
        compute: Where the stages that read the text compute: here or on a Dask cluster.
        workspace: Folder for all artefacts; default: $VECMILL_WORKSPACE, else ./workspace.

    Raises:
        GateRefusedError: A gate refused the release; `result` on the error holds the BuildResult.

    """
    parameters = BuildParameters(
        corpus=corpus, tokenizer=tokenizer, vocabulary=vocabulary, training=training,
        evaluation=evaluation, publication=publication, report=report, documents=documents,
        compute=compute,
    )  # fmt: skip
    publication = parameters.publication
    resolved_workspace = resolve_workspace(workspace)
    with recorded_build(resolved_workspace, publication) as run:
        check_reference(evaluation)
        check_publication(publication, evaluation, parameters.measured_metrics)
        check_tokenizer(tokenizer)
        check_encoder(training)
        check_document_encoder(documents)
        check_compute(compute, tokenizer_packages(tokenizer))
        download_corpus(corpus, resolved_workspace)
        current = current_release(resolved_workspace, publication.table)
        arrivals = look_for_new_text(corpus, publication.table, current, resolved_workspace)
        if arrivals.nothing_to_do:
            return end_run(run.ended(nothing_to_do(arrivals, current, resolved_workspace)))
        try:
            model = build_model(parameters, resolved_workspace, current, arrivals.only, compute)
        except NothingToTrainError as reason:
            return end_run(
                run.ended(nothing_to_do(arrivals.once_read(reason.corpus), current, resolved_workspace, str(reason)))
            )
        lineage = evaluate_model(model, parameters, resolved_workspace, current)
        lineage = add_documents(lineage, parameters, resolved_workspace)
        verdicts = judge_release(lineage, publication, current, resolved_workspace)
        published = publish_vectors(lineage, verdicts, parameters, current, resolved_workspace)
        result = run.ended(build_result(lineage, published, arrivals.once_read(model.corpus)))
        written = report_release(published.release, report, resolved_workspace)
        mirror_releases(publication, resolved_workspace)
        return end_run(result.with_report(written))
