"""A line of a few values as an SVG path, in a picture of 100 by 28."""

from collections.abc import Sequence

WIDTH, HEIGHT, ROOM = 100.0, 28.0, 2.0


def line_of(values: Sequence[float], full: float, places: int) -> str:
    """The newest value at the end; fewer than ``places`` values leave the beginning empty."""
    step = WIDTH / max(1, places - 1)
    start = WIDTH - step * (len(values) - 1)

    def height(value: float) -> float:
        return HEIGHT - (HEIGHT - ROOM) * min(1.0, max(0.0, value / full))

    points = [f"{start + index * step:.1f} {height(value):.1f}" for index, value in enumerate(values)]
    return "M" + "L".join(points) if points else ""


def area_of(line: str) -> str:
    """What lies under a line of ``line_of``."""
    return f"{line}L{WIDTH:.0f} {HEIGHT:.0f}L{line[1:].partition(' ')[0]} {HEIGHT:.0f}z" if line else ""
