"""A text as the model reads it, beside the text as it was given: places in the one are places in the other."""

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass

from kargah.text.normalise import Normaliser


@dataclass(frozen=True)
class Passage:
    """``read`` is the normalised text; ``places``: for each of its characters, and its end, the place in ``given``."""

    given: str
    read: str
    places: Sequence[int]

    @classmethod
    def of(cls, given: str, normaliser: Normaliser | None) -> "Passage":
        read, places = normaliser.apply_mapped(given) if normaliser else (given, range(len(given) + 1))
        return cls(given, read, places)

    def seen(self, start: int, end: int) -> tuple[int, int]:
        """From places in the given text to places in the read one."""
        return bisect_left(self.places, start), bisect_left(self.places, end)

    def shown(self, start: int, end: int) -> tuple[int, int]:
        """From places in the read text to places in the given one, without blanks at the ends."""
        first, last = self.places[start], self.places[end]
        while last > first and self.given[last - 1].isspace():
            last -= 1
        return first, last


@dataclass(frozen=True)
class Asked:
    """``answers``: (text as given, start, end in the read passage), none where the passage has none."""

    question: str
    passage: Passage
    answers: tuple[tuple[str, int, int], ...] = ()
