"""What the card of a pushed repository (the head of its README.md) says of title and licence. It is a stranger's word, and only that."""

from pathlib import Path
from typing import Any

import yaml

LONGEST_BYTES = 64 << 10


def read(readme: Path | None) -> dict[str, str]:
    """``pretty_name`` and ``license``, where the head has them as text."""
    if readme is None or not readme.is_file():
        return {}
    with readme.open("rb") as file:
        head = head_of(file.read(LONGEST_BYTES).decode("utf-8", "replace"))
    if not isinstance(head, dict):
        return {}
    said = {name: head.get(name) for name in ("pretty_name", "license")}
    return {name: " ".join(value.split()) for name, value in said.items() if isinstance(value, str) and value.strip()}


def head_of(text: str) -> Any:
    """The YAML between the first two lines of three hyphens; None without one, or when it cannot be read."""
    lines = text.replace("\r\n", "\n").split("\n")
    if lines[0].strip() != "---" or "---" not in lines[1:]:
        return None
    try:
        return yaml.safe_load("\n".join(lines[1 : lines.index("---", 1)]))
    except (yaml.YAMLError, RecursionError, ValueError, TypeError, AttributeError, LookupError, ArithmeticError):
        return None  # values that are not what their tags say end in any of these
