"""Pages are made here: one Jinja environment a language, finished values in, HTML out."""

import math
import re
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.requests import Request
from starlette.responses import HTMLResponse

from kargah.kit import i18n
from kargah.kit.ids import new_id
from kargah.web.pages import assets
from kargah.web.pages.shell import Page
from kargah.web.pages.words import Words

TEMPLATES = Path(__file__).parent.parent / "templates"
#: As kit.i18n puts names into texts: nothing to look into.
CLOSED = re.compile("\u2068[^<\u202a-\u202e\u2066-\u2069]*\u2069")
INNER = 2 * math.sin(math.pi / 8)  # of an eight-pointed star made of two squares, where its outer radius is 1


@cache
def environment(language: str) -> Environment:
    words = Words(language)
    made = Environment(loader=FileSystemLoader(TEMPLATES), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    made.globals |= {"lang": language, "dir": words.direction, "t": words.text, "asset": assets.address, "star": star, "new_id": new_id}
    return made


def render(name: str, page: Page, *, status: int = 200, **values: Any) -> HTMLResponse:
    """The page as it stands for this person now: never kept by a shared cache."""
    body = environment(page.words.language).get_template(name).render(page=page, **values)
    body = _untwisted(body)
    return HTMLResponse(
        body, status_code=status, headers={"Cache-Control": "no-store", "Content-Language": page.words.language, "Vary": "Cookie"}
    )


def _untwisted(body: str) -> str:
    """With what would turn the text around it shown by its code, in every text of the page; a field keeps what was typed."""
    if not i18n.MARKS.search(CLOSED.sub("", body)):
        return body
    parts, done = [], 0
    for mark in i18n.MARKS.finditer(body):
        opened, closed = body.rfind("<", 0, mark.start()), body.rfind(">", 0, mark.start())
        if mark.start() < done or opened > closed or body.startswith("<textarea", opened):
            continue
        end = body.find("<", mark.start())
        parts += [body[done : closed + 1], i18n.visible(body[closed + 1 : end])]
        done = end
    return "".join([*parts, body[done:]])


def words_of(request: Request) -> Words:
    return Words(getattr(request.state, "language", "fa"))


@cache
def star(center_x: float, center_y: float, radius: float = 20) -> str:
    """The path of the tile, an eight-pointed star."""
    points = []
    for corner in range(16):
        reach, angle = (radius if corner % 2 == 0 else radius * INNER), corner * math.pi / 8
        points.append(f"{center_x + reach * math.cos(angle):.2f} {center_y + reach * math.sin(angle):.2f}")
    return "M" + "L".join(points) + "z"
