"""The settings of a build, one section per stage. This is the one list of sections; everything else derives from it."""

from collections.abc import Mapping
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator, model_validator

from tasks.compute_config import ComputeConfig
from tasks.corpus_config import CorpusConfig
from tasks.documents_config import DocumentsConfig
from tasks.publication_config import PublicationConfig
from tasks.release_report import ReportConfig
from tasks.released_settings import settings_section
from tasks.scoring import ENCODER_METRICS, HIT_METRICS, EvaluationConfig, evaluation_metrics
from tasks.text.tokenizers import TokenizerConfig
from tasks.text.vocabulary import VocabularyConfig
from tasks.trainers.config import SkipGramConfig, TrainedConfig, TrainingConfig

# Sections that do not affect the content of a release.
NOT_RELEASED = ("report", "compute")


class ModelParameters(BaseModel):
    """The settings that determine a model."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    corpus: CorpusConfig = CorpusConfig()
    tokenizer: TokenizerConfig = TokenizerConfig()
    vocabulary: VocabularyConfig = VocabularyConfig()
    training: TrainingConfig = SkipGramConfig()

    def held_out_sequences(self, source_format: str) -> int:
        """About how many sequences of a corpus in this format have their last item held out of training."""
        return 0


class BuildParameters(ModelParameters):
    """The parameters of `build_word_vectors`, validated before any work starts."""

    evaluation: EvaluationConfig = EvaluationConfig()
    publication: PublicationConfig = Field(PublicationConfig(), validate_default=True)
    report: ReportConfig = ReportConfig()
    documents: DocumentsConfig = DocumentsConfig()
    compute: ComputeConfig = ComputeConfig()

    @field_validator("publication")
    @classmethod
    def _matrix_of_the_family(cls, publication: PublicationConfig, info: ValidationInfo) -> PublicationConfig:
        """The matrix that the model family publishes, unless one is set."""
        training = info.data.get("training")
        if training is None:
            return publication
        fused = isinstance(training, TrainedConfig) and training.fuse_with is not None
        allowed = ("fused",) if fused else training.matrices
        if publication.matrix is None:
            return publication.model_copy(update={"matrix": "fused" if fused else training.published_matrix})
        if publication.matrix not in allowed:
            what = "training.fuse_with" if fused else f"training.model={training.model}"
            raise ValueError(
                f"matrix {publication.matrix}: {what} publishes {' or '.join(allowed)}; set it to none or one of these"
            )
        return publication

    def held_out_sequences(self, source_format: str) -> int:
        """As the evaluation asks for; none in other formats than `sequences`."""
        return self.evaluation.held_out_sequences if source_format == "sequences" else 0

    @property
    def measured_metrics(self) -> list[str]:
        """Names of all metrics that these settings can yield and that gates may apply to."""
        metrics = evaluation_metrics(self.evaluation)
        if self.held_out_sequences(self.corpus.format):
            metrics += HIT_METRICS
        if isinstance(self.training, TrainedConfig) and self.training.fuse_with:
            metrics += ENCODER_METRICS
        return metrics

    @model_validator(mode="after")
    def _documents_are_available(self) -> Self:
        """Refuse settings of documents that do not act, or need documents that the tokenizer changes."""
        encoded = self.documents.enabled and self.documents.method == "encoder"
        asking = "corpus.keep_columns" if self.corpus.keep_columns else "documents.method=encoder" if encoded else None
        if self.corpus.keep_columns and not self.documents.enabled:
            raise ValueError("corpus.keep_columns needs documents.enabled=true: document_vectors has these columns")
        if asking and not self.tokenizer.keeps_documents:
            raise ValueError(
                f"{asking} needs the documents as they are; unset tokenizer.sentences, min_characters, languages and "
                "duplicates"
            )
        if encoded and self.corpus.format == "sequences":
            raise ValueError("documents.method=encoder reads text, and corpus.format is sequences; use sif or doc2vec")
        return self

    @property
    def sections(self) -> dict[str, BaseModel]:
        """Section -> its settings."""
        return {name: getattr(self, name) for name in type(self).model_fields}

    @property
    def released_sections(self) -> dict[str, BaseModel]:
        """The sections that a release stores: all but those that do not affect it."""
        return {name: settings for name, settings in self.sections.items() if name not in NOT_RELEASED}


def model_parameters(settings: Mapping[str, Any], corpus: CorpusConfig) -> ModelParameters:
    """The settings that a release was trained with, applied to another corpus; defaults for those it does not store.

    settings: dotted name -> value.  Raises pydantic's ValidationError.
    """
    sections = {name: settings_section(settings, name) for name in ModelParameters.model_fields}
    return ModelParameters.model_validate(sections | {"corpus": corpus, "training": _training_section(settings)})


def _training_section(settings: Mapping[str, Any]) -> dict[str, Any]:
    """The training settings of a release; formats before 4 store them as `skipgram` with an `architecture`."""
    stored = settings_section(settings, "training")
    if not stored:
        stored = settings_section(settings, "skipgram")
        model = stored.pop("architecture", "skip_gram")
        if model != "skip_gram":
            stored.pop("centers_in_flight", None)
        if not stored:
            return {"model": model}
        stored["model"] = model
    if stored.get("model") in ("skip_gram", "cbow"):
        # Releases without these settings were trained with one threshold, windows of one size, one model and no PPMI.
        stored = {"early_threshold_fraction": 1.0, "narrowing_windows": False, "ppmi": False} | stored
    if stored.get("model") == "skip_gram":
        stored = {"finish_with_cbow": False} | stored
    return stored
