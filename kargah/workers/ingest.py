"""``python -m kargah.workers.ingest ATTEMPT_DIR``: one uploaded file becomes a data set version, or a reason why not.

Leaves ``outputs/dataset/`` with data.parquet, columns.json, preview.jsonl and report.json, and ragged.jsonl where rows were left out for
their width. Whatever the bytes, the last word is Finished, Stopped or Failed with a code that names place and remedy.
"""

import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from kargah.contract.attempt import AttemptDirectory
from kargah.contract.plans import IngestPlan, Plan
from kargah.contract.results import IngestResult
from kargah.kit import files
from kargah.kit.collecting import seldom
from kargah.recipes import catalogue
from kargah.recipes.columns import Column
from kargah.text.normalise import Normaliser, NormaliserSettings
from kargah.workers import fetching
from kargah.workers.doctor.examination import Examination
from kargah.workers.doctor.remedies import prescribe
from kargah.workers.edge import Attempt, run_attempt
from kargah.workers.reading import containers, ragged
from kargah.workers.reading.batch import Batch, Row, of_rows
from kargah.workers.reading.delimited import DelimitedTable
from kargah.workers.reading.errors import HeaderOnly, NestedTooDeeply, NoUsableRows, in_file
from kargah.workers.reading.findings import Findings
from kargah.workers.reading.foreseen import Foreseen
from kargah.workers.reading.media import Media, media_of
from kargah.workers.reading.opening import Opened, Part, Reader, open_upload
from kargah.workers.reading.outcome import columns_for_event, normalising, task_told, write_outcome
from kargah.workers.reading.ragged import RaggedFile
from kargah.workers.reading.said import Said
from kargah.workers.reading.splits import Splits
from kargah.workers.reading.table import RawTable, write_typed
from kargah.workers.reading.typed import row_groups
from kargah.workers.telling import Teller

_PROGRESS_SECONDS = 0.5
#: Of names and examples that a message of a problem has.
_MOST_TOLD = 5
#: One row cannot both teach and test.
_LEAST_ROWS = 2
#: Findings that count rows which were left out.
_DROPPING = (
    "RAGGED_ROWS", "BROKEN_BYTES", "BROKEN_LINES", "NOT_AN_OBJECT", "CUT_OFF", "BROKEN_CHATS", "TAGS_DO_NOT_MATCH", "EMPTY_SENTENCES",
    "ANSWER_OFFSETS",
)  # fmt: skip


def main(path: str) -> int:
    return run_attempt(Path(path), _work)


def _work(plan: Plan, attempt: Attempt) -> dict[str, Any]:
    assert isinstance(plan, IngestPlan)
    if plan.fetch is not None:
        attempt.tell("Running", total_steps=0)  # a phase of its own, which may be paused: reading starts at nothing again
    with fetching.fetched(plan, attempt.directory, attempt.tell, attempt.wants.check) as (plan, got):
        attempt.tell("Running")
        result = Import(plan, attempt.directory, attempt.tell, attempt.wants.check).run()
    if got is not None:
        result = result.model_copy(update={"source": got.source, "source_filename": got.filename})
    return result.model_dump(mode="json")


