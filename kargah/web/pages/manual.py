"""The manual: chapters from docs/manual, and what the product knows about itself (fields, settings, errors) in the same shape.

A heading is addressed by the code in it (``### Learning rate `learning_rate` `` is ``#learning_rate``), else by its words.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from markdown_it import MarkdownIt
from markdown_it.token import Token

from kargah.kit import i18n
from kargah.kit.settings import Settings
from kargah.recipes.catalogue import RECIPES
from kargah.text.normalise import fold
from kargah.web.pages.words import Words

CHAPTERS = ("install", "first-training", "pages", "jobs", *RECIPES, "scripts", "cli", "api", "hub", "configuration", "errors")
SNIPPET = 160


@dataclass(frozen=True)
class Section:
    id: str
    title: str
    text: str


@dataclass(frozen=True)
class Chapter:
    name: str
    title: str
    html: str
    sections: list[Section]


@dataclass(frozen=True)
class Hit:
    href: str
    chapter: str
    title: str
    snippet: str


def folder(name: str) -> Path:
    """``docs/<name>``: inside the package when it was built, beside it in a checkout."""
    packed = Path(__file__).parent.parent / "docs" / name
    return packed if packed.is_dir() else Path(__file__).parents[3] / "docs" / name


@cache
def chapter(language: str, name: str) -> Chapter:
    """``name``: one of CHAPTERS."""
    tokens = _markdown().parse("\n".join([_written(Words(language), name), *_known(Words(language), name)]))
    sections = list(_sections(tokens))
    html: str = _markdown().renderer.render(tokens, _markdown().options, {}).replace("<pre>", '<pre tabindex="0">')  # keys scroll it
    return Chapter(name, sections[0].title, html, sections)


def _written(words: Words, name: str) -> str:
    """A recipe that nobody has written about yet has its title and what it is for."""
    source = folder("manual") / words.language / f"{name}.md"
    if name in RECIPES and not source.exists():
        return f"# {words.text(f'recipe.{name}.title')}\n\n{words.text(f'recipe.{name}.help')}\n"
    return source.read_text(encoding="utf-8")


def chapters(language: str) -> list[Chapter]:
    return [chapter(language, name) for name in CHAPTERS]


def search(language: str, query: str, limit: int = 30) -> list[Hit]:
    """Sections that hold every word of ``query``, whatever its spelling; those named so come first."""
    words = [fold(word) for word in query.split()]
    hits = [(book, section) for book in chapters(language) for section in book.sections if _holds(section, words)]
    hits.sort(key=lambda hit: not all(word in fold(hit[1].title) for word in words))
    return [Hit(f"/help/{book.name}#{part.id}", book.title, part.title, _snippet(part.text, words)) for book, part in hits[:limit]]


def _holds(section: Section, words: list[str]) -> bool:
    text = fold(f"{section.title} {section.text}")
    return bool(words) and all(word in text for word in words)


def _snippet(text: str, words: list[str]) -> str:
    sentences = [part for part in re.split(r"(?<=[.؟!])\s+|\n", text) if part.strip()]
    found = next((part for part in sentences if any(word in fold(part) for word in words)), text)
    return found if len(found) <= SNIPPET else f"{found[:SNIPPET].rstrip()}…"


@cache
def _markdown() -> MarkdownIt:
    return MarkdownIt("commonmark", {"html": False}).enable("table")


def _sections(tokens: list[Token]) -> Iterator[Section]:
    """Gives every heading its address, and tells what stands under it."""
    title, address = "", ""
    texts: list[str] = []
    for token, following in zip(tokens, [*tokens[1:], None], strict=True):
        if token.type == "heading_open" and following is not None:
            if title:
                yield Section(address, title, "\n".join(texts))
            title, address, texts = _plain(following), _address(following), []
            token.attrSet("id", address)
        elif token.type == "inline":
            texts.append(_plain(token))
        elif token.type == "fence":
            token.attrSet("dir", "ltr")
    yield Section(address, title, "\n".join(texts[1:]))


def _plain(inline: Token) -> str:
    shown = {"text", "code_inline", "softbreak"}
    return "".join(part.content or " " for part in inline.children or [] if part.type in shown)


def _address(inline: Token) -> str:
    code = next((part.content for part in inline.children or [] if part.type == "code_inline"), None)
    return code or re.sub(r"[^\w\u200c]+", "-", _plain(inline)).strip("-").lower()


def _known(words: Words, name: str) -> Iterator[str]:
    if name in RECIPES:
        yield from _fields(words, name)
    elif name == "configuration":
        yield from _settings(words)
    elif name == "errors":
        yield from _errors(words)


def _fields(words: Words, recipe: str) -> Iterator[str]:
    """Every field of a recipe: what it does, its default and what it takes."""
    yield f"\n## {words.text('manual.fields')}\n"
    for name, schema in RECIPES[recipe].spec.model_json_schema()["properties"].items():
        label = words.first(f"spec.{recipe}.{name}.label", f"spec.{name}.label", name)
        yield f"### {label} `{name}`\n"
        yield (words.optional(f"spec.{recipe}.{name}.help") or words.optional(f"spec.{name}.help")) + "\n"
        yield f"{words.text('manual.default')} {_default(words, schema)}{_range(words, schema)}\n"


def _default(words: Words, schema: dict[str, Any]) -> str:
    default = schema.get("default")
    return words.text("manual.auto") if default in (None, "auto", {}) else f"`{default}`"


def _range(words: Words, schema: dict[str, Any]) -> str:
    """What a field takes, from its schema: a choice, or the ends of a range."""
    options = [schema, *schema.get("anyOf", [])]
    if "enum" in schema:
        return " · " + words.text("manual.choices") + " " + words.text("list.comma").join(f"`{choice}`" for choice in schema["enum"])
    signs = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤", "exclusiveMaximum": "<"}
    ends = [f"`{sign} {option[key]}`" for option in options for key, sign in signs.items() if key in option]
    return f" · {words.text('manual.range')} {words.text('list.comma').join(ends)}" if ends else ""


@cache
def setting_texts(language: str) -> dict[str, str]:
    """What each setting means, as docs/reference/settings.md says it once for all (a test fails for one that it forgets)."""
    page = (folder("reference") / "settings.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `KARGAH_([A-Z_0-9]+)` \| (.*?) \| (.*?) \| (.*?) \|$", page, re.MULTILINE)
    return {name.lower(): persian if language == "fa" else english for name, _, english, persian in rows}


def _settings(words: Words) -> Iterator[str]:
    texts = setting_texts(words.language)
    yield f"\n## {words.text('manual.settings')}\n"
    for name, field in Settings.model_fields.items():
        default = field.get_default()
        yield f"### `KARGAH_{name.upper()}`\n"
        yield f"{texts.get(name, '')}\n"
        yield f"{words.text('manual.default')} {f'`{default}`' if default not in (None, []) else words.text('manual.auto')}\n"


def _errors(words: Words) -> Iterator[str]:
    """Every error that can be said, with its text; what is put in when it happens is shown as an ellipsis."""
    prefix = "error."
    for key in sorted(key for key in i18n.catalogue(words.language) if key.startswith(prefix)):
        text = re.sub(r"\{\w+\}", "…", i18n.catalogue(words.language)[key])
        yield f"## `{key.removeprefix(prefix)}`\n\n{text}\n"
