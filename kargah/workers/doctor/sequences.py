"""Columns whose cells are sequences: tags that must begin before they go on, turns that must alternate."""

import json
import re
from collections.abc import Sequence
from typing import Any

from kargah.workers.doctor.places import Places
from kargah.workers.doctor.scope import Columns, Scope
from kargah.workers.reading.findings import Findings

_TAG = re.compile(r"O|[BIESLU]-\S+")
_TURN = re.compile(r'\s*\[\s*\{\s*"(?:role|from|content|value)"')
#: The second are the words of ShareGPT.
_WHO = {"user": "user", "human": "user", "assistant": "assistant", "gpt": "assistant", "bot": "assistant", "system": "system"}
SAMPLE_VALUES = 50


class Tags:
    """Every column of lists whose items are all tags in the BIO manner."""

    def __init__(self, scope: Scope) -> None:
        self._names = set(scope.names)
        self._broken: dict[str, Places] = {}

    def see(self, batch: Any, first_row: int) -> None:
        for name in sorted(self._names):
            rows = [as_list(value) for value in _values(batch, name)]
            if first_row == 1 and not _are_tags(rows):
                self._names.discard(name)
                continue
            broken = self._broken.setdefault(name, Places())
            broken.add(row for row, tags in enumerate(rows, first_row) if tags and repaired(tags) != tags)

    def say(self, columns: Columns, findings: Findings) -> None:
        for name, places in self._broken.items():
            if places.count:
                findings.note("BROKEN_TAGS", "warning", column=name, count=places.count, first_rows=places.rows)


def repaired(tags: Sequence[str]) -> list[str]:
    """I-X that neither B-X nor I-X stands before becomes B-X."""
    mended: list[str] = []
    for tag in tags:
        before = mended[-1] if mended else "O"
        orphan = tag.startswith("I-") and before not in (f"B-{tag[2:]}", tag)
        mended.append(f"B-{tag[2:]}" if orphan else tag)
    return mended


class Conversations:
    """Every column of turns: user and assistant must alternate, the user first, a system's word only before."""

    def __init__(self, scope: Scope) -> None:
        self._names = set(scope.names)
        self._broken: dict[str, Places] = {}

    def see(self, batch: Any, first_row: int) -> None:
        for name in sorted(self._names):
            rows = [turns_of(value) for value in _values(batch, name)]
            if first_row == 1 and not any(rows[:SAMPLE_VALUES]):
                self._names.discard(name)
                continue
            broken = self._broken.setdefault(name, Places())
            broken.add(row for row, turns in enumerate(rows, first_row) if turns is not None and not alternates(turns))

    def say(self, columns: Columns, findings: Findings) -> None:
        for name, places in self._broken.items():
            if places.count:
                findings.note("TURNS_DO_NOT_ALTERNATE", "warning", column=name, count=places.count, first_rows=places.rows)


def alternates(turns: Sequence[str]) -> bool:
    spoken = list(turns[1:] if turns[:1] == ["system"] else turns)
    wanted = ["user", "assistant"] * (len(spoken) // 2 + 1)
    return bool(spoken) and spoken == wanted[: len(spoken)]


def as_list(value: Any) -> list[str] | None:
    """A cell as its list of strings, whether kept as a list or as its JSON."""
    if isinstance(value, str) and value.startswith("["):
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            return None
    return value if isinstance(value, list) and all(isinstance(item, str) for item in value) else None


def _values(batch: Any, name: str) -> list[Any]:
    """The cells, where they can be lists at all: plain columns cost a look at their first values."""
    column = batch.column(name)
    first = column.slice(0, SAMPLE_VALUES).to_pylist()
    could = any(isinstance(value, list) or (isinstance(value, str) and value.startswith("[")) for value in first)
    values: list[Any] = column.to_pylist() if could else first
    return values


def _are_tags(rows: list[list[str] | None]) -> bool:
    known = [tags for tags in rows[:SAMPLE_VALUES] if tags]
    every = [tag for tags in known for tag in tags]
    return bool(every) and any(tag != "O" for tag in every) and all(_TAG.fullmatch(tag) for tag in every)


def turns_of(value: Any) -> list[str] | None:
    """Who speaks, in order; None for what is no conversation."""
    if isinstance(value, list) and value and all(isinstance(item, str) and item.startswith("{") for item in value):
        value = f"[{','.join(value)}]"
    if isinstance(value, str) and _TURN.match(value):
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            return None
    if not isinstance(value, list) or not value or not all(isinstance(turn, dict) for turn in value):
        return None
    names = [str(turn.get("role", turn.get("from", ""))) for turn in value]
    return [_WHO.get(name, name) for name in names]
