"""Settings of training: one frozen model for each family of vectors, told apart by `training.model`."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, GetJsonSchemaHandler, TypeAdapter
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema


class TrainerConfig(BaseModel):
    """What every model family has. Names follow the papers, spelt out."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    model: str
    dimension: int = Field(100, ge=8, le=1024, description="length of a word's vector")
    epochs: int = Field(5, ge=1, le=1000, description="passes over the corpus")
    workers: int | None = Field(
        None, ge=1, le=1024, description="threads; none: all cores. Only 1 is bitwise reproducible"
    )
    seed: int = Field(1, ge=0, le=2**31 - 1, description="seed of initial vectors, windows, subsampling and noise")
    start_from: str | None = Field(
        None,
        min_length=1,
        description="initial vectors: previous (the table's current release) or the path of a release file; "
        "none: random vectors",
    )
    checkpoint_every_seconds: float = Field(60.0, ge=0.1, le=86_400, description="seconds between checkpoints")
    backend: Literal["auto", "triton", "numba", "torch"] = Field(
        "auto", description="the trainer to run; auto: the fastest one available"
    )


class WindowConfig(TrainerConfig):
    """Families that predict words from the words around them, with negative sampling (Mikolov et al. 2013)."""

    window_radius: int = Field(5, ge=1, le=50, description="maximum words on each side")
    reduced_windows: bool = Field(
        True, description="draw each window's radius from 1 to window_radius, so that near words count more"
    )
    negatives_per_pair: int = Field(5, ge=1, le=25, description="noise words drawn for each positive pair")
    learning_rate: float | None = Field(
        None,
        gt=0,
        le=1,
        description="initial step size, decaying linearly; none: the trainer's default, 0.05 for triton and numba and "
        "0.002 for torch, whose Adam keeps it constant",
    )
    final_rate_fraction: float = Field(1e-4, ge=0, le=1, description="final step size as a fraction of learning_rate")
    device: Literal["auto", "cpu", "cuda"] = Field(
        "auto", description="device of the torch backend; cpu also keeps auto from choosing the GPU"
    )


class SkipGramConfig(WindowConfig):
    """Skip-gram: a word and each word around it predict each other."""

    model: Literal["skip_gram"] = Field("skip_gram", description="a word and each word around it predict each other")
    centers_in_flight: int | None = Field(
        None,
        ge=16,
        le=1 << 20,
        description="words that the triton backend trains at once without seeing each other's updates; "
        "none: derived from the size of the vocabulary",
    )


class CbowConfig(WindowConfig):
    """CBOW: the mean of the words around a word predicts it."""

    model: Literal["cbow"] = Field("cbow", description="the mean of the words around a word predicts it")


class _AnyOf:
    """JSON schema of a union as `anyOf`: settings without `model` match several families, and `oneOf` refuses that."""

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        found = handler(schema)
        found.pop("discriminator", None)
        found["anyOf"] = found.pop("oneOf")
        return found


def _with_model(values: Any) -> Any:  # noqa: ANN401  # whatever a user passes
    """Settings that do not name a model are those of skip-gram."""
    return {"model": "skip_gram", **values} if isinstance(values, Mapping) else values


TrainingConfig: TypeAlias = Annotated[
    Annotated[SkipGramConfig | CbowConfig, Field(discriminator="model"), _AnyOf()], BeforeValidator(_with_model)
]
FAMILIES: dict[str, type[WindowConfig]] = {"skip_gram": SkipGramConfig, "cbow": CbowConfig}
_ADAPTER: TypeAdapter[SkipGramConfig | CbowConfig] = TypeAdapter(TrainingConfig)


def training_config(values: Mapping[str, Any]) -> SkipGramConfig | CbowConfig:
    """The settings of one family. Raises pydantic's ValidationError."""
    return _ADAPTER.validate_python(values)
