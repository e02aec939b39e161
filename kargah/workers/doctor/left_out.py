"""Rows that an import left out for their width: brought back by mends, or left out for good."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from kargah.contract.fixes import Fix, JoinRows, LeaveOutRows, PadRows
from kargah.workers.reading import ragged
from kargah.workers.reading.batch import Cell
from kargah.workers.reading.ragged import RaggedRow


class LeftOut:
    """Those kept in ``path``, if there are any. Each is for the first of ``fixes`` that concerns it."""

    def __init__(self, path: Path, fixes: Sequence[Fix]) -> None:
        self._path = path
        self._fixes = [fix for fix in fixes if isinstance(fix, PadRows | JoinRows | LeaveOutRows)]

    def back(self) -> Iterator[dict[str, Cell]]:
        """The rows that come back, by column, as they would have been read."""
        if not self._fixes:
            return
        for row, fix in self._with_fixes():
            cells = None if fix is None else made_whole(row, fix)
            if cells is not None:
                yield {**dict(zip(row.shape.names, cells, strict=True)), **row.shape.also}

    def staying(self) -> Iterator[RaggedRow]:
        """Those that are still to be spoken of."""
        return (row for row, fix in self._with_fixes() if fix is None)

    def count(self, wanted: Fix) -> int:
        return sum(fix is wanted for _, fix in self._with_fixes())

    def _with_fixes(self) -> Iterator[tuple[RaggedRow, Fix | None]]:
        for row in ragged.read(self._path):
            yield row, next((fix for fix in self._fixes if concerns(fix, row)), None)


def concerns(fix: PadRows | JoinRows | LeaveOutRows, row: RaggedRow) -> bool:
    if fix.file not in (None, row.shape.file):
        return False
    return isinstance(fix, LeaveOutRows) or made_whole(row, fix) is not None


def made_whole(row: RaggedRow, fix: Fix) -> list[Cell] | None:
    """As many cells as the header has names; None where the fix is for other rows."""
    cells, missing = row.cells, len(row.shape.names) - len(row.cells)
    if isinstance(fix, PadRows) and missing > 0:
        return [*cells, *[None] * missing]
    if isinstance(fix, JoinRows) and missing < 0 and fix.column in row.shape.names:
        start = row.shape.names.index(fix.column)
        end = start + 1 - missing
        return [*cells[:start], row.shape.between.join(cell or "" for cell in cells[start:end]), *cells[end:]]
    return None
