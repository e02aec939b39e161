"""The manual inside the product: read, searched, offline."""

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from kargah.kit.errors import NotFound
from kargah.web.pages.render import render, words_of
from kargah.web.pages.shell import page_of

router = APIRouter(include_in_schema=False)


@router.get("/help")
def contents(request: Request) -> Response:
    from kargah.web.pages import manual  # with its parser: most servers start without anybody reading

    query = request.query_params.get("q", "")[:200]
    page = page_of(request, "help")
    hits = manual.search(page.words.language, query) if query.strip() else None
    return render("help.html", page, chapters=manual.chapters(page.words.language), query=query, hits=hits)


@router.get("/help/{name}")
def chapter(name: str, request: Request) -> Response:
    from kargah.web.pages import manual

    if name not in manual.CHAPTERS:
        raise NotFound(kind="pages", id=name)
    shown = manual.chapter(words_of(request).language, name)
    page = page_of(request, "help", crumbs=((shown.title, ""),))
    return render("help_chapter.html", page, chapter=shown, chapters=manual.chapters(page.words.language))
