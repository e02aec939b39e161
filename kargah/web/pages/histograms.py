"""Statistics of columns as pages show them: a small picture that needs no script, and its figures as a table."""

from dataclasses import dataclass

from kargah.datasets.rows import Bin, Statistics
from kargah.web.pages import figures
from kargah.web.pages.figures import Figure
from kargah.web.pages.words import Words

WIDTH, HEIGHT, GAP = 100.0, 28.0, 0.6
#: A bin with a few rows among very many is still seen.
LEAST = 0.5


@dataclass(frozen=True)
class Histogram:
    """``path``: of an SVG of 100 by 28. ``about`` says in words what the picture shows. ``rows``: (from–to, count)."""

    path: str
    about: str
    low: str
    high: str
    rows: list[tuple[str, str]]


def histogram_of(words: Words, column: Statistics) -> Histogram | None:
    if not column.bins:
        return None
    first, last = column.bins[0].low, column.bins[-1].high
    low, high = (_said(words, end) for end in (first, last))
    quartiles = [_said(words, value) for value in column.quartiles]
    about = words.text(f"statistics.about.{column.measure}", name=column.name, low=low, high=high, median=quartiles[1])
    rows = [(_span(words, part), words.number(part.count)) for part in column.bins]
    return Histogram(path_of([part.count for part in column.bins]), about, low, high, rows)


def path_of(counts: list[int]) -> str:
    """A bar for each count, side by side."""
    step, longest = WIDTH / max(1, len(counts)), max(counts, default=0) or 1
    parts = []
    for place, count in enumerate(counts):
        if count:
            top = HEIGHT - max(LEAST, HEIGHT * count / longest)
            parts.append(f"M{place * step:.1f} {HEIGHT:.0f}V{top:.1f}H{(place + 1) * step - GAP:.1f}V{HEIGHT:.0f}z")
    return "".join(parts)


def _said(words: Words, value: float) -> str:
    return figures.of_data(value, figures.in_digits(words, value))


def _span(words: Words, part: Bin) -> str:
    low, high = (_said(words, end) for end in (part.low, part.high))
    return low if part.low == part.high else words.text("statistics.span", low=low, high=high)


def figures_of(words: Words, column: Statistics) -> list[Figure]:
    """What stands beside the picture."""
    first, median, third = [*column.quartiles, None, None, None][:3]
    known = {
        "mean": column.mean, "deviation": column.deviation, "minimum": column.minimum, "first": first,
        "median": median, "third": third, "maximum": column.maximum,
    }  # fmt: skip
    told = [Figure(words.text(f"statistics.{name}"), _said(words, value)) for name, value in known.items() if value is not None]
    return [*told, Figure(words.text("statistics.nulls"), words.number(column.nulls))]
