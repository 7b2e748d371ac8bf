"""Word pieces: BPE or Unigram models trained on the words of a corpus, by Hugging Face `tokenizers`."""

from collections.abc import Iterator
from itertools import chain

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tasks.text.cleaning import NAMED_TOKENS, list_offsets
from tasks.text.languages import import_extra
from tasks.text.options import TokenizerConfig
from tasks.text.vocabulary import WordCounts

UNKNOWN = "[UNK]"
# In front of pieces that continue a word (BPE), and of pieces that start one (Unigram).
CONTINUES, STARTS = "##", "▁"
# The trainers count words themselves, so each word is repeated; larger counts are scaled down in proportion.
MOST_REPEATS = 50_000_000
REPEATS_AT_ONCE = 10_000
# Words whose pieces are kept in memory.
MOST_REMEMBERED = 1 << 20
SPECIAL = frozenset(NAMED_TOKENS.values())


def train_pieces(counted: WordCounts, config: TokenizerConfig) -> str:
    """Train a model on words and their counts. Returns the JSON that `tokenizers` reads.

    Raises MissingExtraError without the package.
    """
    tokenizers = import_extra("tokenizers", "pieces", f"tokenizer.name={config.name}")
    bpe = config.name == "bpe"
    models, trainers = tokenizers.models, tokenizers.trainers
    # Half of the pieces at most are single characters; rarer ones are unknown.
    options = {"vocab_size": config.pieces, "special_tokens": [UNKNOWN], "show_progress": False}
    alphabet = sorted(set().union(*counted.words.to_pylist()))
    if bpe:
        model = models.BPE(unk_token=UNKNOWN, continuing_subword_prefix=CONTINUES, fuse_unk=True)
        trainer = trainers.BpeTrainer(
            **options, min_frequency=2, continuing_subword_prefix=CONTINUES, limit_alphabet=config.pieces // 2
        )
    else:
        model = models.Unigram()
        trainer = trainers.UnigramTrainer(**options, unk_token=UNKNOWN)
    tokenizer = tokenizers.Tokenizer(model)
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.WhitespaceSplit()
    if not bpe:
        tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.Sequence(
            [tokenizers.pre_tokenizers.WhitespaceSplit(), tokenizers.pre_tokenizers.Metaspace(STARTS, "always")]
        )
    # Twice, so that each character is known both at the start of a word and inside it.
    doubled = (letter * 2 for letter in alphabet)
    tokenizer.train_from_iterator(chain(doubled, _repeated(counted)), trainer)
    content: str = tokenizer.to_str()
    return content


class Pieces:
    """A trained model. content: the JSON of `train_pieces`."""

    def __init__(self, content: str) -> None:
        self._tokenizer = import_extra("tokenizers", "pieces", "reading word pieces").Tokenizer.from_str(content)
        self._remembered: dict[str, list[str]] = {}

    def cut(self, lists: pa.Array) -> pa.Array:
        """Lists of words (N,) as lists of their pieces (N,); characters unknown to the model are left out."""
        flat = lists.flatten()
        words = flat if pa.types.is_dictionary(flat.type) else flat.dictionary_encode()
        pieces = pa.array(self._of_words(words.dictionary.to_pylist()), pa.list_(pa.string()))
        found = pc.take(pieces, words.indices)
        ends = list_offsets(found)
        return pa.ListArray.from_arrays(pa.array(ends[list_offsets(lists)], pa.int32()), found.flatten())

    def _of_words(self, words: list[str]) -> list[list[str]]:
        # Other threads read the same dictionary, so it is replaced and never cleared.
        known = self._remembered if len(self._remembered) < MOST_REMEMBERED else {}
        self._remembered = known
        new = [word for word in words if word not in known]
        for word, encoding in zip(new, self._tokenizer.encode_batch(new), strict=True):
            known[word] = [word] if word in SPECIAL else [piece for piece in encoding.tokens if piece != UNKNOWN]
        return [known[word] for word in words]


def _repeated(counted: WordCounts) -> Iterator[str]:
    """Each word as often as it occurs, in strings of words; counts of a large corpus in proportion."""
    scale = min(1.0, MOST_REPEATS / max(1, counted.total))
    repeats = np.rint(counted.counts * scale).astype(np.int64)
    for word, count in zip(counted.words.to_pylist(), repeats.tolist(), strict=True):
        if word in SPECIAL:
            continue
        for start in range(0, count, REPEATS_AT_ONCE):
            yield f"{word} " * min(REPEATS_AT_ONCE, count - start)
