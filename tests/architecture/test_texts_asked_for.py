"""No text is left that nothing asks for, and no sentence stands in what makes the pages and the terminal."""

import ast
import re
from functools import cache
from pathlib import Path
from typing import get_args

from pydantic_core.core_schema import ErrorType

from kargah.kit.i18n import LOCALE, parse_po

PACKAGE = Path(__file__).parents[2] / "kargah"
#: Names of formats, languages and keys of a keyboard, the same in every language.
NAMES = {"Apache", "CSV", "JSONL", "Parquet", "YAML", "curl", "CLI", "Python", "Enter", "Esc", "Ctrl", "sha"}
PERSIAN = re.compile(r"[\u0620-\u064a\u066e-\u06d3]{2,}")
#: Stands for what is put into a string.
PLACE = "\0"
SENTENCE = re.compile(r"[A-Z][a-z']+( [a-z']+){2,}")


def sources(*kinds: str, below: str = "") -> list[Path]:
    found = (path for kind in kinds for path in (PACKAGE / below).rglob(kind))
    return [path for path in found if not {"vendor", "api-docs"} & set(path.parts)]


@cache
def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def put_together() -> set[str]:
    """All strings with places in them, as patterns; of an address, each part of it."""
    joined = (node for path in sources("*.py") for node in ast.walk(tree_of(path)) if isinstance(node, ast.JoinedStr))
    shapes = {"".join(str(part.value) if isinstance(part, ast.Constant) else PLACE for part in node.values) for node in joined}
    for path in sources("*.html"):
        shapes |= {f"{begin}{PLACE}" for begin in re.findall(r"""'([\w.-]+[._])'\s*~""", path.read_text(encoding="utf-8"))}
    parts = {part for shape in shapes for part in re.split(rf"[^\w.{PLACE}-]", shape) if PLACE in part and re.search(r"\w{2}|\.", part)}
    return {re.escape(part).replace(PLACE, r"([\w.-]+)") for part in parts}


def test_no_text_is_left_that_nothing_asks_for() -> None:
    """A key is asked for as it stands, or by a string with places that words of the code may fill."""
    code = "\n".join(path.read_text(encoding="utf-8") for path in sources("*.py", "*.html", "*.js"))
    named = set(re.findall(r"""["']([A-Za-z_][\w.-]*)["']""", code))
    words = set(re.findall(r"[\w-]+", code)) | set(get_args(ErrorType))
    patterns = [re.compile(pattern) for pattern in put_together()]
    worded = [pattern for pattern in patterns if re.search(r"[A-Za-z]{2}", pattern.pattern)]
    keyed = [pattern for pattern in patterns if "\\." in pattern.pattern]

    def fills(part: str) -> bool:
        return part in named or all(word in words for word in part.split(".")) or any(pattern.fullmatch(part) for pattern in worded)

    def is_asked(key: str) -> bool:
        found = (pattern.fullmatch(key) for pattern in keyed)
        return key in named or any(match and all(map(fills, match.groups())) for match in found)

    keys = {key for path in (LOCALE / "en").glob("*.po") for key in parse_po(path.read_text(encoding="utf-8"))}
    unasked = sorted(key for key in keys if not is_asked(key))
    assert not unasked, unasked


def test_no_template_holds_a_word_of_any_language() -> None:
    said = []
    for path in sources("*.html"):
        text = re.sub(r"\{#.*?#\}|\{%.*?%\}|\{\{.*?\}\}|<script.*?</script>", " ", path.read_text(encoding="utf-8"), flags=re.S)
        shown = re.findall(r'\s(?:aria-label|title|placeholder|alt)="([^"]*)"', text)
        shown.append(re.sub(r"<[^>]*>|&\w+;", " ", text))
        said += [(path.name, word) for part in shown for word in re.findall(r"[^\W\d_]{3,}", part) if word not in NAMES]
    assert said == []


def test_doors_hold_no_sentence_in_their_code() -> None:
    """Persian nowhere in what pages, API and terminal are made of; English only where it explains the code."""
    said = []
    for path in [*sources("*.py", below="web"), *sources("*.py", below="cli")]:
        explained = {id(node.value) for node in ast.walk(tree_of(path)) if isinstance(node, ast.Expr)}
        for node in ast.walk(tree_of(path)):
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in explained:
                said += [(path.name, node.value)] if PERSIAN.search(node.value) or SENTENCE.match(node.value) else []
    assert said == []
    assert [path.name for path in sources("*.js") if PERSIAN.search(path.read_text(encoding="utf-8"))] == []