class Import:
    """One file on its way. ``check`` is called all along and raises when the work must end."""

    def __init__(self, plan: IngestPlan, directory: AttemptDirectory, tell: Teller, check: Callable[[], None]) -> None:
        self._plan, self._tell, self._check = plan, tell, check
        self._input = files.safe_join(directory.inputs, plan.file)
        self._folder = directory.outputs / "dataset"
        self._folder.mkdir(parents=True, exist_ok=True)
        self._scratch = directory.outputs / "scratch"
        self._normaliser = Normaliser(NormaliserSettings.model_validate(plan.normaliser or {}))
        self._ragged = RaggedFile(self._folder / ragged.FILE)
        self._findings = Findings(self._ragged)
        self._told_seconds = 0.0
        self._examination: Examination | None = None

    def run(self) -> IngestResult:
        self._scratch.mkdir(parents=True, exist_ok=True)
        try:
            with seldom():
                return self._imported()
        except RecursionError:  # what could just be read may be too deep for what comes after
            raise NestedTooDeeply() from None
        finally:
            self._ragged.close()
            containers.clear(self._scratch)

    def _imported(self) -> IngestResult:
        opened = open_upload(self._input, self._plan, self._scratch, self._findings, self._check)
        table = opened.parts[0].table
        raw = RawTable(opened.names, self._findings, self._normaliser)
        with media_of(opened.contents) as media:
            foreseen = Foreseen(
                self._scratch, lambda: None if media else self._columns(raw, table, None, Findings()), partial(self._examined, raw)
            )
            with foreseen.growing() as store:
                parts = self._read(opened, raw, store)
            columns = self._columns(raw, table, media, self._findings)
            for profile, column in zip(raw.profiles, columns, strict=True):
                profile.say(column.kind)
            preview = self._typed(foreseen, raw, columns, media)
        self._say_task(columns)
        assert self._examination is not None
        self._examination.say(columns, self._findings)
        report = self._report(table, raw, columns, parts)
        return IngestResult(
            rows=raw.rows,
            files=write_outcome(self._folder, columns, preview, report),
            columns=columns_for_event(columns),
            report=report,
            normaliser=self._normaliser.settings.model_dump(),
            encoding=report["encoding"],
            format=report["format"],
        )

    def _typed(self, foreseen: Foreseen, raw: RawTable, columns: list[Column], media: Media | None) -> list[Any]:
        """data.parquet, and all of it examined. The first rows are returned for the preview."""
        target = self._folder / "data.parquet"

        def progress(done: int) -> None:
            self._progress(done, raw.rows, "rows")

        if not foreseen.holds(columns):
            return write_typed(foreseen.strings, target, columns, progress, self._examined(raw, columns), media)
        preview = foreseen.keep_at(target)
        if self._examination is None or not self._examination.covers(columns):
            see, done = self._examined(raw, columns), 0
            for batch in row_groups(target):
                see(batch)
                progress(done := done + batch.num_rows)
        return preview

    def _examined(self, raw: RawTable, columns: Sequence[Column]) -> Callable[[Any], None]:
        self._examination = Examination(columns, raw.personal_rows())
        return self._examination.see

    def _read(self, opened: Opened, raw: RawTable, store: Callable[[Any], None]) -> list[dict[str, Any]]:
        splits = Splits(opened.names)
        parts = []
        for part in opened.parts:
            self._findings.file = part.name if len(opened.parts) > 1 else None
            self._ragged.also = {opened.names[-1]: part.split} if part.split else {}
            with in_file(self._findings.file):
                count = raw.add(self._batches(part, splits, raw), store, self._bytes_of(part.table))
            parts.append({"name": part.name, "split": part.split, "rows": count})
        self._findings.file = None
        self._ragged.close()
        if not raw.rows:
            self._refuse_no_rows(opened.names)
        if raw.rows < _LEAST_ROWS:
            self._findings.note("FEW_ROWS", "warning", count=raw.rows, needed=_LEAST_ROWS)
        return parts

    def _batches(self, part: Part, splits: Splits, raw: RawTable) -> Iterator[Batch]:
        if part.split is None and self._plan.max_rows is None and isinstance(part.table, DelimitedTable):
            return part.table.batches()
        return of_rows(self._limited(part.table.rows() if part.split is None else splits.rows(part, raw, self._findings)))

    def _bytes_of(self, table: Reader) -> Callable[[], None]:
        return lambda: self._progress(table.position(), table.size_bytes, "bytes")

    def _limited(self, rows: Iterable[Row]) -> Iterator[Row]:
        for number, row in enumerate(rows):
            if number == self._plan.max_rows:
                self._findings.note("ONLY_FIRST_ROWS", "info", count=0, rows=number)
                return
            yield row

    def _refuse_no_rows(self, names: list[str]) -> None:
        dropped = self._dropped()
        if not dropped:
            raise HeaderOnly(columns="، ".join(names[:20]))
        lines = [line for problem in self._findings.report(dropped) for line in problem["lines"]]
        raise NoUsableRows(rows_dropped=dropped, lines=sorted(set(lines))[:10])

    def _columns(self, raw: RawTable, table: Reader, media: Media | None, findings: Findings) -> list[Column]:
        """As they seem by what was read so far."""
        said, kinds = Said(self._plan.said, findings), table.kinds()
        columns = []
        for profile in raw.profiles:
            structure = kinds.get(profile.name) or (media.kind_of(profile.examples) if media else None)
            kind, meant = said.of(profile, structure)
            columns.append(profile.column(kind).model_copy(update={"meant": meant}))
        said.say()
        return columns

    def _say_task(self, columns: list[Column]) -> None:
        task = catalogue.task_of(columns)
        if task is not None and not task.has_recipe:
            roles = list(dict.fromkeys(task.columns.values()))
            self._findings.note("TASK_WITHOUT_RECIPE", "info", count=0, task={"code": f"task.{task.name}"}, roles=roles)

    def _dropped(self) -> int:
        return sum(map(self._findings.count, _DROPPING))

    def _report(self, table: Reader, raw: RawTable, columns: list[Column], parts: list[dict[str, Any]]) -> dict[str, Any]:
        dropped = self._dropped()
        return {
            "rows": raw.rows,
            "rows_read": raw.rows + dropped,
            "rows_dropped": dropped,
            "rows_compared": raw.rows_compared,
            "format": table.format,
            "encoding": table.encoding,
            "delimiter": table.delimiter,
            "parts": parts,
            "task": task_told(columns),
            "problems": prescribe(self._findings.report(raw.rows + dropped), columns),
            "normaliser": normalising(raw.profiles),
        }

    def _say_what_is_new(self) -> None:
        """Whoever watches sees a problem when it is first met; the report has its whole extent."""
        for finding in self._findings.fresh():
            level = "info" if finding.severity == "info" else "warning"  # an error would ring the bell
            plain = {name: value for name, value in finding.params.items() if isinstance(value, str | int | float)}
            lists = {name: value[:_MOST_TOLD] for name, value in finding.params.items() if isinstance(value, list)}
            told = {"code": f"problem.{finding.code}", "params": {**plain, **lists, "count": finding.count}}
            params = {**plain, "found": finding.code, "columns": finding.columns, "count": finding.count, "told": told}
            self._tell("Logged", level=level, code="datasets.found", params=params)

    def _progress(self, done: float, total: float, unit: str) -> None:
        self._check()
        self._say_what_is_new()
        now = time.monotonic()
        if now - self._told_seconds >= _PROGRESS_SECONDS or done >= total:
            self._told_seconds = now
            self._tell("Progress", done=done, total=total, unit=unit)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
