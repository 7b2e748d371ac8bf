"""Names of word vector formats, separate from the readers, so that commands start without loading those."""

from enum import StrEnum


class VectorFormat(StrEnum):
    """Formats for `--format`; docs/formats.md describes them."""

    WORD2VEC = "word2vec"
    WORD2VEC_BINARY = "word2vec-binary"
    GLOVE = "glove"
    GENSIM = "gensim"
    FASTTEXT = "fasttext"
    FLORET = "floret"
    PARQUET = "parquet"
    NUMPY = "numpy"
    SAFETENSORS = "safetensors"
    MODEL2VEC = "model2vec"
    PROJECTOR = "projector"


class ReadFormat(StrEnum):
    """Formats that can be imported: not gensim's, which is a pickle, nor the projector's, which is write-only."""

    WORD2VEC = "word2vec"
    WORD2VEC_BINARY = "word2vec-binary"
    GLOVE = "glove"
    FASTTEXT = "fasttext"
    FLORET = "floret"
    PARQUET = "parquet"
    NUMPY = "numpy"
    SAFETENSORS = "safetensors"
    MODEL2VEC = "model2vec"
