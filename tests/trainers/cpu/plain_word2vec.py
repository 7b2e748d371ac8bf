"""word2vec with negatives shared in a window, one pair at a time in NumPy: what the compiled kernel is held against.

It makes the same draws, from its own implementation of splitmix64 in Python's integers.
"""

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, log_expit

from tasks.trainers.config import WindowConfig

WORD = 2**64 - 1
INPUTS_PER_STEP = 10
Doubles = NDArray[np.float64]


def random_bits(key: int, counter: int) -> int:
    """Draw number `counter` of the stream `key` (Steele et al. 2014, "Fast splittable pseudorandom numbers")."""
    bits = (key + counter * 0x9E3779B97F4A7C15) & WORD
    bits = ((bits ^ (bits >> 30)) * 0xBF58476D1CE4E5B9) & WORD
    bits = ((bits ^ (bits >> 27)) * 0x94D049BB133111EB) & WORD
    return bits ^ (bits >> 31)


class PlainTrainer:
    """Trains one chunk; keep_thresholds, noise_thresholds and noise_aliases are the kernel's tables."""

    def __init__(
        self,
        centers: Doubles,
        contexts: Doubles,
        config: WindowConfig,
        tables: tuple[NDArray[np.uint32], NDArray[np.uint32], NDArray[np.int32]],
    ) -> None:
        self.centers, self.contexts, self.config = centers.copy(), contexts.copy(), config
        self.keep_thresholds, self.noise_thresholds, self.noise_aliases = tables
        self.loss, self.pairs = 0.0, 0

    def train(self, sentences: list[list[int]], key: int, begin: int = 0, tokens: int | None = None) -> None:
        """Train sentences of a chunk that is the whole training: the rate falls to its end.

        begin: position of the first.  tokens: in the whole chunk; None: these sentences are all.
        """
        self.keep_key, self.window_key, self.noise_key = (random_bits(key, number) for number in range(3))
        tokens = tokens or sum(map(len, sentences))
        for sentence in sentences:
            kept = [token for place, token in enumerate(sentence, begin) if self.is_kept(token, place)]
            for place, center in enumerate(kept):
                if len(kept) < 2:
                    continue
                radius = self.radius(begin + place)
                window = kept[max(0, place - radius) : place] + kept[place + 1 : place + radius + 1]
                outputs = [center, *self.noise(center, begin + place)]
                progress = (begin + place * len(sentence) / len(kept)) / tokens
                self.train_window(window, outputs, self.rate_at(progress))
            begin += len(sentence)

    def rate_at(self, progress: float) -> float:
        first = self.config.learning_rate
        assert first is not None
        return first * (1 - progress) + first * self.config.final_rate_fraction * progress

    def is_kept(self, token: int, place: int) -> bool:
        return random_bits(self.keep_key, place) % 2**32 <= int(self.keep_thresholds[token])

    def radius(self, place: int) -> int:
        largest = self.config.window_radius
        return (
            1 + (random_bits(self.window_key, place) >> 32) * largest // 2**32
            if self.config.reduced_windows
            else largest
        )

    def noise(self, center: int, place: int) -> list[int]:
        words = []
        for slot in range(1, self.config.negatives_per_pair + 1):
            counter = place * (self.config.negatives_per_pair + 1) + slot
            for again in range(8):
                bits = random_bits(self.noise_key, counter + again * 2**48)
                row = (bits >> 32) * len(self.centers) // 2**32
                word = row if bits % 2**32 <= self.noise_thresholds[row] else int(self.noise_aliases[row])
                if word != center:
                    break
            words.append(word)
        return words

    def train_window(self, window: list[int], outputs: list[int], rate: float) -> None:
        if self.config.model == "cbow":
            mean = self.centers[window].mean(axis=0)
            change = self.step(mean[None, :], outputs, rate)
            for word in window:
                self.centers[word] += change[0] / len(window)
            return
        for first in range(0, len(window), INPUTS_PER_STEP):
            words = window[first : first + INPUTS_PER_STEP]
            changes = self.step(self.centers[words], outputs, rate)
            for word, change in zip(words, changes, strict=True):
                self.centers[word] += change

    def step(self, inputs: Doubles, outputs: list[int], rate: float) -> Doubles:
        """Move the outputs, and return by how much each of the inputs is to move."""
        before = self.contexts.copy()
        changes = np.zeros_like(inputs)
        for number, input_vector in enumerate(inputs):
            for slot, output in enumerate(outputs):
                logit = input_vector @ before[output]
                gradient = rate * ((slot == 0) - expit(logit))
                changes[number] += gradient * before[output]
                self.contexts[output] += gradient * input_vector
                self.loss -= log_expit(logit if slot == 0 else -logit)
        self.pairs += len(inputs)
        return changes
