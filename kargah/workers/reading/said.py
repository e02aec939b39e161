"""What a person said of an earlier version, held against a newer file of the same data: what holds is kept, and all of it is told."""

from kargah.contract.plans import SaidBefore
from kargah.recipes.columns import ColumnKind, Meaning
from kargah.workers.reading.findings import Findings
from kargah.workers.reading.profile import ColumnProfile


class Said:
    """Ask it of every column, then let it ``say``."""

    def __init__(self, said: SaidBefore | None, findings: Findings) -> None:
        self._version = said.number if said else 0
        self._has_normaliser = said is not None and said.normaliser
        self._open = {name: Meaning(meant) for name, meant in said.meant.items()} if said else {}
        self._kept: list[str] = []
        self._findings = findings

    def of(self, profile: ColumnProfile, structure: ColumnKind | None) -> tuple[ColumnKind, Meaning | None]:
        """The column's kind, and what it was said to be where that still holds. ``structure``: what a nested column is."""
        meant = self._open.pop(profile.name, None)
        if meant is None:
            return structure or profile.kind(), None
        kind = profile.kind_of(meant) if structure is None else None
        if kind is None:
            self._findings.note("SAID_DOES_NOT_FIT", "warning", column=profile.name, count=0, meant=meant.value, version=self._version)
            return structure or profile.kind(), None
        self._kept.append(profile.name)
        return kind, meant

    def say(self) -> None:
        if self._kept:
            self._findings.note("SAID_STILL_HOLDS", "info", count=0, version=self._version).columns = self._kept
        if self._open:
            self._findings.note("SAID_OF_NO_COLUMN", "warning", count=0, version=self._version, names=sorted(self._open)[:20])
        if self._has_normaliser:
            self._findings.note("NORMALISER_KEPT", "info", count=0, version=self._version)
