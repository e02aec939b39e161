"""``python -m kargah.workers.mend ATTEMPT_DIR``: a version and what is to be mended in it become the next version.

The parent stays as it is. Outputs, report and last word are those of an import; the report says of each mend how much it
changed, and the data doctor looks at the new rows again.
"""

import json
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any, TypeVar

from kargah.contract.attempt import AttemptDirectory
from kargah.contract.fixes import ORDER, Cast, CastDates, DropColumns, Fix, JoinRows, MaskPersonal, PadRows, RenameColumn, SetKind
from kargah.contract.plans import MendPlan, Plan
from kargah.contract.results import IngestResult
from kargah.kit import files
from kargah.kit.errors import BadInput
from kargah.recipes.columns import Column, ColumnKind, Meaning
from kargah.text.normalise import Normaliser, NormaliserSettings
from kargah.workers.doctor.blocks import Block, Parent
from kargah.workers.doctor.changes import Change, make
from kargah.workers.doctor.examination import Examination
from kargah.workers.doctor.left_out import LeftOut
from kargah.workers.doctor.remedies import prescribe
from kargah.workers.doctor.roles import TEXTUAL
from kargah.workers.edge import Attempt, run_attempt
from kargah.workers.reading import ragged
from kargah.workers.reading.findings import Findings
from kargah.workers.reading.outcome import columns_for_event, normalising, task_told, write_outcome
from kargah.workers.reading.profile import ColumnProfile
from kargah.workers.reading.ragged import RaggedFile
from kargah.workers.reading.table import RawTable, waiting, write_typed

Known = TypeVar("Known")
_PROGRESS_SECONDS = 0.5
_NUMERIC = (ColumnKind.INTEGER, ColumnKind.NUMBER)
#: What an import said of the kind of data, which no mend changes; and of names, while they are such.
_STILL_TRUE = frozenset({"TASK_WITHOUT_RECIPE", "DUPLICATE_HEADERS", "EMPTY_HEADER"})


class NothingToMend(BadInput):
    """What was to be mended is not there: no row would be other than it is."""

    code = "NOTHING_TO_MEND"


class NoRowsLeft(BadInput):
    """``rows``: how many there were."""

    code = "NO_ROWS_LEFT"


def main(path: str) -> int:
    return run_attempt(Path(path), _work)


def _work(plan: Plan, attempt: Attempt) -> dict[str, Any]:
    assert isinstance(plan, MendPlan)
    attempt.tell("Running")
    return Mending(plan, attempt.directory, attempt).run().model_dump(mode="json")


