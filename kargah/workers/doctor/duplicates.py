"""Rows that are nearly the same, the same input under two labels, and test rows that training has seen."""

from collections import deque
from typing import Any

from kargah.workers.doctor.likeness import LikeTexts, row_keys
from kargah.workers.doctor.places import Places
from kargah.workers.doctor.roles import Roles, is_training
from kargah.workers.doctor.scope import Columns
from kargah.workers.reading.findings import Findings

#: Rows whose keys are remembered; of the first of them likeness is looked for too.
KEYED_ROWS, LIKENESS_ROWS = 100_000, 10_000
#: For how many of those it is looked for with each batch that comes after them: it takes long, and nobody may be kept waiting for it.
_LIKENESS_AT_ONCE = 150


class Duplicates:
    """Exact copies are counted while the file is read; here are the others. Only the first ``KEYED_ROWS`` rows are looked at."""

    def __init__(self, roles: Roles) -> None:
        self._inputs = [name for name in roles.texts if name in roles.inputs] or list(roles.texts)
        self._target, self._split = roles.target, roles.split
        self._first: dict[int, tuple[int, Any]] = {}  # keys and texts as their hashes: of long texts it is many
        self._training, self._testing = set[int](), list[tuple[int, int]]()
        self._likeness, self._unlike = LikeTexts(), deque[tuple[int, str]]()
        self._near, self._like, self._conflicts, self._looked_at = Places(), Places(), Places(), 0

    def see(self, batch: Any, first_row: int) -> None:
        if not self._inputs or first_row > KEYED_ROWS:
            self._first.clear()
            self._look_for_likeness(_LIKENESS_AT_ONCE)
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
            if first_row + index <= LIKENESS_ROWS:
                self._unlike.append((first_row + index, key))

    def say(self, columns: Columns, findings: Findings) -> None:
        inputs = self._inputs
        self._look_for_likeness(LIKENESS_ROWS)
        near = self._near.with_those_of(self._like)
        if near.count:
            findings.note(
                "NEAR_DUPLICATES", "warning", count=near.count, first_rows=near.rows, inputs=inputs, looked_at=self._looked_at
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

    def _look_for_likeness(self, most: int) -> None:
        for _ in range(min(most, len(self._unlike))):
            row, key = self._unlike.popleft()
            if self._likeness.add(key):
                self._like.add([row])
        if not self._unlike:
            self._likeness = LikeTexts()  # what it remembers is much

    def _note_part(self, key: int, part: str | None, row: int) -> None:
        if is_training(part):
            self._training.add(key)
        elif part is not None:
            self._testing.append((key, row))
