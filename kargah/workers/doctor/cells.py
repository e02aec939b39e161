"""What single cells suffer from: blanks around them, extraordinary length, numbers written among words."""

from array import array
from typing import Any

import pyarrow.compute as pc

from kargah.recipes.columns import Column
from kargah.text import numbers
from kargah.workers.doctor.places import Places
from kargah.workers.doctor.scope import Columns, Scope
from kargah.workers.reading.findings import Findings

#: A text is extraordinarily long when it is this long and so many times longer than nearly all others.
LONG_CHARACTERS, LONG_TIMES = 2000, 5
#: A column of words is one of numbers gone wrong when so many of its values are numbers.
NUMBER_SHARE, LOOKED_AT_FIRST = 0.8, 2000


class Cells:
    def __init__(self, scope: Scope) -> None:
        self._spaces = {name: Places() for name in scope.textual}
        self._long = {name: _Long() for name in scope.textual}

    def see(self, batch: Any, first_row: int) -> None:
        for name, places in self._spaces.items():
            values = batch.column(name)
            places.add_mask(pc.not_equal(pc.utf8_trim_whitespace(values), values), first_row)
            self._long[name].see(pc.utf8_length(values), first_row)

    def say(self, columns: Columns, findings: Findings) -> None:
        for name, places in self._spaces.items():
            if places.count:
                findings.note("OUTER_SPACES", "info", column=name, count=places.count, first_rows=places.rows)
        for name, long in self._long.items():
            if (limit := long_from(columns[name])) and (places := long.longer_than(limit)).count:
                findings.note("VERY_LONG", "warning", column=name, count=places.count, first_rows=places.rows, characters=limit)


class _Long:
    """Which texts are long, and how long: what is extraordinary is known in the end."""

    def __init__(self) -> None:
        self._rows, self._lengths = array("q"), array("l")

    def see(self, lengths: Any, first_row: int) -> None:
        places = pc.indices_nonzero(pc.greater(lengths, LONG_CHARACTERS))
        self._rows.extend(first_row + place for place in places.to_pylist())
        self._lengths.extend(lengths.take(places).to_pylist())

    def longer_than(self, limit: int) -> Places:
        found = Places()
        found.add(row for row, length in zip(self._rows, self._lengths, strict=True) if length > limit)
        return found


def long_from(column: Column) -> int | None:
    """From how many characters on a value of this column is extraordinary; None when none is."""
    limit = max(LONG_CHARACTERS, LONG_TIMES * (column.p95_length or 0))
    return limit if (column.max_length or 0) > limit else None


class NumbersAmongText:
    """Columns that would be numbers were it not for some values. Gives up early on words."""

    def __init__(self, scope: Scope) -> None:
        self._parsed = dict.fromkeys(scope.words, 0)
        self._bad = {name: Places() for name in self._parsed}
        self._examples: dict[str, list[str]] = {name: [] for name in self._parsed}

    def see(self, batch: Any, first_row: int) -> None:
        for name in list(self._parsed):
            values: list[str | None] = batch.column(name).to_pylist()
            known = {value: _is_number(value) for value in set(values) if value is not None}
            good = sum(known.get(value, False) for value in values if value is not None)
            self._parsed[name] += good
            self._bad[name].add(row for row, value in enumerate(values, first_row) if value is not None and not known[value])
            self._examples[name] += sorted(value[:40] for value, fits in known.items() if not fits)[: 5 - len(self._examples[name])]
            if self._share(name) < NUMBER_SHARE and self._parsed[name] + self._bad[name].count >= LOOKED_AT_FIRST:
                del self._parsed[name]

    def say(self, columns: Columns, findings: Findings) -> None:
        for name in self._parsed:
            if columns[name].distinct > 2 and self._parsed[name] and self._share(name) >= NUMBER_SHARE and self._bad[name].count:
                bad, examples = self._bad[name], self._examples[name]
                findings.note("NUMBERS_AMONG_TEXT", "warning", column=name, count=bad.count, first_rows=bad.rows, examples=examples)

    def _share(self, name: str) -> float:
        return self._parsed[name] / max(1, self._parsed[name] + self._bad[name].count)


def _is_number(value: str) -> bool:
    return len(value) < 60 and not numbers.is_identifier(value) and numbers.parse_number(value) is not None
