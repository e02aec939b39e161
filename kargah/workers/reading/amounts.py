"""Whether the values of a column are numbers, and which."""

from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from kargah.text import numbers
from kargah.workers.reading.findings import Findings

#: What is certainly a number and no identifier, and says the same to Arrow as to Python; all whole ones are exact.
PLAIN_NUMBER = r"\A-?(?:0|[1-9][0-9]{0,14})(?:\.[0-9]{1,15})?\z"
_WHOLE = 2**53


class NumberProfile:
    """Whether the values are numbers, and which. Gives up early on columns of words."""

    def __init__(self, max_distinct: int) -> None:
        self.values: set[float] = set()  # not their hashes: -1 and -2 have the same
        self._max_distinct = max_distinct
        self.possible, self.whole, self.pointed = True, True, False
        self.minimum: float | None = None
        self.maximum: float | None = None
        self.bad_lines: list[int] = []
        self.bad_examples: list[str] = []
        self._parsed = self._bad = self._rewritten = 0
        self._sum = 0.0

    def add(self, present: dict[str, int]) -> set[str]:
        """Take in values with their counts; the values that are no numbers."""
        if not self.possible:
            return set()
        most = self._parsed + sum(present.values())  # if all that come are numbers
        values = pa.array(present, pa.string())
        plain = pc.match_substring_regex(values, PLAIN_NUMBER)
        if pc.any(plain).as_py():
            self._take_plain(values.filter(plain), pa.array(present.values(), pa.int64()).filter(plain))
        bad: set[str] = set()
        for value in values.filter(pc.invert(plain)).to_pylist():
            number = None if numbers.is_identifier(value) else numbers.parse_number(value)
            if number is not None:
                self._take(value, number, present[value])
                continue
            bad.add(value)
            self._bad += present[value]
            most -= present[value]
            if self._bad > max(20, most):
                self.possible = False
                break
        self.bad_examples += sorted(bad)[: max(0, 5 - len(self.bad_examples))]
        return bad

    def fits(self, filled: int) -> bool:
        """A column is numeric when all its values are, or all but one in a hundred."""
        return self.possible and self._parsed > 0 and self._bad * 100 <= filled

    def are_most(self, filled: int) -> bool:
        return self.possible and 2 * self._parsed >= filled

    @property
    def mean(self) -> float | None:
        return self._sum / self._parsed if self._parsed else None

    def say(self, column: str, findings: Findings) -> None:
        if self._rewritten:
            findings.note("NUMBERS_PARSED", "info", column=column, count=self._rewritten)
        if self._bad:
            findings.note("NOT_NUMBERS", "warning", column=column, count=self._bad, lines=self.bad_lines, examples=self.bad_examples)

    def _take_plain(self, values: Any, counts: Any) -> None:
        found = pc.cast(values, pa.float64())
        rows = pc.sum(counts).as_py()
        self._count(rows, pc.sum(pc.multiply(found, counts)).as_py(), *pc.min_max(found).as_py().values())
        if len(self.values) < self._max_distinct:
            self.values.update(found.to_pylist())
        self.whole = self.whole and pc.all(pc.equal(pc.floor(found), found)).as_py()
        self.pointed = self.pointed or pc.any(pc.match_substring(values, ".")).as_py()

    def _take(self, value: str, number: float, count: int) -> None:
        self._count(count, number * count, number, number)
        if len(self.values) < self._max_distinct:
            self.values.add(number)
        self.whole = self.whole and number.is_integer() and abs(number) <= _WHOLE
        self.pointed = self.pointed or "." in value or "٫" in value
        if not (value.isascii() and "," not in value and value[-1:].isdigit()):
            self._rewritten += count

    def _count(self, rows: int, total: float, least: float, most: float) -> None:
        self._parsed += rows
        self._sum += total
        self.minimum = least if self.minimum is None else min(self.minimum, least)
        self.maximum = most if self.maximum is None else max(self.maximum, most)
