"""What is measured of a column while it streams by: by Arrow over whole batches, and by Python for each value where values are few.

A column of running text gives up being numbers, dates or classes in its first batch; from then on Python sees only what is found.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from kargah.recipes.columns import Column, ColumnKind, LabelCount, Meaning
from kargah.text import mojibake, numbers
from kargah.text.normalise import Counts, Normaliser, label_key
from kargah.workers.reading import signs
from kargah.workers.reading.amounts import NumberProfile
from kargah.workers.reading.batch import Lines
from kargah.workers.reading.days import DateProfile
from kargah.workers.reading.distinct import Distinct, hashes_of
from kargah.workers.reading.findings import MAX_LINES, Findings

MAX_TOP, MAX_COUNTED, SHOWN_CHARACTERS, EXAMPLES = 200, 1000, 160, 3
#: With fewer rows a class cannot stand on both sides of a split.
MIN_CLASS_ROWS, MAX_CLASSES = 2, 50
#: Characters of a column that are normalised for the counts; beyond, the report says of how many values it speaks.
NORMALISED_CHARACTERS = 1_000_000
_MAX_CATEGORY_CHARACTERS, _LONG_CATEGORY_CHARACTERS = 60, 25
_PLAIN_KINDS = (ColumnKind.TEXT, ColumnKind.CATEGORY, ColumnKind.INTEGER, ColumnKind.NUMBER, ColumnKind.BOOLEAN)


@dataclass(frozen=True)
class Stretch:
    """The values of a column in a batch: an Arrow array of strings, null where nothing stands, and their lines."""

    values: Any
    lines: Lines

    def at(self, places: Any) -> "Stretch":
        """Of these rows alone; ``places``: an Arrow array of their numbers in the batch."""
        return Stretch(self.values.take(places), lambda: [self.lines()[place] for place in places.to_pylist()])

    def are(self, wanted: Collection[str]) -> Any:
        """A mask of the rows that have one of these values."""
        return pc.is_in(self.values, value_set=pa.array(wanted, pa.string()))

    def lines_of(self, wanted: Collection[str], limit: int = MAX_LINES) -> Iterator[int]:
        return self.lines_at(self.are(wanted), limit) if wanted and limit > 0 else iter(())

    def lines_at(self, mask: Any, limit: int = MAX_LINES) -> Iterator[int]:
        """Found when they are asked for."""
        for place in pc.indices_nonzero(mask)[:limit]:
            yield self.lines()[place.as_py()]


@dataclass(frozen=True)
class Look:
    """What a thread may find out of a batch beforehand: hashes of the values as bytes; of running text, what stands out.

    ``different``: each of the hashes at least once. Both are Arrow arrays of 64 bits.
    """

    hashes: Any
    different: Any
    remarkable: signs.Remarkable | None = None


class ColumnProfile:
    """Feed it batches; ``column()`` and ``say()`` tell at the end. Memory is bounded by ``max_distinct``."""

    def __init__(self, name: str, findings: Findings, normaliser: Normaliser, max_distinct: int) -> None:
        self.name = name
        self.rows = self.nulls = 0
        self.normaliser_counts: Counter[str] = Counter()
        self.values_changed = self.values_normalised = 0
        self.personal_rows = signs.PersonalRows()
        self._findings, self._normaliser = findings, normaliser
        self._distinct = Distinct(max_distinct)
        self._numbers = NumberProfile(max_distinct)
        self._dates = DateProfile()
        self._max_distinct = max_distinct
        self._counter: Counter[str] | None = Counter()
        self._lengths: Counter[int] = Counter()
        self._examples: list[str] = []
        self._characters_normalised = 0
        self._is_varied = False

    def look(self, values: Any) -> Look:
        """Changes nothing: may be asked of the next batch while this one is added."""
        if self._is_varied:
            hashes = hashes_of(values)
            return Look(hashes, hashes, None if self._numbers.possible else signs.remarkable(values))
        few = values.dictionary_encode(null_encoding="encode")
        different = hashes_of(few.dictionary)
        return Look(different.take(few.indices), different)

    def add(self, values: Any, look: Look, lines: Lines) -> Any:
        """Take in a batch; give it back with the spellings of "missing" as null."""
        remarkable = look.remarkable
        if remarkable is not None:
            self.personal_rows.add(self.rows + 1, len(values), remarkable.personal)
        self.rows += len(values)
        counted = self._counted(values)
        different = pa.array(counted, pa.string()) if counted is not None else values if self._is_varied else pc.unique(values)
        missing = signs.missing(different) if remarkable is None else remarkable.missing
        stretch = self._without_missing(Stretch(values, lines), missing)
        present = None if counted is None else {value: count for value, count in counted.items() if value not in missing}
        self._measure(stretch, present, different, missing)
        self._remember(look, missing, has_nulls=values.null_count > 0)
        if not self._are_all_numbers(stretch, present):
            suspicious = signs.suspicious(different) if remarkable is None else remarkable.suspicious
            self._inspect(stretch, present, suspicious, stretch if remarkable is None else stretch.at(remarkable.places))
        return stretch.values

    @property
    def filled(self) -> int:
        return self.rows - self.nulls

    @property
    def distinct(self) -> int:
        """Of numbers ``1``, ``1.0`` and ``۱`` are one value."""
        return len(self._numbers.values) if self._numbers.fits(self.filled) else len(self._distinct)

    def kind(self) -> ColumnKind:
        if not self.filled:
            return ColumnKind.EMPTY
        if self._is_boolean():
            return ColumnKind.BOOLEAN
        if self._numbers.fits(self.filled):
            return self._number_kind()
        return ColumnKind.CATEGORY if self._is_category() else ColumnKind.TEXT

    def kind_of(self, meant: Meaning) -> ColumnKind | None:
        """What a person's word makes of the column; None where it is of numbers or dates and most values are none."""
        found = self.kind()
        if found is ColumnKind.EMPTY:
            return found
        match meant:
            case Meaning.NUMBER:
                return self._number_kind() if self._numbers.are_most(self.filled) else None
            case Meaning.DATE:
                return ColumnKind.TEXT if self._dates.are_most(self.filled) else None
            case Meaning.TEXT:
                return ColumnKind.TEXT
            case Meaning.CATEGORY:
                return ColumnKind.CATEGORY
        return found

    def column(self, kind: ColumnKind) -> Column:
        numeric = kind in (ColumnKind.INTEGER, ColumnKind.NUMBER)
        lengths = sorted(self._lengths.items())
        return Column(
            name=self.name,
            kind=kind,
            rows=self.rows,
            nulls=self.nulls,
            distinct=self.distinct,
            distinct_is_exact=self.distinct < self._max_distinct,
            mean_length=round(sum(length * count for length, count in lengths) / self.filled, 2) if lengths else None,
            p95_length=_quantile(lengths, 0.95) if lengths else None,
            max_length=lengths[-1][0] if lengths else None,
            minimum=self._numbers.minimum if numeric else None,
            maximum=self._numbers.maximum if numeric else None,
            mean=self._numbers.mean if numeric else None,
            top=self._top(kind),
            examples=self._examples,
        )

    def say(self, kind: ColumnKind) -> None:
        """The findings that need the whole column."""
        if kind in (ColumnKind.INTEGER, ColumnKind.NUMBER):
            self._numbers.say(self.name, self._findings)
        elif kind in (ColumnKind.TEXT, ColumnKind.CATEGORY):
            self._dates.say(self.name, self.filled, self._findings)
        if self.distinct == 1 and self.filled > 1 and kind in _PLAIN_KINDS:
            self._findings.note("ONE_CLASS", "warning", column=self.name, count=self.filled, value=next(iter(self._examples), ""))
        if kind is ColumnKind.CATEGORY and self._counter is not None:
            self._say_label_variants(self._counter)
            rare = {value: count for value, count in self._counter.items() if count < MIN_CLASS_ROWS}
            if rare and len(rare) * 2 < len(self._counter) + 2 and len(self._counter) <= MAX_CLASSES:
                self._findings.note("RARE_CLASSES", "warning", column=self.name, count=sum(rare.values()), classes=sorted(rare)[:20])

    @property
    def examples(self) -> list[str]:
        return list(self._examples)

    def labels(self) -> Counter[str] | None:
        """All values with their counts, while they are few."""
        return self._counter

    def _counted(self, values: Any) -> dict[str, int] | None:
        """How often each value stands in the batch, in the order of coming; None when nobody wants to know any more."""
        if self._counter is None and not self._numbers.possible and not self._dates.possible:
            return None
        found = pc.value_counts(values)
        self._is_varied = 2 * len(found) > len(values)
        pairs = zip(found.field(0).to_pylist(), found.field(1).to_pylist(), strict=True)
        return {value: count for value, count in pairs if value is not None}

    def _without_missing(self, stretch: Stretch, missing: set[str]) -> Stretch:
        values, lines = stretch.values, stretch.lines
        if not missing and not values.null_count:
            return stretch
        gone = pc.or_(pc.is_null(values), stretch.are(missing))
        number = pc.sum(gone).as_py()
        self.nulls += number
        finding = self._findings.note("MISSING_VALUES", "warning", column=self.name, count=0)
        finding.add(number, stretch.lines_at(gone))
        written = {value.strip() for value in missing if not numbers.is_blank(value)}
        finding.params["spellings"] = sorted(written.union(finding.params.get("spellings", [])))[:10]
        return Stretch(pc.if_else(gone, None, values), lines)

    def _measure(self, stretch: Stretch, present: dict[str, int] | None, different: Any, missing: set[str]) -> None:
        lengths = pc.value_counts(pc.utf8_length(stretch.values).drop_null())
        for length, count in zip(lengths.field(0).to_pylist(), lengths.field(1).to_pylist(), strict=True):
            self._lengths[_rounded(length)] += count
        if self._counter is not None and present is not None:
            self._counter.update(present)
            if len(self._counter) > MAX_COUNTED:
                self._counter = None
        for value in () if len(self._examples) >= EXAMPLES else different.drop_null():
            shown = value.as_py()[:SHOWN_CHARACTERS]
            if shown not in self._examples and value.as_py() not in missing:
                self._examples.append(shown)
                if len(self._examples) == EXAMPLES:
                    return

    def _remember(self, look: Look, missing: set[str], has_nulls: bool) -> None:
        gone = [hash(value.encode()) for value in missing]
        self._distinct.add(look.different, [*gone, hash(None)] if has_nulls else gone)

    def _are_all_numbers(self, stretch: Stretch, present: dict[str, int] | None) -> bool:
        if not self._numbers.possible or present is None:
            return False
        not_numbers = self._numbers.add(present)
        self._numbers.bad_lines += stretch.lines_of(not_numbers, MAX_LINES - len(self._numbers.bad_lines))
        return not not_numbers and self._numbers.possible

    def _inspect(self, stretch: Stretch, present: dict[str, int] | None, suspicious: list[str], suspects: Stretch) -> None:
        """``suspects``: those rows of the stretch, or more, in which the suspicious values stand."""
        if self._dates.possible and present is not None:
            self._dates.add(present, stretch)
        for code, severity, pattern in signs.SIGNS if suspicious else ():
            signed = [value for value in suspicious if pattern.search(value)]
            found = suspects.are(signed)
            if count := pc.sum(found).as_py():
                noted = self._findings.note(code, severity, column=self.name, count=count, lines=suspects.lines_at(found))
                if code == "MOJIBAKE":
                    sure = suspects.are([value for value in signed if mojibake.repaired(value) is not None])
                    noted.params["repairable"] = noted.params.get("repairable", 0) + pc.sum(sure).as_py()
        if self._characters_normalised <= NORMALISED_CHARACTERS:
            self._count_normalising(
                present.items() if present is not None else ((value, 1) for value in stretch.values.drop_null().to_pylist())
            )

    def _count_normalising(self, values: Iterable[tuple[str, int]]) -> None:
        for value, count in values:
            if self._characters_normalised > NORMALISED_CHARACTERS:
                return
            changed: Counts = self._normaliser.apply_counted(value)[1]
            self._characters_normalised += len(value)
            self.values_normalised += count
            if changed:
                self.values_changed += count
                self.normaliser_counts.update({step: times * count for step, times in changed.items()})

    def _number_kind(self) -> ColumnKind:
        few = self.distinct <= MAX_TOP
        return ColumnKind.INTEGER if self._numbers.whole and (few or not self._numbers.pointed) else ColumnKind.NUMBER

    def _is_boolean(self) -> bool:
        words = numbers.words()
        known = {*words["true"], *words["false"]}
        return self._counter is not None and {value.strip().lower() for value in self._counter} <= known

    def _is_category(self) -> bool:
        longest = max(self._lengths)
        share = 2 if self._mean_length() <= _LONG_CATEGORY_CHARACTERS else 4  # sentences that all come twice are no classes
        few = self.distinct <= MAX_TOP and self.distinct * share <= max(self.filled, 2 * share)
        return few and longest <= _MAX_CATEGORY_CHARACTERS * 4 and self._mean_length() <= _MAX_CATEGORY_CHARACTERS

    def _mean_length(self) -> float:
        return sum(length * count for length, count in self._lengths.items()) / max(1, self.filled)

    def _top(self, kind: ColumnKind) -> list[LabelCount]:
        if self._counter is None or self.distinct > MAX_TOP or (kind is ColumnKind.TEXT and self._mean_length() > _MAX_CATEGORY_CHARACTERS):
            return []
        shown: Counter[str] = Counter()
        for value, count in self._counter.items():
            shown[_shown(value, kind)] += count
        return [LabelCount(value=value, count=count) for value, count in shown.most_common(MAX_TOP)]

    def _say_label_variants(self, counter: Counter[str]) -> None:
        groups: dict[str, list[str]] = {}
        for value in counter:
            groups.setdefault(label_key(value), []).append(value)
        merges = [sorted(group, key=lambda value: -counter[value]) for group in groups.values() if len(group) > 1]
        if merges:
            self._findings.note(
                "LABEL_VARIANTS",
                "warning",
                column=self.name,
                count=sum(counter[value] for group in merges for value in group[1:]),
                merges=[[{"value": value, "count": counter[value]} for value in group] for group in merges[:20]],
                classes=len(groups),
            )


def _rounded(length: int) -> int:
    """Exact up to 2,000 characters, then to two digits more than the thousands: keeps the histogram small."""
    return length if length <= 2000 else length - length % 100


def _quantile(pairs: list[tuple[int, int]], share: float) -> int:
    wanted, seen = share * sum(count for _value, count in pairs), 0
    for value, count in pairs:
        seen += count
        if seen >= wanted:
            return value
    return pairs[-1][0]


def _shown(value: str, kind: ColumnKind) -> str:
    """How a value of a kind is written, in the parquet file and in forms alike."""
    if kind is ColumnKind.BOOLEAN:
        return value.strip().lower()
    number = numbers.parse_number(value) if kind in (ColumnKind.INTEGER, ColumnKind.NUMBER) else None
    if number is None:
        return value[:SHOWN_CHARACTERS]
    return str(int(number)) if kind is ColumnKind.INTEGER else repr(number)
