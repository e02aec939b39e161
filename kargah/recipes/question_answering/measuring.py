"""How good found answers are: exact match and F1 of words, as SQuAD 2.0's script computes them (Rajpurkar et al. 2018).

``f1`` and ``exact_match`` compare after our folding of letters (Arabic yeh and kaf, half-spaces, harakat, digits) and without Persian
marks; ``squad_f1`` and ``squad_exact_match`` are the script's own, which knows English marks and articles only.
"""

import re
import string
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from kargah.recipes.measures import Evaluation, FloatArray, Interval
from kargah.recipes.problem import Problem, known_metric
from kargah.text.normalise import LABEL_SETTINGS, ZWNJ, Normaliser

_RESAMPLES = 400
_ARTICLES = re.compile(r"\b(a|an|the)\b")
_MARKS = str.maketrans("", "", string.punctuation)
_PERSIAN_MARKS = str.maketrans("", "", string.punctuation + "،؛؟٪٫٬٭۔«»…–—‘’“”")
_FOLD = Normaliser(LABEL_SETTINGS)


@dataclass(frozen=True)
class Found:
    """``text`` is "" where the text has no answer. ``score``: how sure that is, between 0 and 1. Places in the asker's own text."""

    text: str
    score: float
    start: int = 0
    end: int = 0


@dataclass(frozen=True)
class AnswersProblem(Problem):
    """Targets: the reference answers of a row, none where its text has none; scores: ``Found`` a row."""

    primary_metric: str
    labels: tuple[str, ...] = ()

    @classmethod
    def of(cls, wanted_metric: str) -> "AnswersProblem":
        return cls(known_metric(wanted_metric, ("f1", "exact_match")))

    @property
    def kind(self) -> str:
        return "answers"

    def evaluate(self, targets: FloatArray, scores: FloatArray, with_interval: bool = False) -> Evaluation:
        references: list[tuple[str, ...]] = list(targets)
        told = [found.text for found in scores]
        exact, f1 = (_best(compare, told, references, folded) for compare in (_same, word_f1))
        answerable = np.array([bool(answers) for answers in references])
        said = np.array([bool(text) for text in told])
        metrics: dict[str, float | None] = {
            "f1": float(f1.mean()),
            "exact_match": float(exact.mean()),
            "squad_f1": float(_best(word_f1, told, references, as_squad).mean()),
            "squad_exact_match": float(_best(_same, told, references, as_squad).mean()),
        }
        parts = [_part(name, which, f1, exact) for name, which in (("answerable", answerable), ("unanswerable", ~answerable))]
        detail = {"parts": [part for part in parts if part], "answered": int(said.sum()), "answerable": int(answerable.sum())}
        interval = _interval(f1 if self.primary_metric == "f1" else exact) if with_interval else None
        return Evaluation(metrics, interval, detail)

    def as_dict(self) -> dict[str, Any]:
        return {"labels": [], "primary_metric": self.primary_metric}


def _part(name: str, which: FloatArray, f1: FloatArray, exact: FloatArray) -> dict[str, Any] | None:
    if not which.any():
        return None
    return {"name": name, "rows": int(which.sum()), "f1": float(f1[which].mean()), "exact_match": float(exact[which].mean())}


def as_squad(text: str) -> str:
    """SQuAD's ``normalize_answer``: lower case, without English marks and articles, single spaces."""
    return " ".join(_ARTICLES.sub(" ", text.lower().translate(_MARKS)).split())


def folded(text: str) -> str:
    """The same for Persian: a half-space parts words no more than it joins them, so it goes."""
    return " ".join(_ARTICLES.sub(" ", _FOLD.apply(text).replace(ZWNJ, "").lower().translate(_PERSIAN_MARKS)).split())


def word_f1(one: str, other: str) -> float:
    """Of the words that both have; no answer equals no answer only."""
    first, second = one.split(), other.split()
    if not first or not second:
        return float(first == second)
    shared = sum((Counter(first) & Counter(second)).values())
    return 2 * shared / (len(first) + len(second))


def _same(one: str, other: str) -> float:
    return float(one == other)


def _best(
    compare: Callable[[str, str], float], told: Sequence[str], targets: Sequence[Sequence[str]], normalise: Callable[[str], str]
) -> FloatArray:
    """Against the reference that suits best. A reference of marks alone is left out, as the script does."""
    values = []
    for text, answers in zip(told, targets, strict=True):
        references = [answer for answer in map(normalise, answers) if answer] or [""]
        values.append(max(compare(normalise(text), reference) for reference in references))
    return np.array(values)


def _interval(values: FloatArray) -> Interval:
    drawn = np.random.default_rng(0).integers(0, len(values), (_RESAMPLES, len(values)))
    low, high = np.percentile(values[drawn].mean(axis=1), [2.5, 97.5])
    return float(low), float(high)


def threshold_of(margins: Sequence[float], found: Sequence[str], targets: Sequence[Sequence[str]]) -> float:
    """The margin over "no answer" from which an answer is told, so that F1 on these rows is best (SQuAD 2.0's ``find_best_thresh``)."""
    order = np.argsort(-np.asarray(margins), kind="stable")
    gains = _best(word_f1, list(found), targets, folded) - np.array([float(not answers) for answers in targets])
    sums = np.concatenate([[0.0], np.cumsum(gains[order])])
    kept = int(sums.argmax())
    ranked = np.asarray(margins, dtype=np.float64)[order]
    if kept == 0:
        return float(ranked[0]) + 1e-6 if len(ranked) else 0.0
    return float(ranked[kept - 1] if kept == len(ranked) else (ranked[kept - 1] + ranked[kept]) / 2)
