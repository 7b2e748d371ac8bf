"""The names of the file formats of word vectors, apart from their readers: a command starts without loading those."""

from enum import StrEnum


class VectorFormat(StrEnum):
    """Names of the formats, as `--format` takes them; docs/formats.md tells what each holds."""

    WORD2VEC = "word2vec"
    WORD2VEC_BINARY = "word2vec-binary"
    GLOVE = "glove"
    GENSIM = "gensim"
    PARQUET = "parquet"
    NUMPY = "numpy"
    SAFETENSORS = "safetensors"
    PROJECTOR = "projector"


class ReadFormat(StrEnum):
    """Names of the formats that are read: gensim's own form is a pickle, and the projector's files are only written."""

    WORD2VEC = "word2vec"
    WORD2VEC_BINARY = "word2vec-binary"
    GLOVE = "glove"
    PARQUET = "parquet"
    NUMPY = "numpy"
    SAFETENSORS = "safetensors"
