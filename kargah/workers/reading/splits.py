"""Several tables as the parts of one data set: the same columns, and a column that says which part a row is of."""

from collections.abc import Iterator

from kargah.recipes import hints
from kargah.recipes.columns import Column
from kargah.text import numbers
from kargah.text.normalise import label_key
from kargah.workers.reading.batch import Row
from kargah.workers.reading.errors import UnseenLabel
from kargah.workers.reading.findings import Findings
from kargah.workers.reading.opening import Part
from kargah.workers.reading.table import RawTable

_TRAIN = "train"


class Splits:
    """Feed it the parts in their order, the training part first: labels that it does not have are refused further on."""

    def __init__(self, names: list[str]) -> None:
        self._names = names[:-1]
        self._labels: dict[int, set[str]] = {}

    def rows(self, part: Part, raw: RawTable, findings: Findings) -> Iterator[Row]:
        """The part's rows in the order of our columns, and at the end the name of the split."""
        places = [part.table.names.index(name) for name in self._names]
        if extra := [name for name in part.table.names if name not in self._names]:
            findings.note("OTHER_COLUMNS", "warning", count=0, names=extra[:20])
        if part.split != _TRAIN:
            self._labels = self._labels or _labels(raw)
        for line, cells in part.table.rows():
            row = [cells[place] for place in places]
            for place, known in self._labels.items():
                self._check(part, line, place, row[place], known)
            yield line, [*row, part.split]

    def _check(self, part: Part, line: int, place: int, label: str | None, known: set[str]) -> None:
        if label is not None and not numbers.is_missing(label) and label_key(label) not in known:
            raise UnseenLabel(file=part.name, line=line, column=self._names[place], label=label.strip()[:80])


def _labels(raw: RawTable) -> dict[int, set[str]]:
    """The classes of the columns that are named as labels, while those are few enough to be known."""
    found = {}
    for place, profile in enumerate(raw.profiles[:-1]):
        column: Column = profile.column(profile.kind())
        counted = profile.labels()
        if counted is not None and hints.named_exactly(column, "label") and hints.holds_classes(column):
            found[place] = {label_key(value) for value in counted}
    return found
