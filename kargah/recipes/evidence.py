"""How sure figures are: intervals of all metrics, whether one model is better than another, and whether stated probabilities hold.

Bootstraps resample rows, as ``measures`` does, and are seeded: the same rows give the same figures. numpy only.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from kargah.recipes.measures import FloatArray, IntArray, wilson

#: How any of the rows, given by their places, are measured.
Measure = Callable[[IntArray], dict[str, float | None]]
RESAMPLES, PAIRED_RESAMPLES = 400, 1000
SURE = 0.05
_BINS = 10
_LEAST_KNOWN = 0.5


@dataclass(frozen=True)
class Figure:
    """With its 95 % interval, where there is one."""

    value: float | None
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class McNemar:
    """Rows that one of two models alone had right; the exact two-sided probability where neither is better."""

    only_first: int
    only_second: int
    p_value: float


@dataclass(frozen=True)
class Comparison:
    """``difference``: the first's ``metric`` less the second's. ``verdict``: first, second or none is better beyond chance."""

    metric: str
    difference: Figure
    p_value: float | None
    mcnemar: McNemar | None
    verdict: str


@dataclass(frozen=True)
class Bin:
    """Answers whose stated probability is above ``low`` and at most ``high``: its mean, and the share that was right."""

    low: float
    high: float
    count: int
    stated: float
    right: float


@dataclass(frozen=True)
class Reliability:
    """``expected_error``: ECE over ten bins of equal width (Guo et al. 2017)."""

    answers: int
    expected_error: float
    bins: list[Bin]


def figures(places: IntArray, measure: Measure, check: Callable[[], None], resamples: int = RESAMPLES) -> dict[str, Figure]:
    """All metrics of these rows; accuracy with Wilson's interval, the others with the bootstrap's."""
    values = measure(places)
    drawn: dict[str, list[float]] = {name: [] for name in values}
    generator = np.random.default_rng(0)
    for _ in range(resamples):
        check()
        for name, value in measure(places[generator.integers(0, len(places), len(places))]).items():
            if value is not None:
                drawn[name].append(value)
    return {name: _figure(name, value, drawn[name], len(places), resamples) for name, value in values.items()}


def _figure(name: str, value: float | None, drawn: Sequence[float], rows: int, resamples: int) -> Figure:
    if value is None:
        return Figure(value=None)
    if name == "accuracy":
        low, high = wilson(value * rows, rows)
        return Figure(value=value, low=low, high=high)
    if len(drawn) < _LEAST_KNOWN * resamples:
        return Figure(value=value)
    low, high = (float(edge) for edge in np.percentile(drawn, [2.5, 97.5]))
    return Figure(value=value, low=low, high=high)


def share(right: FloatArray) -> Figure:
    """Of 0s and 1s, with Wilson's interval."""
    low, high = wilson(float(right.sum()), len(right))
    return Figure(value=float(right.mean()), low=low, high=high)


def paired(
    metric: str, lower_is_better: bool, rows: int, measures: tuple[Measure, Measure], right: tuple[FloatArray, FloatArray] | None,
    check: Callable[[], None],
) -> Comparison:  # fmt: skip
    """Whether the first model is better than the second on the same rows. ``right``: 0 or 1 a row, where an answer is right or wrong.

    The rows are drawn together for both, so that hard rows are hard for both. Of accuracy McNemar's exact test decides, of all
    other metrics the interval of the difference.
    """
    whole = np.arange(rows)
    difference = _difference(metric, measures, whole)
    generator, drawn = np.random.default_rng(0), []
    for _ in range(PAIRED_RESAMPLES):
        check()
        told = _difference(metric, measures, generator.integers(0, rows, rows))
        if told is not None:
            drawn.append(told)
    told_right = mcnemar(*right) if right is not None else None
    if difference is None or len(drawn) < _LEAST_KNOWN * PAIRED_RESAMPLES:
        return Comparison(metric, Figure(difference), None, told_right, "none")
    low, high = (float(edge) for edge in np.percentile(drawn, [2.5, 97.5]))
    p_value = told_right.p_value if told_right is not None and metric == "accuracy" else _p_value(np.array(drawn))
    sure = p_value < SURE if told_right is not None and metric == "accuracy" else not low <= 0 <= high
    first = (difference < 0) if lower_is_better else (difference > 0)
    verdict = "none" if not sure or difference == 0 else "first" if first else "second"
    return Comparison(metric, Figure(difference, low, high), p_value, told_right, verdict)


def _difference(metric: str, measures: tuple[Measure, Measure], rows: IntArray) -> float | None:
    first, second = (measure(rows).get(metric) for measure in measures)
    return None if first is None or second is None else first - second


def _p_value(drawn: FloatArray) -> float:
    """Two-sided: how often the resampled difference lies on the other side of nothing."""
    below, above = int((drawn <= 0).sum()), int((drawn >= 0).sum())
    return min(1.0, 2 * (1 + min(below, above)) / (1 + len(drawn)))


def mcnemar(first: FloatArray, second: FloatArray) -> McNemar:
    """The exact test of McNemar 1947: of the rows that one alone has right, each is either's with the same chance."""
    only_first, only_second = int(((first == 1) & (second == 0)).sum()), int(((first == 0) & (second == 1)).sum())
    apart = only_first + only_second
    tail = sum(
        math.exp(math.lgamma(apart + 1) - math.lgamma(count + 1) - math.lgamma(apart - count + 1) - apart * math.log(2))
        for count in range(min(only_first, only_second) + 1)
    )
    return McNemar(only_first=only_first, only_second=only_second, p_value=min(1.0, 2 * tail) if apart else 1.0)


def sums_measure(sums: FloatArray, figures: Callable[[FloatArray], dict[str, float | None]]) -> Measure:
    """Where metrics follow from sums over rows: ``sums`` [rows, numbers]; a resample is one product."""
    sums = np.asarray(sums, dtype=np.float64)
    return lambda rows: figures(np.bincount(rows, minlength=len(sums)) @ sums)


def calibration(stated: FloatArray, right: FloatArray) -> Reliability:
    """``stated``: probabilities of the answers given; ``right``: 0 or 1."""
    places = np.clip(np.ceil(stated * _BINS).astype(int) - 1, 0, _BINS - 1)
    bins: list[Bin] = []
    for number in range(_BINS):
        here = places == number
        if here.any():
            told, held = float(stated[here].mean()), float(right[here].mean())
            bins.append(Bin(low=number / _BINS, high=(number + 1) / _BINS, count=int(here.sum()), stated=told, right=held))
    error = sum(part.count * abs(part.stated - part.right) for part in bins) / max(1, len(stated))
    return Reliability(answers=len(stated), expected_error=error, bins=bins)
