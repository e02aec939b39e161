"""The language model that needs no network: interpolated Kneser–Ney (Kneser & Ney 1995, Chen & Goodman 1999) over the same tokens.

An n-gram is one number, its tokens being digits to the base of the vocabulary; counts are sorted arrays of those.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from kargah.recipes.decoders.data import TokenData
from kargah.recipes.decoders.tokens import Sample, Tokens
from kargah.recipes.measures import FloatArray
from kargah.recipes.splits import IntArray

_ORDERS = 3
_FILE = "ngrams.safetensors"


@dataclass
class Order:
    """n-grams of one length, sorted, with their counts (for all but the longest: of how many tokens stand before them). Of each history:
    where its n-grams begin, the sum of their counts, their likeliest end. ``discount`` is taken off each count."""

    ngrams: IntArray
    counts: IntArray
    histories: IntArray
    begins: IntArray
    sums: IntArray
    likeliest: IntArray
    discount: float

    @classmethod
    def of(cls, ngrams: IntArray, counts: IntArray, base: int) -> "Order":
        histories, begins, distinct = np.unique(ngrams // base, return_index=True, return_counts=True)
        sums = np.add.reduceat(counts, begins) if len(counts) else counts
        order = np.lexsort((ngrams, -counts, ngrams // base))
        once, twice = int((counts == 1).sum()), int((counts == 2).sum())
        discount = once / (once + 2 * twice) if once and twice else 0.5
        return cls(ngrams, counts, histories, np.append(begins, begins[-1:] + distinct[-1:]), sums, ngrams[order][begins] % base, discount)


@dataclass
class NgramModel:
    """``orders[n - 1]``: of n tokens. ``base``: size of the vocabulary."""

    orders: list[Order]
    base: int

    @classmethod
    def fit(cls, sequences: Sequence[Tokens], base: int) -> "NgramModel":
        """Of n-grams that end in a token that is learnt: what stands in a question is no answer, here as in the network."""
        count = _ORDERS if base**_ORDERS < 2**63 else _ORDERS - 1
        whole = np.concatenate([_ngrams(one.ids, count, base)[one.learnt[count - 1 :]] for one in sequences])
        found: list[tuple[IntArray, IntArray]] = [np.unique(whole, return_counts=True)]
        for shorter in range(count - 1, 0, -1):
            # Those at a sequence's beginning have nothing before them and are no end of a longer one: counted by themselves.
            firsts = [_ngrams(one.ids[:shorter], shorter, base)[one.learnt[shorter - 1 : shorter]] for one in sequences]
            found.append(np.unique(np.concatenate([found[-1][0] % base**shorter, np.unique(np.concatenate(firsts))]), return_counts=True))
        return cls([Order.of(ngrams, counts, base) for ngrams, counts in reversed(found)], base)

    @property
    def parameters(self) -> int:
        return sum(len(order.ngrams) for order in self.orders)

    def read(self, sample: Sample) -> FloatArray:
        """(negative log-likelihood, tokens, likeliest right) of what is learnt in it."""
        told = np.zeros(3)
        for sequence in sample.sequences:
            learnt = np.flatnonzero(sequence.learnt[1:]) + 1
            shares, best = self._foreseen(sequence.ids)
            told += -np.log(shares[learnt]).sum(), len(learnt), (best[learnt] == sequence.ids[learnt]).sum()
        return told

    def _foreseen(self, ids: IntArray) -> tuple[FloatArray, IntArray]:
        """The probability of each token after those before it, and the likeliest: what followed the longest known history most."""
        shares = np.full(len(ids), 1.0 / self.base)
        best = np.zeros(len(ids), dtype=np.int64)
        for length, order in enumerate(self.orders, 1):
            if len(ids) < length or not len(order.ngrams):
                continue
            ngrams = _ngrams(ids, length, self.base)
            ends = np.arange(length - 1, len(ids))
            place, known = _places(order.histories, ngrams // self.base)
            at, seen = _places(order.ngrams, ngrams)
            counts = np.where(seen, order.counts[at], 0)
            distinct = np.diff(order.begins)[place]
            share = (
                np.maximum(0.0, counts - order.discount) / order.sums[place] + order.discount * distinct / order.sums[place] * shares[ends]
            )
            shares[ends] = np.where(known, share, shares[ends])
            best[ends] = np.where(known, order.likeliest[place], best[ends])
        return shares, best

    def written(self, tokenizer: Any, opening: str, tokens: int, seed: int) -> str:
        """Drawn token by token until one ends the text."""
        generator, ids = np.random.default_rng(seed), tokenizer.backend_tokenizer.encode(opening, add_special_tokens=False).ids
        begun = len(ids)
        while len(ids) < begun + tokens:
            token = self._drawn(ids, generator)
            if token == tokenizer.eos_token_id:
                break
            ids.append(token)
        text: str = tokenizer.decode(ids[begun:], skip_special_tokens=True)
        return text

    def _drawn(self, ids: list[int], generator: np.random.Generator) -> int:
        """From the longest known history, or, as often as interpolation says, from a shorter one."""
        for length, order in reversed(list(enumerate(self.orders, 1))):
            if len(ids) < length - 1 or not len(order.ngrams):
                continue
            history = 0
            for token in ids[len(ids) - length + 1 :]:
                history = history * self.base + token
            place, known = _places(order.histories, np.array([history]))
            if not known[0]:
                continue
            part = slice(order.begins[place[0]], order.begins[place[0] + 1])
            weights = order.counts[part] - order.discount
            if generator.random() * order.sums[place[0]] < weights.sum():
                return int(generator.choice(order.ngrams[part], p=weights / weights.sum()) % self.base)
        return int(generator.integers(self.base))

    def save(self, folder: Path) -> None:
        from safetensors.numpy import save_file

        arrays = {f"{name}.{length}": getattr(order, name) for length, order in enumerate(self.orders) for name in ("ngrams", "counts")}
        save_file({**arrays, "base": np.array([self.base])}, folder / _FILE)

    @classmethod
    def load(cls, folder: Path) -> "NgramModel":
        from safetensors.numpy import load_file

        arrays = load_file(folder / _FILE)
        base, count = int(arrays["base"][0]), (len(arrays) - 1) // 2
        return cls([Order.of(arrays[f"ngrams.{length}"], arrays[f"counts.{length}"], base) for length in range(count)], base)


@dataclass
class NgramBaseline:
    """The model beside the data that it was fitted on."""

    model: NgramModel
    data: TokenData
    check: Callable[[], None]
    name: str = "ngrams"
    family: str = "ngrams"
    architecture: str = "kneser-ney"

    @classmethod
    def fit(cls, data: TokenData, check: Callable[[], None]) -> "NgramBaseline":
        sequences = [sequence for sample in data.samples_of("train") for sequence in sample.sequences]
        return cls(NgramModel.fit(sequences, len(data.vocabulary.tokenizer)), data, check)

    @property
    def parameters(self) -> int:
        return self.model.parameters

    def scores(self, rows: IntArray) -> FloatArray:
        self.check()
        return np.array([self.model.read(self.data.samples[row]) for row in rows])

    def save(self, folder: Path) -> None:
        self.model.save(folder)
        self.data.vocabulary.save(folder, self.data.max_length)


def _ngrams(ids: IntArray, length: int, base: int) -> IntArray:
    """Every ``length`` tokens in a row as one number; none where there are fewer."""
    count = max(0, len(ids) - length + 1)
    found = np.zeros(count, dtype=np.int64)
    for offset in range(length):
        found = found * base + ids[offset : offset + count]
    return found


def _places(sorted_values: IntArray, wanted: IntArray) -> tuple[IntArray, FloatArray]:
    """(where each would stand, whether it stands there)."""
    places = np.minimum(np.searchsorted(sorted_values, wanted), len(sorted_values) - 1)
    return places, sorted_values[places] == wanted
