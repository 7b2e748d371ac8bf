"""Settings of skip-gram and CBOW training."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class SkipGramConfig(BaseModel):
    """How the vectors are trained. Names follow the paper (Mikolov et al. 2013), spelt out."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    architecture: Literal["skip_gram", "cbow"] = Field(
        "skip_gram",
        description="skip_gram: a word and each word around it predict each other; "
        "cbow: the mean of the words around it predicts a word",
    )
    dimension: int = Field(100, ge=8, le=1024, description="length of a word's vector")
    window_radius: int = Field(5, ge=1, le=50, description="words looked at on each side, at most")
    reduced_windows: bool = Field(
        True, description="draw each window's radius from 1 to window_radius, so that near words count more"
    )
    negatives_per_pair: int = Field(5, ge=1, le=25, description="noise words drawn for each positive pair")
    epochs: int = Field(5, ge=1, le=1000, description="passes over the corpus")
    learning_rate: float | None = Field(
        None,
        gt=0,
        le=1,
        description="step size at the start, falling linearly; none: the trainer's own default, 0.05 for triton and "
        "numba and 0.002 for torch, whose Adam keeps it constant",
    )
    final_rate_fraction: float = Field(1e-4, ge=0, le=1, description="step size at the end, as a part of learning_rate")
    workers: int | None = Field(
        None, ge=1, le=1024, description="threads; none: all cores. Only 1 is bitwise reproducible"
    )
    seed: int = Field(1, ge=0, le=2**31 - 1, description="seed of initial vectors, windows, subsampling and noise")
    start_from: str | None = Field(
        None,
        min_length=1,
        description="vectors to begin with: previous (the table's current release) or the path of a release file; "
        "none: random ones",
    )
    checkpoint_every_seconds: float = Field(60.0, ge=0.1, le=86_400, description="the most that a kill can lose")
    centers_in_flight: int | None = Field(
        None,
        ge=16,
        le=1 << 20,
        description="words that the triton backend trains at a time, none of which sees the others' updates; "
        "none: by the size of the vocabulary",
    )
    backend: Literal["auto", "triton", "numba", "torch"] = Field(
        "auto", description="which trainer runs; auto: the fastest here"
    )
    device: Literal["auto", "cpu", "cuda"] = Field(
        "auto", description="where the torch backend runs; cpu also keeps auto from taking the GPU"
    )
