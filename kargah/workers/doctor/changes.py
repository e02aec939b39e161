"""Mends as what they do to rows. Each counts what it changed: cells, or rows that it took out."""

import random
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Protocol

from kargah.contract import fixes as words
from kargah.recipes.columns import Column, ColumnKind
from kargah.text import dates, mojibake, numbers
from kargah.text.normalise import BIDI_CONTROLS, Normaliser, label_key
from kargah.workers.doctor import personal, splitting
from kargah.workers.doctor.blocks import Block, Parent, as_number, as_text
from kargah.workers.doctor.language import language_of
from kargah.workers.doctor.likeness import LikeTexts
from kargah.workers.doctor.roles import TEXTUAL, is_training
from kargah.workers.doctor.sequences import alternates, as_list, repaired, turns_of

#: Of so many rows likeness is looked for, as when the report was made.
LIKENESS_ROWS = 10_000
_BIDI = re.compile(f"[{BIDI_CONTROLS}]+")
Blocks = Callable[[], Iterator[Block]]


class Change(Protocol):
    changed: int

    def apply(self, block: Block) -> None: ...


class Cells:
    """Rewrites the cells of some columns; equal values of a block are thought about once. Empty cells stay empty."""

    def __init__(self, columns: Iterable[str], rewrite: Callable[[Any], Any]) -> None:
        self.changed = 0
        self._columns, self._rewrite = list(columns), rewrite

    def apply(self, block: Block) -> None:
        for name in self._columns:
            values = block.cells[name]
            known: dict[Any, Any] = {}
            for index, value in enumerate(values):
                if value is None:
                    continue
                key = tuple(value) if isinstance(value, list) else value
                if key not in known:
                    known[key] = self._rewrite(value)
                if known[key] != value:
                    values[index] = known[key]
                    self.changed += 1


class Reread:
    """Reads the cells of a column anew; what cannot be read becomes empty or takes its row out. ``read``: None for what cannot be."""

    def __init__(self, column: str, read: Callable[[str], Any], otherwise: words.Otherwise) -> None:
        self.changed = 0
        self._column, self._read, self._drops = column, read, otherwise == "drop"

    def apply(self, block: Block) -> None:
        texts = [as_text(value) for value in block.cells[self._column]]
        known = {text: self._read(text) for text in set(texts) if text is not None}
        found = [None if text is None else known[text] for text in texts]
        self.changed += sum(as_text(value) != text for value, text in zip(found, texts, strict=True))
        block.cells[self._column] = found
        if self._drops:
            block.keep([value is not None or text is None for value, text in zip(found, texts, strict=True)])


class Fill:
    """A value for empty cells."""

    def __init__(self, column: str, value: Any) -> None:
        self.changed = 0
        self._column, self._value = column, value

    def apply(self, block: Block) -> None:
        values = block.cells[self._column]
        self.changed += sum(value is None for value in values)
        block.cells[self._column] = [self._value if value is None else value for value in values]


class Rows:
    """Keeps the rows that ``wanted`` says yes to."""

    def __init__(self, wanted: Callable[[Block], list[bool]]) -> None:
        self.changed = 0
        self._wanted = wanted

    def apply(self, block: Block) -> None:
        self.changed += block.keep(self._wanted(block))


class Edits:
    """Cells that a person wrote, and rows that they took out."""

    def __init__(self, fix: words.EditRows) -> None:
        self.changed = 0
        self._deleted = set(fix.deletions)
        self._edits: dict[int, list[words.CellEdit]] = {}
        for edit in fix.edits:
            self._edits.setdefault(edit.row, []).append(edit)

    def apply(self, block: Block) -> None:
        for index, number in enumerate(block.numbers):
            for edit in self._edits.get(number, ()):
                block.cells[edit.column][index] = edit.value or None
                self.changed += 1
        self.changed += block.keep([number not in self._deleted for number in block.numbers])


class WithoutColumns:
    def __init__(self, columns: Sequence[str]) -> None:
        self.changed = 0
        self._columns = columns

    def apply(self, block: Block) -> None:
        for name in self._columns:
            values = block.cells.pop(name, [])
            self.changed += len(values)


class Returned:
    """Rows that were left out of the file: the parent gives those that come back among its own, at the end."""

    def __init__(self, count: int) -> None:
        self.changed = count

    def apply(self, block: Block) -> None:
        """Nothing is left to be done."""


class Renamed:
    def __init__(self, fix: words.RenameColumn) -> None:
        self.changed = int(fix.column != fix.to)
        self._names = {fix.column: fix.to}

    def apply(self, block: Block) -> None:
        block.cells = {self._names.get(name, name): values for name, values in block.cells.items()}


