"""What honest and broken training score, so that the gates of a deployment can be set between them.

The broken runs train on the same words in random order across all documents: frequencies and document lengths stay,
everything that a vector could learn is gone. A pipeline that loses the order of words, or pairs words with the wrong
vectors, looks like that.
"""

import statistics
from collections.abc import Iterator, Sequence

import numpy as np
from pydantic import BaseModel
from rich.progress import track

from flows.deployments import build_parameters, find_deployment
from storage.layout import Workspace
from storage.stages import Manifest
from storage.tokens import read_tokens
from tasks.corpus import fetch_corpus
from tasks.evaluation import evaluate_vectors
from tasks.metrics.gates import GATED_METRICS
from tasks.tokens import tokenize_corpus
from tasks.training import train_vectors
from tasks.vocabulary import build_vocabulary, encode_corpus


class Spread(BaseModel):
    """One metric over all seeds of one kind of run."""

    metric: str
    kind: str
    lowest: float
    mean: float
    highest: float


def measure(deployment: str, seeds: Sequence[int], workspace: Workspace) -> list[Spread]:
    """Train with every seed on the deployment's own corpus and on its words shuffled."""
    shuffled = workspace.root / "shuffled.txt"
    tokens = _tokens(deployment, [], workspace)
    shuffled.write_text("\n".join(shuffled_documents(tokens, seed=0)), encoding="utf-8")
    kinds = {"honest": [], "shuffled": [f"corpus.path={shuffled}", "tokenizer.name=whitespace"]}
    spreads = []
    for kind, settings in kinds.items():
        runs = [
            _metrics(deployment, [*settings, f"skipgram.seed={seed}"], workspace)
            for seed in track(seeds, description=kind)
        ]
        for metric in GATED_METRICS:
            values = [float(run[metric] or 0.0) for run in runs]
            spreads.append(
                Spread(metric=metric, kind=kind, lowest=min(values), mean=statistics.mean(values), highest=max(values))
            )
    return spreads


def _tokens(deployment: str, settings: list[str], workspace: Workspace) -> Manifest:
    parameters = build_parameters(find_deployment(deployment), settings)
    corpus = fetch_corpus.fn(parameters.corpus, workspace)
    return tokenize_corpus.fn(corpus, parameters.tokenizer, workspace)


def _metrics(deployment: str, settings: list[str], workspace: Workspace) -> dict[str, float | None]:
    parameters = build_parameters(find_deployment(deployment), settings)
    tokens = _tokens(deployment, settings, workspace)
    vocabulary = build_vocabulary.fn(tokens, parameters.vocabulary, workspace)
    encoded = encode_corpus.fn(tokens, vocabulary, workspace)
    model = train_vectors.fn(encoded, vocabulary, parameters.skipgram, workspace)
    metrics: dict[str, float | None] = evaluate_vectors.fn(model, vocabulary, parameters.evaluation, workspace).facts[
        "metrics"
    ]
    return metrics


def shuffled_documents(tokens: Manifest, seed: int) -> Iterator[str]:
    """Documents of the same lengths, filled with all words of the corpus in random order."""
    batches = [batch.tokens for batch in read_tokens(tokens.path)]
    lengths = np.concatenate([np.asarray(batch.value_lengths()) for batch in batches])
    words = np.concatenate([batch.flatten().to_numpy(zero_copy_only=False) for batch in batches])
    np.random.default_rng(seed).shuffle(words)
    for document in np.split(words, np.cumsum(lengths)[:-1]):
        yield " ".join(document)
