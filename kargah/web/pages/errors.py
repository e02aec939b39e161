"""The page for what cannot be shown: what happened, why, and where to go on."""

from starlette.requests import Request
from starlette.responses import Response

from kargah.kit.errors import KargahError
from kargah.web.pages.render import render
from kargah.web.pages.shell import Link, page_of

TITLED = (401, 403, 404, 413, 422, 429, 500, 503)


def error_page(request: Request, error: KargahError, status: int, text: str) -> Response:
    page = page_of(request, "error")
    words = page.words
    known = request.state.actor is not None
    ways = [Link(words.text("errors.home"), "/") if known else Link(words.text("login.go"), "/login")]
    if known and status != 404:
        ways.append(Link(words.text("errors.again"), page.path if request.method == "GET" else request.headers.get("referer", "/")))
    return render(
        "error.html",
        page,
        status=status,
        title=words.text(f"errors.title.{status if status in TITLED else 500 if status >= 500 else 400}"),
        body=text,
        status_text=words.digits(str(status)),
        ways=ways,
        request_id=request.state.request_id,
        code=error.code,
        manual=f"/help/errors#{error.code}" if known else "",
    )
