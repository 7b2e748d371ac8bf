"""Find repeated documents: the same text, or by MinHash mostly the same word triples."""

import hashlib
import re
from typing import Any

from tasks.text.languages import import_extra

SHINGLE = 3
PERMUTATIONS = 128
# Of the deduplicator, which accepts no other.
SEED = 42
WORDS = re.compile(r"\w+")
# Words of an unsegmented script are whole sentences, so its shingles are of characters.
UNSEGMENTED = re.compile("[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff]")


class DuplicateFinder:
    """Remembers documents, and says of each new one whether it repeats an earlier one.

    near_similarity: Jaccard similarity of word triples from which a document is a repetition; None: exact ones only.
    Memory per document: 16 bytes of digest, and 512 bytes of MinHash for near ones.
    """

    def __init__(self, near_similarity: float | None = None) -> None:
        self._digests: set[bytes] = set()
        self._similarity = near_similarity
        self._near: Any = None
        if near_similarity is not None:
            rensa = import_extra("rensa", "text", "tokenizer.duplicates=near")
            self._near = rensa.RMinHashDeduplicator(threshold=near_similarity, num_perm=PERMUTATIONS, use_lsh=True)

    def repeats(self, text: str) -> str | None:
        """`exact` or `near` if the text repeats an earlier one; else None, and the text is remembered."""
        folded = " ".join(text.lower().split())
        digest = hashlib.blake2b(folded.encode(), digest_size=16).digest()
        if digest in self._digests:
            return "exact"
        self._digests.add(digest)
        if self._near is None:
            return None
        triples = sorted(shingles(folded))
        if not triples or self._near.add(digest.hex(), _minhash(triples)):
            return None
        return "near"


def shingles(text: str) -> set[str]:
    """The word triples of a text, or of an unsegmented script its character triples."""
    units = list(text) if UNSEGMENTED.search(text) else WORDS.findall(text)
    if len(units) < SHINGLE:
        return {" ".join(units)} - {""}
    return {" ".join(units[start : start + SHINGLE]) for start in range(len(units) - SHINGLE + 1)}


def _minhash(triples: list[str]) -> Any:  # noqa: ANN401 - rensa has no types
    from rensa import RMinHash

    sketch = RMinHash(num_perm=PERMUTATIONS, seed=SEED)
    sketch.update(triples)
    return sketch
