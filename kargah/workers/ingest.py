"""``python -m kargah.workers.ingest ATTEMPT_DIR``: one uploaded file becomes a data set version, or a reason why not.

Leaves ``outputs/dataset/`` with data.parquet, columns.json, preview.jsonl and report.json. Whatever the bytes, the last word
is Finished, Stopped or Failed with a code that names place and remedy.
"""

import json
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from kargah.contract.attempt import AttemptDirectory
from kargah.contract.plans import IngestPlan, Plan
from kargah.contract.results import IngestResult, OutputFile
from kargah.kit import files
from kargah.recipes.columns import Column, ColumnKind
from kargah.text import detect
from kargah.text.normalise import NORMALISER_VERSION, Normaliser, NormaliserSettings
from kargah.workers.edge import Attempt, run_attempt
from kargah.workers.reading.delimited import DelimitedTable, Row
from kargah.workers.reading.errors import HeaderOnly, NoUsableRows
from kargah.workers.reading.findings import Findings
from kargah.workers.reading.records import JsonTable
from kargah.workers.reading.source import Source, examine, opened
from kargah.workers.reading.table import RawTable, write_typed
from kargah.workers.telling import Teller

_PROGRESS_SECONDS = 0.5
#: An event is one line that is carried whole: columns.json has what does not fit.
_MAX_COLUMNS_IN_EVENT_BYTES = 256 * 1024
_OUTPUTS = ("data.parquet", "columns.json", "preview.jsonl", "report.json")


def main(path: str) -> int:
    return run_attempt(Path(path), _work)


def _work(plan: Plan, attempt: Attempt) -> dict[str, Any]:
    assert isinstance(plan, IngestPlan)
    attempt.tell("Running")
    return Import(plan, attempt.directory, attempt.tell, attempt.wants.check).run().model_dump(mode="json")


class Import:
    """One file on its way. ``check`` is called all along and raises when the work must end."""

    def __init__(self, plan: IngestPlan, directory: AttemptDirectory, tell: Teller, check: Callable[[], None]) -> None:
        self._plan, self._tell, self._check = plan, tell, check
        self._input = files.safe_join(directory.inputs, plan.file)
        self._folder = directory.outputs / "dataset"
        self._folder.mkdir(parents=True, exist_ok=True)
        self._raw_path = directory.outputs / "raw.parquet"
        self._normaliser = Normaliser(NormaliserSettings.model_validate(plan.normaliser or {}))
        self._findings = Findings()
        self._told_seconds = 0.0

    def run(self) -> IngestResult:
        source = examine(self._input, self._plan.filename, self._findings, self._check, self._plan.encoding)
        table = self._table_of(source)
        raw = self._read(source, table)
        columns = self._columns(raw, table)
        preview = write_typed(self._raw_path, self._folder / "data.parquet", columns, lambda done: self._progress(done, raw.rows, "rows"))
        self._raw_path.unlink()
        report = self._report(source, table, raw)
        self._write(columns, preview, report)
        return IngestResult(
            rows=raw.rows,
            files=[self._output(name) for name in _OUTPUTS],
            columns=_for_event(columns),
            report=report,
            normaliser=self._normaliser.settings.model_dump(),
            encoding=source.encoding,
            format=report["format"],
        )

    def _table_of(self, source: Source) -> DelimitedTable | JsonTable:
        if source.shape is detect.Shape.DELIMITED:
            return DelimitedTable(source, self._findings, self._plan.delimiter)
        return JsonTable(source, self._findings, self._check)

    def _read(self, source: Source, table: DelimitedTable | JsonTable) -> RawTable:
        raw = RawTable(table.names, self._findings, self._normaliser)
        with opened(source) as (text, position):
            rows = self._limited(table.rows(text))
            raw.read(rows, self._raw_path, lambda: self._progress(position(), source.size_bytes, "bytes"))
        if not raw.rows:
            self._refuse_no_rows(table.names)
        return raw

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

    def _columns(self, raw: RawTable, table: DelimitedTable | JsonTable) -> list[Column]:
        lists = table.list_columns() if isinstance(table, JsonTable) else set()
        columns = []
        for profile in raw.profiles:
            kind = ColumnKind.LIST if profile.name in lists else profile.kind()
            profile.say(kind)
            columns.append(profile.column(kind))
        return columns

    def _dropped(self) -> int:
        return sum(map(self._findings.count, ("RAGGED_ROWS", "BROKEN_BYTES", "BROKEN_LINES", "NOT_AN_OBJECT", "CUT_OFF")))

    def _report(self, source: Source, table: DelimitedTable | JsonTable, raw: RawTable) -> dict[str, Any]:
        dropped = self._dropped()
        return {
            "rows": raw.rows,
            "rows_read": raw.rows + dropped,
            "rows_dropped": dropped,
            "rows_compared": raw.rows_compared,
            "format": _format(source, table.delimiter),
            "encoding": source.encoding,
            "delimiter": table.delimiter,
            "problems": self._findings.report(raw.rows + dropped),
            "normaliser": self._normalising(raw),
        }

    def _normalising(self, raw: RawTable) -> dict[str, Any]:
        """What the normaliser would change; the stored text is as it came."""
        counts: Counter[str] = Counter()
        for profile in raw.profiles:
            counts.update(profile.normaliser_counts)
        return {
            "version": NORMALISER_VERSION,
            "counts": dict(counts.most_common()),
            "columns": {profile.name: profile.values_changed for profile in raw.profiles if profile.values_changed},
            "values_changed": sum(profile.values_changed for profile in raw.profiles),
            "values_looked_at": sum(profile.values_normalised for profile in raw.profiles),
        }

    def _write(self, columns: list[Column], preview: list[dict[str, Any]], report: dict[str, Any]) -> None:
        files.write_json(self._folder / "columns.json", [column.model_dump(mode="json") for column in columns])
        files.write_json(self._folder / "report.json", report)
        lines = (json.dumps(row, ensure_ascii=False, default=str) for row in preview)
        files.write_bytes(self._folder / "preview.jsonl", "".join(f"{line}\n" for line in lines).encode())

    def _output(self, name: str) -> OutputFile:
        digest = files.digest_of(self._folder / name)
        return OutputFile(path=name, sha256=digest.sha256, git_sha1=digest.git_sha1, size_bytes=digest.size_bytes)

    def _progress(self, done: float, total: float, unit: str) -> None:
        self._check()
        now = time.monotonic()
        if now - self._told_seconds >= _PROGRESS_SECONDS or done >= total:
            self._told_seconds = now
            self._tell("Progress", done=done, total=total, unit=unit)


def _format(source: Source, delimiter: str | None) -> str:
    if delimiter is None:
        return "json" if source.shape is detect.Shape.JSON_OBJECT else source.shape.value
    return "tsv" if delimiter == "\t" else "csv"


def _for_event(columns: list[Column]) -> list[dict[str, Any]]:
    dumped = [column.model_dump(mode="json") for column in columns]
    if len(json.dumps(dumped, ensure_ascii=False).encode()) <= _MAX_COLUMNS_IN_EVENT_BYTES:
        return dumped
    return [{**column, "top": [], "examples": []} for column in dumped]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
