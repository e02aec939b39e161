"""The bell's page: what happened while one looked elsewhere, each with the way to it."""

from dataclasses import dataclass

from fastapi import APIRouter
from sqlalchemy.orm import Session
from starlette.requests import Request
from starlette.responses import Response

from kargah.datasets import service as datasets
from kargah.jobs import notices
from kargah.jobs.notices import NoticeOut
from kargah.kit.errors import BadInput
from kargah.monitoring import activity
from kargah.runs import service as runs
from kargah.store.access import Actor
from kargah.web.deps import Ask
from kargah.web.pages.access import see
from kargah.web.pages.dashboard import PLACES
from kargah.web.pages.forms import form_of
from kargah.web.pages.parts import Pages, pages_of
from kargah.web.pages.render import render
from kargah.web.pages.shell import page_of
from kargah.web.pages.words import Words

router = APIRouter(include_in_schema=False)
ICONS = {"finished": ("done", "a-g"), "failed": ("error", "a-r"), "attention": ("warn", "a-y")}
#: How a job of some kind is said to have ended; other notices speak for themselves.
ENDED = {"finished": "COMPLETED", "failed": "FAILED"}


@dataclass(frozen=True)
class NoticeRow:
    icon: str
    style: str
    text: str
    why: str
    when: str
    exactly: str
    iso: str
    href: str
    is_new: bool


@dataclass(frozen=True)
class Told:
    """``latest``: the position of the newest shown, up to which they can be marked read."""

    items: list[NoticeOut]
    kinds: dict[str, str]
    hrefs: dict[str, str]
    unread: int
    next_cursor: str | None

    @property
    def latest(self) -> int:
        return self.items[0].position if self.items else 0


@router.get("/notices")
async def list_notices(request: Request, ask: Ask) -> Response:
    cursor = request.query_params.get("cursor", "")
    found = await ask(told, cursor or None)
    page = page_of(request, "notices")
    pages: Pages = pages_of("/notices", {"cursor": cursor}, found.next_cursor)
    rows = [_row(page.words, notice, found.kinds.get(notice.job_id, ""), found.hrefs.get(notice.job_id, "")) for notice in found.items]
    return render("notices.html", page, rows=rows, unread=found.unread, latest=found.latest, pages=pages)


@router.post("/notices/read")
async def mark_read(request: Request, ask: Ask) -> Response:
    until = (await form_of(request)).get("until", "")
    if not until.isascii() or not until.isdecimal() or len(until) > 18:
        raise BadInput(field="until", reason="int_parsing")
    unread = await ask(notices.mark_read, None, int(until))
    request.app.state.live.tell_unread({ask.actor.user_id: unread})
    return see("/notices")


def told(session: Session, actor: Actor, cursor: str | None) -> Told:
    """One's notices with the pages of their runs; those of an import lead to its data set, others to the page of their kind."""
    found = notices.list_for(session, actor, cursor=cursor)
    known = {notice.job_id: runs.of_job(session, notice.job_id) for notice in found.items}
    kinds = activity.kinds_of(session, known)
    hrefs = {job_id: PLACES.get(kind, "").format(id=job_id) for job_id, kind in kinds.items()}
    hrefs |= {job_id: f"/datasets/{dataset_id}" for job_id, dataset_id in datasets.of_jobs(session, known).items()}
    hrefs |= {job_id: f"/runs/{run.id}" for job_id, run in known.items() if run is not None}
    return Told(found.items, kinds, hrefs, found.unread, found.next_cursor)


def _row(words: Words, notice: NoticeOut, job_kind: str, href: str) -> NoticeRow:
    icon, style = ICONS[notice.kind]
    return NoticeRow(
        icon=icon,
        style=style,
        text=words.first(f"activity.{job_kind}.{ENDED.get(notice.kind, '')}", notice.code, **notice.params),
        why=words.message("message", notice.reason) if notice.reason else "",
        when=words.ago(notice.created_at),
        exactly=words.date(notice.created_at),
        iso=notice.created_at.isoformat(timespec="seconds"),
        href=href,
        is_new=notice.read_at is None,
    )
