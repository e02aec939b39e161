"""The card of a model, as its folder has it: Markdown that anybody may have written, shown without anything that runs or loads."""

import re
from functools import cache
from pathlib import Path

from markdown_it import MarkdownIt

from kargah.assets import blobs
from kargah.models.schemas import ModelVersionOut

LONGEST_BYTES = 256 * 1024
NAMES = {"fa": ("README.fa.md", "README.md"), "en": ("README.md", "README.fa.md")}
_FRONT_MATTER = re.compile(r"\A---\n.*?\n---\n", re.S)


def card_of(home: Path, version: ModelVersionOut, language: str) -> str:
    """HTML of the card in the reader's language, else in the other; "" where there is none."""
    for name in NAMES[language]:
        entry = next((entry for entry in version.files if entry.path == name), None)
        path = blobs.path_of(home, entry.sha256) if entry else None
        if path is not None and path.is_file():
            with path.open("rb") as file:
                return html_of(file.read(LONGEST_BYTES).decode("utf-8", "replace"))
    return ""


def html_of(markdown: str) -> str:
    """Headings begin below those of the page; HTML is shown as text, pictures as their words."""
    parser = _parser()
    tokens = parser.parse(_FRONT_MATTER.sub("", markdown.replace("\r\n", "\n")))
    for token in tokens:
        if token.type in {"heading_open", "heading_close"}:
            token.tag = f"h{min(6, int(token.tag[1]) + 2)}"
    return str(parser.renderer.render(tokens, parser.options, {}))


@cache
def _parser() -> MarkdownIt:
    return MarkdownIt("commonmark", {"html": False}).enable("table").disable("image")
