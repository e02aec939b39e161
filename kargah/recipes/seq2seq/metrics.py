"""How near written texts come to given ones: ROUGE-1, -2 and -L (Lin 2004, F1) and chrF2 (Popović 2015, as sacreBLEU computes it).

Words are runs of letters, digits, marks and half-spaces, in lower case: «می‌شود» is one. A text without words is alike to none.
"""

import re
from collections import Counter
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np

from kargah.recipes.measures import Evaluation, FloatArray, IntArray, bootstrap
from kargah.recipes.problem import Problem, known_metric
from kargah.recipes.seq2seq.spec import METRICS
from kargah.text.normalise import LETTER_MARKS, ZWNJ

_WORD = re.compile(rf"[\w{ZWNJ}{LETTER_MARKS}]+")
_ORDERS, _BETA_SQUARED = 6, 4.0


class Written(NamedTuple):
    """What a model wrote of a row, and, where it can tell, the sum of -log p of the given target's tokens and their number."""

    text: str
    lost: float = 0.0
    tokens: int = 0


@dataclass(frozen=True)
class Seq2SeqProblem(Problem):
    """Targets are strings, scores ``Written``, one a row each."""

    primary_metric: str
    labels: tuple[str, ...] = ()

    @classmethod
    def of(cls, wanted_metric: str) -> "Seq2SeqProblem":
        return cls(known_metric(wanted_metric, METRICS))

    @property
    def kind(self) -> str:
        return "seq2seq"

    def evaluate(self, targets: FloatArray, scores: FloatArray, with_interval: bool = False) -> Evaluation:
        rouge = np.array([_rouge(told.text, given) for told, given in zip(scores, targets, strict=True)])
        counts = np.array([character_counts(told.text, given) for told, given in zip(scores, targets, strict=True)])

        def measured(rows: IntArray | slice) -> dict[str, float | None]:
            first, second, longest = rouge[rows].mean(axis=0).tolist()
            return {"rouge1": first, "rouge2": second, "rougeL": longest, "chrf": chrf(counts[rows].sum(axis=0))}

        tokens = sum(told.tokens for told in scores)
        lost = {"eval_loss": sum(told.lost for told in scores) / tokens} if tokens else {}
        interval = bootstrap(len(targets), self.primary_metric if with_interval else None, measured)
        return Evaluation({**lost, **measured(slice(None))}, interval)

    def as_dict(self) -> dict[str, Any]:
        return {"problem_type": self.kind, "labels": [], "primary_metric": self.primary_metric}


def words_of(text: str) -> list[str]:
    found = (word.strip("\u200c") for word in _WORD.findall(text.lower()))
    return [word for word in found if word]


def _rouge(written: str, given: str) -> tuple[float, float, float]:
    """F1 of words, of pairs of words, and of the longest common subsequence."""
    one, other = words_of(written), words_of(given)
    pairs = [list(pairwise(words)) for words in (one, other)]
    return (
        _f1(_shared(one, other), len(one), len(other)),
        _f1(_shared(*pairs), *map(len, pairs)),
        _f1(_subsequence(one, other), len(one), len(other)),
    )


def _shared(one: list[Any], other: list[Any]) -> int:
    return sum((Counter(one) & Counter(other)).values())


def _f1(shared: int, written: int, given: int) -> float:
    return 2 * shared / (written + given) if shared else 0.0


def _subsequence(one: list[str], other: list[str]) -> int:
    """Length of the longest common one, a row of the table at a time as bits of a number (Hyyrö 2004)."""
    places: dict[str, int] = {}
    for place, word in enumerate(one):
        places[word] = places.get(word, 0) | 1 << place
    whole = (1 << len(one)) - 1
    row = whole
    for word in other:
        match = row & places.get(word, 0)
        row = (row + match | row - match) & whole
    return len(one) - row.bit_count()


def character_counts(written: str, given: str) -> list[int]:
    """For each order of n-grams of characters, without white space: how many were written, were given, are shared."""
    one, other = ("".join(text.split()) for text in (written, given))
    counts = []
    for order in range(1, _ORDERS + 1):
        first, second = (Counter(text[start : start + order] for start in range(len(text) - order + 1)) for text in (one, other))
        given_count = second.total()
        counts += [first.total() if given_count else 0, given_count, (first & second).total()]
    return counts


def chrf(counts: FloatArray) -> float:
    """0 to 100, of summed counts: the mean precision and recall of the orders that occur on both sides, recall counting double."""
    parts = [(shared / written, shared / given) for written, given, shared in counts.reshape(-1, 3).tolist() if written and given]
    if not parts:
        return 0.0
    precision, recall = (sum(side) / len(parts) for side in zip(*parts, strict=True))
    return 100 * (1 + _BETA_SQUARED) * precision * recall / (_BETA_SQUARED * precision + recall) if precision + recall else 0.0
