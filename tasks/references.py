"""The gold sets and reference vectors of an evaluation."""

from collections.abc import Iterator

from storage.gold.sets import read_gold_sets
from storage.vectors.reference import ReferenceVectors, is_downloaded, read_reference, reference_digest
from tasks.scoring import EvaluationConfig


def downloaded_references(config: EvaluationConfig) -> list[str]:
    """The references that are downloaded on first use."""
    return [spec for spec in config.all_references if is_downloaded(spec)]


def check_present(config: EvaluationConfig) -> None:
    """Check all gold sets and references. Raises GoldSetError or ReferenceVectorsError if one is missing."""
    for spec in config.all_references:
        reference_digest(spec)
    read_gold_sets(config.gold)


def read_references(config: EvaluationConfig) -> Iterator[tuple[str, ReferenceVectors]]:
    """Metric suffix and vectors of each reference, read lazily.

    Raises ReferenceVectorsError if one cannot be read.
    """
    for spec, suffix in config.all_references.items():
        yield suffix, read_reference(spec)