class Parts:
    """Says of each row whether it is for training, validation or testing."""

    def __init__(self, fix: words.Split, parent: Parent, before: Blocks) -> None:
        self.changed = 0
        self._column, self._fix = fix.column, fix
        self._inputs = [column.name for column in parent.columns if column.kind is ColumnKind.TEXT]
        self._parts = splitting.parts_of(splitting.members(before(), fix, self._inputs), fix)

    def apply(self, block: Block) -> None:
        groups = splitting.groups_of(block, self._fix, self._inputs)
        block.cells[self._column] = [self._parts[group] for group in groups]
        self.changed += len(groups)


def make(fix: words.Fix, parent: Parent, normaliser: Normaliser, before: Blocks) -> Change:
    """``before``: the rows as earlier mends leave them, for those that must know all before they change any."""
    if isinstance(fix, words.EditRows):
        return Edits(fix)
    if isinstance(fix, words.PadRows | words.JoinRows | words.LeaveOutRows):
        return Returned(parent.left_out.count(fix))
    if isinstance(fix, words.RenameColumn):
        return Renamed(fix)
    if isinstance(fix, words.DropColumns):
        return WithoutColumns(fix.columns)
    if isinstance(fix, words.Split):
        return Parts(fix, parent, before)
    if isinstance(fix, words.CastDates):
        calendar = fix.calendar
        return Reread(fix.column, lambda text: dates.to_iso(text, calendar), fix.otherwise)
    if isinstance(fix, words.SetKind):
        return Reread(fix.column, _READ_AS.get(fix.to, str), fix.otherwise)
    if isinstance(fix, words.FillMissing):
        return Fill(fix.column, fill_value(fix, parent.column(fix.column), before))
    rewriting = _rewriting(fix, parent, normaliser, before)
    return rewriting if rewriting is not None else Rows(_choosing(fix, parent, before))


def _rewriting(fix: words.Fix, parent: Parent, normaliser: Normaliser, before: Blocks) -> Change | None:
    texts = [column.name for column in parent.columns if column.kind in TEXTUAL]
    match fix:
        case words.StripHidden():
            return Cells(fix.columns or texts, lambda text: _BIDI.sub("", text))
        case words.RepairEncoding():
            return Cells(fix.columns or texts, lambda text: mojibake.repaired(text) or text)
        case words.Trim():
            return Cells(fix.columns or texts, lambda text: text.strip() or None)
        case words.Normalise():
            return Cells(fix.columns or texts, lambda text: normaliser.apply(text) or None)
        case words.MaskPersonal():
            return Cells(fix.columns or texts, lambda value: _masked(value, fix.what))
        case words.CapLength():
            return Cells(fix.columns or texts, lambda text: text[: fix.characters])
        case words.MergeLabels():
            return Cells([fix.column], _merging(fix, before))
        case words.Cast(otherwise="empty"):
            return Cells([fix.column], lambda text: None if _no_number(text) else text)
        case words.RepairTags():
            return Cells([fix.column], lambda value: repaired(as_list(value) or []) or value)
    return None


def _choosing(fix: words.Fix, parent: Parent, before: Blocks) -> Callable[[Block], list[bool]]:
    match fix:
        case words.Cast():
            return lambda block: [value is None or not _no_number(value) for value in block.cells[fix.column]]
        case words.DropMissing():
            return lambda block: [None not in row for row in zip(*(block.cells[name] for name in fix.columns), strict=True)]
        case words.DropClasses():
            unwanted = set(fix.labels)
            return lambda block: [str(value) not in unwanted for value in block.cells[fix.column]]
        case words.KeepLanguages():
            kept = {*fix.languages, None}
            return lambda block: [language_of(as_text(value) or "") in kept for value in block.cells[fix.column]]
        case words.CapClasses():
            return Capped(fix, before)
        case words.DropSame():
            return lambda block: [_differ(row) for row in zip(*(block.cells[name] for name in fix.columns), strict=True)]
        case words.DropBrokenTurns():
            return lambda block: [(turns := turns_of(value)) is None or alternates(turns) for value in block.cells[fix.column]]
        case words.DropDuplicates():
            names = fix.columns or [column.name for column in parent.columns]
            return First(names, fix.near)
        case words.DropConflicts():
            conflicting = _conflicting(before(), fix)
            return lambda block: [hash(key) not in conflicting for key in block.keys(fix.inputs)]
        case words.DropLeaked():
            training = _keys_of_training(before(), fix)
            return lambda block: [
                is_training(part) or part is None or hash(key) not in training
                for part, key in zip(block.cells[fix.column], block.keys(fix.inputs), strict=True)
            ]
    raise AssertionError(fix.kind)


