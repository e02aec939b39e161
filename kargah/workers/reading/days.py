"""Whether the texts of a column are dates, and what would have to be done to make them dates of one calendar."""

from collections import Counter
from typing import TYPE_CHECKING, Any

from kargah.text import dates
from kargah.workers.reading.findings import MAX_LINES, Findings

if TYPE_CHECKING:
    from kargah.workers.reading.profile import Stretch


class DateProfile:
    """Whether the texts are dates, of which calendar, and which of them there are not. Gives up at the first values that are none."""

    def __init__(self) -> None:
        self.possible = True
        self._counts: Counter[dates.Calendar] = Counter()
        self._rewritten: Counter[dates.Calendar] = Counter()
        self._bad = self._others = 0
        self._bad_lines: list[int] = []
        self._bad_examples: list[str] = []

    def add(self, present: dict[str, int], stretch: "Stretch") -> None:
        bad: set[str] = set()
        for value, count in present.items():
            day = dates.parse_day(value)
            if day is None:
                self._others += count
            elif day.exists:
                self._counts[day.calendar] += count
                self._rewritten.update({calendar: count for calendar in dates.CALENDARS if day.iso(calendar) != value})
            else:
                self._bad += count
                bad.add(value)
        self._bad_lines += stretch.lines_of(bad, MAX_LINES - len(self._bad_lines))
        self._bad_examples += sorted(bad)[: max(0, 5 - len(self._bad_examples))]
        self.possible = self._others <= 20 or self._others <= self._counts.total()

    def are_most(self, filled: int) -> bool:
        """Whether at least half of the values are dates, such as there are and such as there are not."""
        return self.possible and 2 * (self._counts.total() + self._bad) >= filled

    def say(self, column: str, filled: int, findings: Findings) -> None:
        if not self.are_most(filled):
            return
        touched: dict[str, Any] = {"unreadable": self._bad + self._others, "rewritten": dict(self._rewritten)}
        if self._bad:
            calendar = self._counts.most_common(1)[0][0] if self._counts else dates.CALENDARS[0]
            params = {**touched, "calendar": calendar, "examples": self._bad_examples}
            findings.note("BAD_DATES", "warning", column=column, count=self._bad, lines=self._bad_lines, **params)
        if len(self._counts) > 1:
            params = touched | {str(calendar): count for calendar, count in self._counts.items()}
            findings.note("MIXED_CALENDARS", "warning", column=column, count=min(self._counts.values()), **params)
