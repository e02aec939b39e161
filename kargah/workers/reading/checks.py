"""Records whose parts must fit each other: conversations, tokens with tags, answers within their text, pairs of answers.

A check takes a record out, or only speaks of it. What makes a file useless for what it is meant for ends the import, unless
the user said that bad rows may be left out.
"""

from collections.abc import Mapping
from typing import Any, Protocol

from kargah.kit.errors import KargahError
from kargah.recipes.columns import ColumnKind
from kargah.workers.reading import nested
from kargah.workers.reading.errors import BrokenChats, TagsDoNotMatch
from kargah.workers.reading.findings import MAX_LINES, Findings

_CHATS = ("messages", "conversations", "conversation", "dialog", "dialogue", "chat")
_TOKENS = ("tokens", "words")
Reason = tuple[str, dict[str, Any]]
Value = Any


class Check(Protocol):
    def accepts(self, line: int, record: Mapping[str, Value]) -> bool:
        """Whether the record stays."""
        ...

    def finish(self) -> None:
        """Raises when what was found ends the import."""
        ...


class _Refusing:
    """Leaves bad records out, and at the end refuses the file for them unless they may be left out."""

    error: type[KargahError]

    def __init__(self, findings: Findings, code: str, leave_out: bool) -> None:
        self._findings, self._code, self._leave_out = findings, code, leave_out
        self._count = 0
        self._reasons: list[dict[str, Any]] = []

    def reason(self, record: Mapping[str, Value]) -> Reason | None:
        raise NotImplementedError

    def accepts(self, line: int, record: Mapping[str, Value]) -> bool:
        reason = self.reason(record)
        if reason is None:
            return True
        self._count += 1
        if len(self._reasons) < MAX_LINES:
            self._reasons.append({"code": reason[0], "params": {"line": line, **reason[1]}})
        self._findings.note(self._code, "error", lines=[line])
        return False

    def finish(self) -> None:
        if self._count and not self._leave_out:
            raise self.error(count=self._count, reasons=self._reasons)


class ChatCheck(_Refusing):
    """A conversation begins with a user (after a system turn), has an answer, known roles and no empty turn."""

    error = BrokenChats

    def __init__(self, key: str, findings: Findings, leave_out: bool) -> None:
        super().__init__(findings, "BROKEN_CHATS", leave_out)
        self._key = key

    def reason(self, record: Mapping[str, Value]) -> Reason | None:
        value = record.get(self._key)
        if self._key not in record or value is None:
            return "chat.missing", {"key": self._key}
        if not isinstance(value, list) or (value and nested.kind_of(value) != "messages"):
            return "chat.no_list", {}
        turns = [nested.turn(item) for item in value]
        if any(map(nested.is_mapped, value)):
            self._findings.note("CHAT_MAPPED", "info")
        return _fault(turns)


def _fault(turns: list[dict[str, str]]) -> Reason | None:
    spoken = [turn["role"] for turn in turns if turn["role"] != "system"]
    if not spoken:
        return "chat.empty", {}
    unknown = next((role for role in spoken if not nested.is_role(role)), None)
    if unknown is not None:
        return "chat.unknown_role", {"role": unknown[:40]}
    if spoken[0] != "user":
        return "chat.begins_with", {"role": spoken[0]}
    if "assistant" not in spoken:
        return "chat.no_answer", {}
    empty = next((number for number, turn in enumerate(turns, start=1) if not turn["content"].strip()), None)
    return None if empty is None else ("chat.empty_turn", {"turn": empty})


class TagCheck(_Refusing):
    """As many tags as tokens. A sentence without tokens is left out, and is no reason to refuse the file."""

    error = TagsDoNotMatch

    def __init__(self, tokens: str, tags: str, findings: Findings, leave_out: bool) -> None:
        super().__init__(findings, "TAGS_DO_NOT_MATCH", leave_out)
        self._tokens, self._tags = tokens, tags

    def accepts(self, line: int, record: Mapping[str, Value]) -> bool:
        if record.get(self._tokens) == [] and record.get(self._tags) == []:
            self._findings.note("EMPTY_SENTENCES", "warning", lines=[line])
            return False
        return super().accepts(line, record)

    def reason(self, record: Mapping[str, Value]) -> Reason | None:
        tokens, tags = record.get(self._tokens), record.get(self._tags)
        if not isinstance(tokens, list) or not isinstance(tags, list):
            return "tags.no_lists", {}
        return None if len(tokens) == len(tags) else ("tags.lengths", {"tokens": len(tokens), "tags": len(tags)})


class AnswerCheck:
    """The text of an answer stands where ``answer_start`` says (in code points). Rows where it does not are left out."""

    def __init__(self, answers: str, findings: Findings) -> None:
        self._key, self._findings = answers, findings

    def accepts(self, line: int, record: Mapping[str, Value]) -> bool:
        context, found = record.get("context"), nested.answers(record.get(self._key))
        if not isinstance(context, str):
            return True
        pairs = zip(found["text"], found["answer_start"], strict=False)
        if len(found["text"]) == len(found["answer_start"]) and all(
            start >= 0 and context.startswith(text, start) for text, start in pairs
        ):
            return True
        finding = self._findings.note("ANSWER_OFFSETS", "error", lines=[line])
        ids = finding.params.setdefault("ids", [])
        if len(ids) < MAX_LINES:
            ids.append(str(record.get("id", line))[:80])
        return False

    def finish(self) -> None:
        """Nothing: the good questions are worth having."""


class PairCheck:
    """Of two answers to one prompt, one is better: equal ones teach nothing."""

    def __init__(self, findings: Findings) -> None:
        self._findings = findings

    def accepts(self, line: int, record: Mapping[str, Value]) -> bool:
        if record.get("chosen") == record.get("rejected") and record.get("chosen") is not None:
            self._findings.note("SAME_ANSWERS", "warning", lines=[line])
        return True

    def finish(self) -> None:
        """Nothing."""


def checks_for(kinds: Mapping[str, ColumnKind | None], findings: Findings, leave_out: bool) -> list[Check]:
    """The checks that these keys call for."""
    checks: list[Check] = []
    checks += (ChatCheck(key, findings, leave_out) for key, kind in kinds.items() if kind is ColumnKind.MESSAGES and key.lower() in _CHATS)
    lists = [key for key, kind in kinds.items() if kind is ColumnKind.LIST]
    tokens = next((key for key in lists if key.lower() in _TOKENS), None)
    if tokens is not None:
        checks += (TagCheck(tokens, key, findings, leave_out) for key in lists if key != tokens and "tag" in key.lower())
    if "context" in kinds:
        checks += (AnswerCheck(key, findings) for key, kind in kinds.items() if kind is ColumnKind.ANSWERS)
    if {"chosen", "rejected"} <= set(kinds):
        checks.append(PairCheck(findings))
    return checks