class First:
    """Says yes to the first row of each that are alike."""

    def __init__(self, names: Sequence[str], near: bool) -> None:
        self._names, self._near = list(names), near
        self._seen: set[int] = set()
        self._likeness, self._rows = LikeTexts(), 0

    def __call__(self, block: Block) -> list[bool]:
        if self._near:
            return [not key or (self._is_first(hash(key)) and not self._is_like(key)) for key in block.keys(self._names)]
        return [self._is_first(hash(repr(row))) for row in zip(*(block.cells[name] for name in self._names), strict=True)]

    def _is_first(self, key: int) -> bool:
        first = key not in self._seen
        self._seen.add(key)
        return first

    def _is_like(self, key: str) -> bool:
        self._rows += 1
        return self._rows <= LIKENESS_ROWS and self._likeness.add(key)


class Capped:
    """Says yes to at most so many rows of each label, each as likely as any other (selection sampling, Knuth's algorithm S)."""

    def __init__(self, fix: words.CapClasses, before: Blocks) -> None:
        self._column, self._chance = fix.column, random.Random(fix.seed)
        self._left = Counter(value for block in before() for value in block.cells[fix.column] if value is not None)
        self._wanted = {label: min(count, fix.rows) for label, count in self._left.items()}

    def __call__(self, block: Block) -> list[bool]:
        return [value is None or self._is_chosen(value) for value in block.cells[self._column]]

    def _is_chosen(self, label: Any) -> bool:
        chosen = self._chance.random() * self._left[label] < self._wanted[label]
        self._left[label] -= 1
        self._wanted[label] -= chosen
        return chosen


def fill_value(fix: words.FillMissing, column: Column, before: Blocks) -> Any:
    """What empty cells get. A mean or median of whole numbers is rounded, so that they stay whole."""
    if fix.by == "value":
        return fix.value
    known = [value for block in before() for value in block.cells[column.name] if value is not None]
    if not known:
        return None
    if fix.by == "most_frequent":
        return Counter(known).most_common(1)[0][0]
    ordered = sorted(known)
    value = sum(known) / len(known) if fix.by == "mean" else ordered[len(ordered) // 2]
    return round(value) if column.kind is ColumnKind.INTEGER else value


def _merging(fix: words.MergeLabels, before: Blocks) -> Callable[[Any], Any]:
    if fix.merges is not None:
        merges = fix.merges
        return lambda value: merges.get(str(value), value)
    counts = Counter(value for block in before() for value in block.cells[fix.column] if value is not None)
    spellings: dict[str, list[Any]] = {}
    for value in counts:
        spellings.setdefault(label_key(str(value)), []).append(value)
    chosen = {key: max(values, key=lambda value: (counts[value], value)) for key, values in spellings.items()}
    return lambda value: chosen[label_key(str(value))]


def _masked(value: Any, what: Sequence[words.Personal]) -> Any:
    """A number stays one unless it is somebody's."""
    masked = personal.mask(str(value), what)
    return value if masked == str(value) else masked


def _differ(row: Sequence[Any]) -> bool:
    """Nothing is not the same as nothing."""
    return row[0] is None or any(value != row[0] for value in row)


def _no_number(value: Any) -> bool:
    return isinstance(value, str) and numbers.parse_number(value) is None


def _date(text: str) -> str | None:
    day = dates.parse_day(text)
    return text if day is not None and day.exists else None


#: How a cell is read of which a person says what it is; any text, label or identifier is as it stands.
_READ_AS: dict[words.Meaning, Callable[[str], Any]] = {"number": as_number, "date": _date}


def _conflicting(blocks: Iterable[Block], fix: words.DropConflicts) -> set[int]:
    first: dict[int, Any] = {}
    found: set[int] = set()
    for block in blocks:
        for key, target in zip(block.keys(fix.inputs), block.cells[fix.target], strict=True):
            if key and target is not None and first.setdefault(hash(key), target) != target:
                found.add(hash(key))
    return found


def _keys_of_training(blocks: Iterable[Block], fix: words.DropLeaked) -> set[int]:
    return {
        hash(key)
        for block in blocks
        for key, part in zip(block.keys(fix.inputs), block.cells[fix.column], strict=True)
        if key and is_training(part)
    }
