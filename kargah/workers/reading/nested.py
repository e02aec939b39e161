"""What stands in one field when it is neither text nor a number: lists, conversations, answers with their places.

Cells travel as JSON text in one canonical form for each kind; only the typed table (``table.py``) makes Arrow values of it.
"""

import json
from collections import Counter
from collections.abc import Mapping
from typing import Any

from kargah.recipes.columns import ColumnKind

#: Names that others give to those who speak.
_ROLES = {
    "human": "user", "user": "user", "prompter": "user", "gpt": "assistant", "assistant": "assistant", "bot": "assistant",
    "model": "assistant", "chatgpt": "assistant", "function_call": "assistant", "system": "system", "developer": "system",
    "tool": "tool", "function": "tool", "observation": "tool",
}  # fmt: skip
_SPEAKER, _SAID = ("role", "from"), ("content", "value")


def kind_of(value: Any) -> str:
    """``messages`` and ``answers`` are lists or objects of a form that has a meaning; else the JSON type."""
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int | float):
        return "number"
    if isinstance(value, list):
        return "messages" if value and all(map(_is_turn, value)) else "answers" if value and all(map(_is_answer, value)) else "list"
    if isinstance(value, dict):
        return "answers" if _is_answer(value) else "object"
    return "string" if isinstance(value, str) else "null"


def column_kind(found: Mapping[str, int]) -> ColumnKind | None:
    """The kind of a column by how often each kind of value was seen; None when it is no nested column."""
    seen = Counter({kind: count for kind, count in found.items() if kind != "null"})
    nested = sum(seen[kind] for kind in ("list", "messages", "answers", "object"))
    if not nested or nested * 2 < sum(seen.values()):
        return None
    if seen["messages"]:
        return ColumnKind.MESSAGES if seen["messages"] * 2 >= nested else ColumnKind.JSON
    if seen["answers"]:
        return ColumnKind.ANSWERS if not seen["object"] and not seen["string"] else ColumnKind.JSON
    return ColumnKind.LIST if set(seen) == {"list"} else ColumnKind.JSON


def as_json(value: Any, kind: ColumnKind | None) -> str:
    """``value`` in its canonical form, as JSON text."""
    if kind is ColumnKind.MESSAGES and isinstance(value, list):
        value = [turn(item) for item in value]
    elif kind is ColumnKind.ANSWERS:
        value = answers(value)
    return json.dumps(value, ensure_ascii=False)


def turn(item: dict[str, Any]) -> dict[str, str]:
    """One turn as {role, content}. An unknown role stays as it is, so that a check can name it."""
    role = str(_first(item, _SPEAKER) or "")
    return {"role": _ROLES.get(role.lower(), role), "content": _content(_first(item, _SAID))}


def is_mapped(item: dict[str, Any]) -> bool:
    """Whether a turn is of another form than {role, content}."""
    return "from" in item or "value" in item


def answers(value: Any) -> dict[str, list[Any]]:
    """{"text": [...], "answer_start": [...]}, of a list of {text, answer_start} or of an object of lists."""
    if isinstance(value, list):
        return {"text": [str(item["text"]) for item in value], "answer_start": [_whole(item["answer_start"]) for item in value]}
    if not isinstance(value, dict):
        return {"text": [], "answer_start": []}
    texts, starts = value.get("text") or [], value.get("answer_start") or []
    texts, starts = (item if isinstance(item, list) else [item] for item in (texts, starts))
    return {"text": [str(text) for text in texts], "answer_start": [_whole(start) for start in starts]}


def is_role(role: str) -> bool:
    return role in _ROLES.values()


def _is_turn(item: Any) -> bool:
    return isinstance(item, dict) and any(key in item for key in _SPEAKER) and any(key in item for key in _SAID)


def _is_answer(item: Any) -> bool:
    return isinstance(item, dict) and "text" in item and "answer_start" in item


def _first(item: dict[str, Any], keys: tuple[str, ...]) -> Any:
    return next((item[key] for key in keys if key in item), None)


def _content(said: Any) -> str:
    """Of a content in parts, the texts."""
    if isinstance(said, list):
        return "\n".join(str(part.get("text", "")) for part in said if isinstance(part, dict) and part.get("type", "text") == "text")
    return said if isinstance(said, str) else "" if said is None else json.dumps(said, ensure_ascii=False)


def _whole(value: Any) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) and -1 <= value < 2**31 else -1
