"""Rows that are nearly the same, the same input under two labels, and test rows that training has seen."""

from typing import Any

from kargah.workers.doctor.likeness import LikeTexts, row_keys
from kargah.workers.doctor.places import Places
from kargah.workers.doctor.roles import Roles, is_training
from kargah.workers.doctor.scope import Columns
from kargah.workers.reading.findings import Findings

#: Rows whose keys are remembered; of the first of them likeness is looked for too.
KEYED_ROWS, LIKENESS_ROWS = 100_000, 10_000


class Duplicates:
    """Exact copies are counted while the file is read; here are the others. Only the first ``KEYED_ROWS`` rows are looked at."""

    def __init__(self, roles: Roles) -> None:
        self._inputs = [name for name in roles.texts if name in roles.inputs] or list(roles.texts)
        self._target, self._split = roles.target, roles.split
        self._first: dict[int, tuple[int, Any]] = {}  # keys and texts as their hashes: of long texts it is many
        self._training, self._testing = set[int](), list[tuple[int, int]]()
        self._likeness: LikeTexts | None = LikeTexts()
        self._near, self._conflicts, self._looked_at = Places(), Places(), 0

    def see(self, batch: Any, first_row: int) -> None:
        if first_row > LIKENESS_ROWS:
            self._likeness = None
        if not self._inputs or first_row > KEYED_ROWS:
            self._first.clear()
            return
        self._looked_at += batch.num_rows
        texts = [batch.column(name).to_pylist() for name in self._inputs]
        targets = batch.column(self._target).to_pylist() if self._target else [None] * batch.num_rows
        parts = batch.column(self._split).to_pylist() if self._split else None
        rows = zip(row_keys(texts), zip(*texts, strict=True), targets, strict=True)
        for index, (key, own, target) in enumerate(rows):
            if not key:
                continue
            hashed = hash(key)
            if parts is not None:
                self._note_part(hashed, parts[index], first_row + index)
            if (known := self._first.get(hashed)) is not None:
                self._compare(known, hash(own), target, first_row + index)
                continue
            self._first[hashed] = hash(own), target
            if self._likeness is not None and first_row + index <= LIKENESS_ROWS and self._likeness.add(key):
                self._near.add([first_row + index])

    def say(self, columns: Columns, findings: Findings) -> None:
        inputs = self._inputs
        if self._near.count:
            findings.note(
                "NEAR_DUPLICATES", "warning", count=self._near.count, first_rows=self._near.rows, inputs=inputs, looked_at=self._looked_at
            ).columns = list(inputs)
        if self._conflicts.count:
            findings.note(
                "CONFLICTING_LABELS", "warning", count=self._conflicts.count, first_rows=self._conflicts.rows, inputs=inputs,
                target=self._target, looked_at=self._looked_at,
            ).columns = [*inputs, self._target or ""]  # fmt: skip
        leaked = Places()
        leaked.add(row for key, row in self._testing if key in self._training)
        if leaked.count:
            share = round(leaked.count / len(self._testing), 3)
            findings.note(
                "LEAKED_ROWS", "error", count=leaked.count, first_rows=leaked.rows, inputs=inputs, split=self._split, test_share=share
            ).columns = list(inputs)

    def _compare(self, known: tuple[int, Any], texts: int, target: Any, row: int) -> None:
        """With the first row of the same key."""
        known_texts, known_target = known
        if known_target != target and target is not None and known_target is not None:
            self._conflicts.add([row])
        elif known_texts != texts:
            self._near.add([row])

    def _note_part(self, key: int, part: str | None, row: int) -> None:
        if is_training(part):
            self._training.add(key)
        elif part is not None:
            self._testing.append((key, row))
