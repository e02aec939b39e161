"""Pages are made here: one Jinja environment a language, finished values in, HTML out."""

import math
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.requests import Request
from starlette.responses import HTMLResponse

from kargah.kit.ids import new_id
from kargah.web.pages import assets
from kargah.web.pages.shell import Page
from kargah.web.pages.words import Words

TEMPLATES = Path(__file__).parent.parent / "templates"
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
    return HTMLResponse(
        body, status_code=status, headers={"Cache-Control": "no-store", "Content-Language": page.words.language, "Vary": "Cookie"}
    )


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
