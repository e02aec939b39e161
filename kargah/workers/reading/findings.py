"""What was found wrong or worth saying in a file, each with where. Texts: ``problem.<CODE>`` in ``locale/*/datasets.po``."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from kargah.workers.reading.ragged import RaggedFile

Severity = Literal["info", "warning", "error"]
MAX_LINES = 10
_ORDER = {"error": 0, "warning": 1, "info": 2}


@dataclass
class Finding:
    """``lines`` are the first few lines of the file (1-based, header included); ``count`` is of all places."""

    code: str
    severity: Severity
    count: int = 0
    lines: list[int] = field(default_factory=list)
    columns: list[str] = field(default_factory=list)
    params: dict[str, Any] = field(default_factory=dict)

    def add(self, count: int, lines: Iterable[int] = ()) -> None:
        """``lines`` may be dear to find: they are asked for only while some are wanted."""
        self.count += count
        coming = iter(lines)
        while len(self.lines) < MAX_LINES and (line := next(coming, None)) is not None:
            if line not in self.lines:
                self.lines.append(line)


class Findings:
    """One finding for each code and column, and for each ``file`` while several are read. ``ragged``: keeps rows of another width."""

    def __init__(self, ragged: "RaggedFile | None" = None) -> None:
        self.ragged = ragged
        self.file: str | None = None
        self._all: dict[tuple[str, str | None, str | None], Finding] = {}
        self._told: set[tuple[str, str | None, str | None]] = set()

    def note(
        self, code: str, severity: Severity, *, column: str | None = None, count: int = 1, lines: Iterable[int] = (), **params: Any
    ) -> Finding:
        finding = self._all.setdefault((code, column, self.file), Finding(code, severity, columns=[] if column is None else [column]))
        finding.add(count, lines)
        finding.params.update(params if self.file is None else {**params, "file": self.file})
        return finding

    def fresh(self) -> list[Finding]:
        """Those that were noted since this was last asked."""
        new = self._all.keys() - self._told
        self._told |= new
        return [finding for key, finding in self._all.items() if key in new]

    def get(self, code: str, column: str | None = None) -> Finding | None:
        """That of the current file."""
        return self._all.get((code, column, self.file))

    def count(self, code: str) -> int:
        return sum(finding.count for finding in self._all.values() if finding.code == code)

    def report(self, rows: int) -> list[dict[str, Any]]:
        """Errors first, then by how much they concern. ``share`` is of the rows read, where rows are what is counted."""
        found = sorted(self._all.values(), key=lambda finding: (_ORDER[finding.severity], -finding.count))
        return [
            {
                "code": finding.code,
                "severity": finding.severity,
                "count": finding.count,
                "share": round(min(1.0, finding.count / rows), 6) if rows else None,
                "lines": finding.lines,
                "columns": finding.columns,
                "params": finding.params,
            }
            for finding in found
        ]
