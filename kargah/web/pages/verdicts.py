"""What an honest reader may say of several runs: who is better, and whether that can be told at all."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from kargah.web.pages.words import Words

#: A run: its name, its summary, the data it learnt from.
Judged = tuple[str, dict[str, Any], tuple[str, ...]]


@dataclass(frozen=True)
class Verdict:
    """``sure``: the intervals are apart, so the difference is not only chance. ``also``: what weakens the comparison."""

    text: str
    sure: bool
    also: list[str]


@dataclass(frozen=True)
class Measured:
    title: str
    value: float
    low: float
    high: float

    def overlaps(self, other: "Measured") -> bool:
        return self.low <= other.high and other.low <= self.high


def between(words: Words, runs: Sequence[Judged]) -> Verdict | None:
    """None for fewer than two runs. Intervals are of the recommended model's primary metric, 95 %."""
    if len(runs) < 2:
        return None
    also = [words.text("compare.other_data")] if len({data for _, _, data in runs}) > 1 else []
    if missing := [title for title, summary, _ in runs if not summary.get("recommended")]:
        return Verdict(words.text("compare.not_over", names=missing), False, also)
    metrics = {summary.get("primary_metric") for _, summary, _ in runs}
    if len(metrics) > 1:
        return Verdict(words.text("compare.other_metrics"), False, also)
    measured = [measured_of(title, summary) for title, summary, _ in runs]
    known = [one for one in measured if one is not None]
    if len(known) < len(runs):
        return Verdict(words.text("compare.no_intervals"), False, also)
    return _judge(words, known, lower=bool(runs[0][1].get("lower_is_better")), also=also)


def measured_of(title: str, summary: dict[str, Any]) -> Measured | None:
    model = (summary.get("models") or {}).get(summary.get("recommended")) or {}
    value, interval = (model.get("metrics") or {}).get(model.get("primary_metric")), model.get("interval")
    if value is None or not interval:
        return None
    return Measured(title, float(value), float(interval["low"]), float(interval["high"]))


def _judge(words: Words, measured: list[Measured], *, lower: bool, also: list[str]) -> Verdict:
    ranked = sorted(measured, key=lambda one: one.value, reverse=not lower)
    best, others = ranked[0], ranked[1:]
    beaten = [one.title for one in others if not best.overlaps(one)]
    tied = [one.title for one in others if best.overlaps(one)]
    if not beaten:
        return Verdict(words.text("compare.tie"), False, also)
    if not tied:
        return Verdict(words.text("compare.better", name=best.title), True, also)
    return Verdict(words.text("compare.better_than_some", name=best.title, beaten=beaten, tied=tied), True, also)
