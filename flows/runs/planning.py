"""Chain the digests of all stages to see what a build would run or reuse, for dry runs and before a build."""

from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from flows.deployments import BuildParameters
from storage.layout import Workspace
from storage.releases.publishing import current_release
from storage.releases.reports import has_report
from storage.releases.start_vectors import find_start
from storage.stages import Stage, find_stage
from tasks.arrivals import Arrivals, find_arrivals
from tasks.comparison import comparison_stage, is_same_model
from tasks.cooccurrences import cooccurrence_stage, counted_files
from tasks.corpus import corpus_stage
from tasks.document_vectors import documents_stage
from tasks.encoded_words import encoding_stage
from tasks.evaluation import evaluation_stage
from tasks.fusion import distilled_stage, fusion_stage
from tasks.tokens import tokens_stage
from tasks.trainers.config import CountingConfig, DistilledConfig
from tasks.training import ModelFacts, start_spec, training_stage
from tasks.vocabulary import encoded_stage, vocabulary_stage


class PlannedStage(BaseModel):
    """One stage of a dry run."""

    model_config = ConfigDict(frozen=True)

    name: str
    digest: str = Field(exclude=True)
    reused: bool
    path: str


def is_up_to_date(parameters: BuildParameters, workspace: Workspace) -> bool:
    """Whether a build would reuse everything: every stage, the release that holds the model, and its report."""
    publication = parameters.publication
    release = current_release(workspace, publication.table)
    if release is None or parameters.corpus.download:
        return False
    arrivals, stages = plan_stages(parameters, workspace)
    return (
        not arrivals.nothing_to_do
        and all(stage.reused for stage in stages)
        and any(is_same_model(release, stage.digest, publication.published_matrix) for stage in stages)
        and (has_report(release) or not parameters.report.enabled)
    )


def plan_stages(parameters: BuildParameters, workspace: Workspace) -> tuple[Arrivals, list[PlannedStage]]:
    """New files, and every stage of the build with whether it would be reused; no stages if there is nothing to do.

    Reads the corpus files. Into the workspace it writes only what identifies the corpus: an unpacked archive, standard
    input or the result of a query.
    """
    release = current_release(workspace, parameters.publication.table)
    arrivals = find_arrivals(parameters.corpus, parameters.publication.table, release, workspace)
    if arrivals.nothing_to_do:
        return arrivals, []
    corpus = corpus_stage(parameters.corpus, workspace)
    tokens = tokens_stage(corpus, parameters.tokenizer)
    vocabulary = vocabulary_stage(tokens, parameters.vocabulary)
    held_out = parameters.held_out_sequences(corpus.config["format"])
    encoded = encoded_stage(tokens, vocabulary, arrivals.only, held_out)
    start = find_start(start_spec(parameters.corpus, parameters.training), release, workspace)
    cooccurrences = None
    if isinstance(parameters.training, CountingConfig) and parameters.training.counted_radius:
        whole = encoded_stage(tokens, vocabulary, counted_files(parameters.training, arrivals.only), held_out)
        cooccurrences = cooccurrence_stage(whole, vocabulary, parameters.training)
    encodings = encoding_stage(vocabulary, parameters.training)
    unfused: Stage[ModelFacts] | None = None
    training: Stage[ModelFacts]
    if isinstance(parameters.training, DistilledConfig):
        assert encodings is not None
        training = distilled_stage(vocabulary, encodings, parameters.training)
    else:
        training = training_stage(encoded, vocabulary, parameters.training, start, cooccurrences)
        if encodings:
            unfused, training = training, fusion_stage(training, vocabulary, encodings, parameters.training)
    matrix = parameters.publication.published_matrix
    evaluation = evaluation_stage(training, vocabulary, parameters.evaluation, matrix, encoded if held_out else None)
    comparison = comparison_stage(training, vocabulary, parameters.evaluation, parameters.publication, release)
    documents = None
    if parameters.documents.enabled:
        turned = comparison if parameters.publication.align != "none" else None
        documents = documents_stage(
            tokens, vocabulary, training, parameters.documents, parameters.training, matrix, turned
        )
    stages: tuple[Stage[Any] | None, ...] = (
        corpus, tokens, vocabulary, encoded, cooccurrences, encodings, unfused, training, evaluation, comparison,
        documents,
    )  # fmt: skip
    return arrivals, [
        PlannedStage(
            name=stage.facts.label,
            digest=stage.digest,
            reused=find_stage(workspace, stage) is not None,
            path=str(workspace.stage_folder(stage.kind, stage.digest)),
        )
        for stage in stages
        if stage
    ]