class Mending:
    def __init__(self, plan: MendPlan, directory: AttemptDirectory, attempt: Attempt) -> None:
        self._plan, self._attempt = plan, attempt
        source = files.safe_join(directory.inputs, plan.folder)
        columns = [Column.model_validate(column) for column in json.loads((source / "columns.json").read_bytes())]
        self._before: dict[str, Any] = json.loads((source / "report.json").read_bytes())
        self._folder = directory.outputs / "dataset"
        self._folder.mkdir(parents=True, exist_ok=True)
        self._raw_path = directory.outputs / "raw.arrow"
        self._normaliser = Normaliser(NormaliserSettings.model_validate(plan.normaliser or {}))
        self._fixes: list[Fix] = sorted(plan.fixes, key=lambda fix: ORDER.index(fix.kind))
        self._parent = Parent(source / "data.parquet", columns, LeftOut(source / ragged.FILE, self._fixes))
        self._renamed = {fix.column: fix.to for fix in self._fixes if isinstance(fix, RenameColumn)}
        self._findings = Findings()
        self._told_seconds = 0.0

    def run(self) -> IngestResult:
        changes = self._changes(self._fixes)
        raw = self._write_rows(changes)
        columns = self._columns(raw)
        target = self._folder / "data.parquet"
        examination = Examination(columns, raw.personal_rows())
        strings = partial(waiting, self._raw_path)
        preview = write_typed(strings, target, columns, lambda done: self._progress(done, raw.rows), examination.see)
        self._raw_path.unlink()
        examination.say(columns, self._findings)
        self._keep_left_out()
        report = self._report(raw, columns, changes)
        return IngestResult(
            rows=raw.rows,
            files=write_outcome(self._folder, columns, preview, report),
            columns=columns_for_event(columns),
            report=report,
            normaliser=self._normaliser.settings.model_dump(),
            encoding=str(self._before.get("encoding") or "utf-8"),
            format=str(self._before.get("format") or "csv"),
        )

    def _changes(self, fixes: Sequence[Fix]) -> list[Change]:
        """Each is made with a view of the rows as those before it leave them."""
        return [make(fix, self._parent, self._normaliser, partial(self._mended, fixes[:index])) for index, fix in enumerate(fixes)]

    def _mended(self, fixes: Sequence[Fix]) -> Iterator[Block]:
        return self._blocks(self._changes(fixes))

    def _blocks(self, changes: Sequence[Change]) -> Iterator[Block]:
        for block in self._parent.blocks():
            self._attempt.wants.check()
            for change in changes:
                change.apply(block)
            if block.numbers:
                yield block

    def _write_rows(self, changes: list[Change]) -> RawTable:
        rows_before = int(self._before.get("rows") or 0)
        blocks = self._blocks(changes)
        first = next(blocks, None)
        if first is None:
            raise NoRowsLeft(rows=rows_before)
        raw = RawTable(list(first.cells), self._findings, self._normaliser)
        raw.read(_numbered(first, blocks), self._raw_path, lambda: self._progress(raw.rows, rows_before))
        if not any(change.changed for change in changes) and not self._says_anew():
            raise NothingToMend(fixes=", ".join(fix.kind for fix in self._fixes))
        return raw

    def _meanings(self) -> dict[str, Meaning]:
        """What persons said of columns: of the parent's, and now."""
        said = {column.name: column.meant for column in self._parent.columns if column.meant is not None}
        said |= {fix.column: Meaning.DATE for fix in self._fixes if isinstance(fix, CastDates)}
        said |= {fix.column: Meaning(fix.to) for fix in self._fixes if isinstance(fix, SetKind)}
        return self._by_new_name(said)

    def _by_new_name(self, known: dict[str, Known]) -> dict[str, Known]:
        return {self._renamed.get(name, name): value for name, value in known.items()}

    def _keep_left_out(self) -> None:
        """Rows of the file that are still left out are spoken of again, and go on with the version."""
        kept = RaggedFile(self._folder / ragged.FILE)
        gone = {name for fix in self._fixes if isinstance(fix, DropColumns) for name in fix.columns}
        for row in self._parent.left_out.staying():
            # What was dropped keeps its place, under a name that no column can have: its own may come to be another's.
            names = [f"\0{place}" if name in gone else self._renamed.get(name, name) for place, name in enumerate(row.shape.names)]
            also = self._by_new_name({name: cell for name, cell in row.shape.also.items() if name not in gone})
            known = replace(row, shape=replace(row.shape, names=names, also=also))
            self._findings.file = row.shape.file
            known.note(self._findings)
            kept.add(known)
        kept.close()

    def _says_anew(self) -> bool:
        known = self._by_new_name({column.name: column.meant for column in self._parent.columns})
        return any(known.get(name) is not meant for name, meant in self._meanings().items())

    def _columns(self, raw: RawTable) -> list[Column]:
        """Kinds stay as they were, but for what a mend makes of a column; texts may turn into classes and back; what was said holds."""
        kinds, meanings = self._by_new_name({column.name: column.kind for column in self._parent.columns}), self._meanings()
        retyped = {fix.column for fix in self._fixes if isinstance(fix, Cast)}
        retyped.update(name for fix in self._fixes if isinstance(fix, MaskPersonal) for name in fix.columns)
        retyped = {self._renamed.get(name, name) for name in retyped}
        columns = []
        for profile in raw.profiles:
            meant = meanings.get(profile.name)
            kind = _kind(profile, None if profile.name in retyped else kinds.get(profile.name), meant)
            profile.say(kind)
            columns.append(profile.column(kind).model_copy(update={"meant": meant}))
        return columns

    def _report(self, raw: RawTable, columns: list[Column], changes: list[Change]) -> dict[str, Any]:
        """As of an import; places are rows, since there is no file with lines any more."""
        problems = [_placed(problem) for problem in self._findings.report(raw.rows)]
        names = {column.name for column in columns}
        problems += [problem for problem in self._before.get("problems", []) if _is_still_true(problem, names)]
        back = sum(self._parent.left_out.count(fix) for fix in self._fixes if isinstance(fix, PadRows | JoinRows))
        rows_before = int(self._before.get("rows") or raw.rows) + back
        return {
            **{name: self._before.get(name) for name in ("format", "encoding", "delimiter", "parts")},
            "task": task_told(columns),
            "rows": raw.rows,
            "rows_read": rows_before,
            "rows_dropped": rows_before - raw.rows,
            "rows_compared": raw.rows_compared,
            "problems": prescribe(problems, columns),
            "normaliser": normalising(raw.profiles),
            "mended": [{"kind": fix.kind, "changed": change.changed} for fix, change in zip(self._fixes, changes, strict=True)],
        }

    def _progress(self, done: int, total: int) -> None:
        self._attempt.wants.check()
        now = time.monotonic()
        if now - self._told_seconds >= _PROGRESS_SECONDS or done >= total:
            self._told_seconds = now
            self._attempt.tell("Progress", done=done, total=max(done, total), unit="rows")


def _placed(problem: dict[str, Any]) -> dict[str, Any]:
    """Only what was left out of the file has lines there."""
    return problem if problem["code"] == "RAGGED_ROWS" else {**problem, "lines": [], "rows": problem["lines"]}


def _is_still_true(problem: dict[str, Any], names: set[str]) -> bool:
    spoken_of = {*problem["columns"], *([problem["params"]["name"]] if "name" in problem["params"] else [])}
    return problem["code"] in _STILL_TRUE and spoken_of <= names


def _numbered(first: Block, others: Iterator[Block]) -> Iterator[tuple[int, list[str | None]]]:
    return enumerate((row for block in chain([first], others) for row in block.rows()), start=1)


def _kind(profile: ColumnProfile, before: ColumnKind | None, meant: Meaning | None) -> ColumnKind:
    found = profile.kind()
    if found is ColumnKind.EMPTY:
        return found
    match meant:
        case Meaning.TEXT | Meaning.DATE:
            return ColumnKind.TEXT
        case Meaning.CATEGORY:
            return ColumnKind.CATEGORY
        case Meaning.NUMBER:
            return found if found in _NUMERIC else ColumnKind.NUMBER
    if before is None or (before in TEXTUAL and found in TEXTUAL) or (before is ColumnKind.INTEGER and found is ColumnKind.NUMBER):
        return found
    return before


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
