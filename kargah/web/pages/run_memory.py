"""The memory of a training over time, drawn on the server: it is there without scripts, and comes again with the live parts."""

from collections.abc import Sequence
from dataclasses import dataclass

from kargah.jobs.usage import MemoryOut, Usage
from kargah.kit import i18n
from kargah.web.pages.words import Words

WIDTH, HEIGHT, ROOM = 100.0, 40.0, 2.0
MOST_ROWS = 12
MOST_POINTS = 200


@dataclass(frozen=True)
class MemoryCurve:
    """``line``, ``area``: SVG paths in a picture of 100 by 40; ``limit_y``: where the limit is drawn, "" without one.

    ``rows``: (time since the start, memory), for those who read figures.
    """

    attempt: str
    now: str
    peak: str
    limit: str
    share: str
    span: str
    line: str
    area: str
    limit_y: str
    rows: list[tuple[str, str]]


def curve_of(words: Words, found: MemoryOut) -> MemoryCurve | None:
    if not found.samples:
        return None
    samples, limit = _shown(found.samples, MOST_POINTS), found.limit_bytes
    peak = max(found.samples, key=lambda sample: sample.unique_bytes).unique_bytes
    full = max(peak, limit or 0) * 1.05
    line = _line(samples, full)
    return MemoryCurve(
        attempt=words.number(found.attempt),
        now=i18n.memory(words.language, samples[-1].unique_bytes),
        peak=i18n.memory(words.language, peak),
        limit=i18n.memory(words.language, limit) if limit else "",
        share=words.percent(peak / limit, 0) if limit else "",
        span=words.duration_or_less(samples[-1].seconds),
        line=line,
        area=f"{line}L{WIDTH:.0f} {HEIGHT:.0f}L0 {HEIGHT:.0f}z",
        limit_y=f"{_height(limit, full):.1f}" if limit else "",
        rows=[(words.duration_or_less(one.seconds), i18n.memory(words.language, one.unique_bytes)) for one in _shown(samples, MOST_ROWS)],
    )


def _line(samples: Sequence[Usage], full: float) -> str:
    """By time, from the start of the process; what came before the first sample is drawn level."""
    last = max(samples[-1].seconds, 1e-6)
    points = [(0.0, samples[0].unique_bytes), *((sample.seconds / last, sample.unique_bytes) for sample in samples)]
    return "M" + "L".join(f"{WIDTH * share:.1f} {_height(used, full):.1f}" for share, used in points)


def _height(used: float, full: float) -> float:
    return HEIGHT - (HEIGHT - ROOM) * used / max(full, 1.0)


def _shown(samples: Sequence[Usage], most: int) -> list[Usage]:
    """The greatest of each stretch, and the last: a peak is never thinned away."""
    if len(samples) <= most:
        return list(samples)
    size = -(-len(samples) // (most - 1))
    stretches = [samples[start : start + size] for start in range(0, len(samples) - 1, size)]
    return [*(max(stretch, key=lambda one: one.unique_bytes) for stretch in stretches), samples[-1]]
