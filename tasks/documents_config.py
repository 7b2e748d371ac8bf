"""The settings of document vectors."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class DocumentsConfig(BaseModel):
    """Vectors of the corpus' documents, published with those of its words."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    enabled: bool = Field(default=False, description="add the table `document_vectors` to the release")
    method: Literal["mean"] = Field(
        default="mean", description="mean: mean of the words' vectors, weighted by SIF, as the macro `text_vector`"
    )
