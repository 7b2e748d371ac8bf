"""Encode each word of the vocabulary with a text encoder: the stage behind distilled and fused vectors."""

import logging
import time
from contextlib import closing
from pathlib import Path
from typing import ClassVar

import numpy as np

from storage.corpus.vocabularies import read_vocabulary
from storage.errors import EncoderError
from storage.layout import Workspace
from storage.models.encoded_words import EncodingWriter
from storage.stages import Manifest, Stage, StageFacts, complete_stage
from storage.vectors.encoders import Encoder, find_encoder
from tasks.pipeline_task import pipeline_task
from tasks.progress import progress_listener
from tasks.trainers.backends import resolve_workers
from tasks.trainers.config import DistilledConfig, TrainedConfig, TrainingConfig
from tasks.trainers.encoder import WordEncoder, missing_library
from tasks.vocabulary import VocabularyFacts

logger = logging.getLogger(__name__)

STAGE_VERSION = 1


class EncodingFacts(StageFacts):
    """Encoded words. name, source, licence: of the encoder.  dimension: of its vectors."""

    label: ClassVar[str] = "encodings"
    unit: ClassVar[str] = "words"

    words: int
    dimension: int
    name: str
    source: str
    licence: str
    seconds: float

    @property
    def row_count(self) -> int:
        """Words."""
        return self.words


AnyVocabulary = Stage[VocabularyFacts] | Manifest[VocabularyFacts]


def encoder_setting(config: TrainingConfig) -> tuple[str, str] | None:
    """The encoder that the settings ask for, and the name of the setting; None if they ask for none."""
    if isinstance(config, DistilledConfig):
        return config.encoder, "training.encoder"
    if isinstance(config, TrainedConfig) and config.fuse_with:
        return config.fuse_with, "training.fuse_with"
    return None


def check_encoder(config: TrainingConfig) -> None:
    """Raise EncoderError if the encoder is missing or cannot run here, before any stage starts."""
    _find(config)


def encoding_stage(vocabulary: AnyVocabulary, config: TrainingConfig) -> Stage[EncodingFacts] | None:
    """The stage for this vocabulary and encoder; None if the settings ask for no encoder. Raises EncoderError."""
    encoder = _find(config)
    return _stage(vocabulary, encoder) if encoder else None


@pipeline_task("encode words")
def encode_words(
    vocabulary: Manifest[VocabularyFacts], config: TrainingConfig, workspace: Workspace
) -> Manifest[EncodingFacts]:
    """Encode every word of the vocabulary on its own, resuming after the last finished chunk.

    Raises EncoderError if there is no encoder, it cannot be loaded, or its vectors are not finite.
    """
    encoder = _find(config)
    if encoder is None:
        raise EncoderError("no encoder is set; set training.encoder or training.fuse_with")

    def build(folder: Path) -> EncodingFacts:
        words = read_vocabulary(vocabulary.path).words
        model = loaded_encoder(encoder)
        writer = EncodingWriter(folder, len(words), model.dimension)
        listener, started, first = progress_listener(), time.perf_counter(), writer.finished
        listener.started("encoding", len(words), "words")
        try:
            with closing(model.encode(words[first:], resolve_workers(config))) as chunks:
                for vectors in chunks:
                    if not np.isfinite(vectors).all():
                        raise EncoderError(
                            f"{encoder.folder} computes vectors that are not finite; use another encoder"
                        )
                    writer.append(vectors)
                    listener.advanced(writer.finished)
        finally:
            listener.finished()
        writer.close()
        seconds = time.perf_counter() - started
        logger.info(
            "%s encoded %s words, %.0f words/s", encoder.name, f"{len(words) - first:,}", (len(words) - first) / seconds
        )
        return EncodingFacts(
            words=len(words),
            dimension=model.dimension,
            name=encoder.name,
            source=encoder.source,
            licence=encoder.licence,
            seconds=round(seconds, 3),
        )

    return complete_stage(workspace, _stage(vocabulary, encoder), build, resumable=True)


def _find(config: TrainingConfig) -> Encoder | None:
    setting = encoder_setting(config)
    if setting is None:
        return None
    return located_encoder(*setting)


def located_encoder(spec: str, setting: str) -> Encoder:
    """The encoder of a setting. Raises EncoderError if it is missing or cannot run here."""
    encoder = find_encoder(spec, setting)
    if (missing := missing_library()) is not None:
        raise EncoderError(f"{setting}: the encoder in {encoder.folder} cannot run: {missing}")
    return encoder


def loaded_encoder(encoder: Encoder) -> WordEncoder:
    """The encoder, ready to run. Raises EncoderError if it cannot be loaded."""
    try:
        return WordEncoder(encoder.folder)
    except ValueError as error:
        raise EncoderError(
            f"the encoder in {encoder.folder} cannot be loaded ({error}); copy its files again, or use another encoder"
        ) from error


def _stage(vocabulary: AnyVocabulary, encoder: Encoder) -> Stage[EncodingFacts]:
    inputs = {"vocabulary": vocabulary.digest, "encoder": encoder.digest}
    return Stage("encodings", STAGE_VERSION, {}, inputs, EncodingFacts)
