"""Peers that split a text of articles between `<doc …>` and `</doc>` into words and count them, in their usual way."""

import os
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

from tasks.trainers.backends import available_cores

WORD = r"[\p{L}\p{N}][\p{L}\p{M}\p{N}]*(?:'[\p{L}\p{N}][\p{L}\p{M}\p{N}]*)*"


def article_lines(text: Path) -> Iterator[str]:
    """The lines of the articles."""
    with text.open(encoding="utf-8") as file:
        for line in file:
            if not line.startswith(("<doc ", "</doc>")):
                yield line


def count_with_gensim(text: Path) -> tuple[int, int]:
    """Tokens and distinct words by `simple_preprocess` and a Counter."""
    from gensim.utils import simple_preprocess

    counts: Counter[str] = Counter()
    for line in article_lines(text):
        counts.update(simple_preprocess(line))
    return counts.total(), len(counts)


def count_with_hugging_face(text: Path) -> tuple[int, int]:
    """Tokens and distinct words by a pre-tokenizer of `tokenizers` in `datasets.map` on all cores."""
    # Neither may look for anything on the network.
    os.environ["HF_HUB_OFFLINE"] = "1"
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    from datasets import Dataset, disable_caching, disable_progress_bars
    from tokenizers import normalizers, pre_tokenizers

    disable_caching()
    disable_progress_bars()
    normalizer = normalizers.Sequence([normalizers.NFC(), normalizers.Lowercase()])
    splitter = pre_tokenizers.Whitespace()

    def split(batch: dict[str, list[str]]) -> dict[str, list[list[str]]]:
        normal = map(normalizer.normalize_str, batch["text"])
        return {"tokens": [[word for word, _ in splitter.pre_tokenize_str(line)] for line in normal]}

    with tempfile.TemporaryDirectory(dir=text.parent) as cache:
        lines = Dataset.from_generator(lambda: ({"text": line} for line in article_lines(text)), cache_dir=cache)
        workers = available_cores() if text.stat().st_size > 1 << 20 else None
        done = lines.map(split, batched=True, remove_columns=["text"], num_proc=workers)
        counts: Counter[str] = Counter()
        for batch in done.iter(1000):
            for tokens in batch["tokens"]:
                counts.update(tokens)
    return counts.total(), len(counts)


def count_with_polars(text: Path) -> tuple[int, int]:
    """Tokens and distinct words by one expression of Polars, with the regular expression of Unicode's words."""
    import polars

    lines = polars.DataFrame({"text": list(article_lines(text))}).lazy()
    words = lines.select(polars.col("text").str.to_lowercase().str.extract_all(WORD).alias("word")).explode("word")
    counts = words.drop_nulls().group_by("word").len().collect(engine="streaming")
    return int(counts["len"].sum()), counts.height


PEERS: dict[str, Callable[[Path], tuple[int, int]]] = {
    "gensim": count_with_gensim,
    "datasets and tokenizers": count_with_hugging_face,
    "Polars": count_with_polars,
}
