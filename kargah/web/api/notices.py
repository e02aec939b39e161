"""Notices: the bell. Listed, marked read; the unread count also comes on every stream as the event ``unread``."""

from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import BaseModel, Field

from kargah.jobs import notices
from kargah.jobs.notices import NoticeOut
from kargah.kit import i18n
from kargah.web.deps import Ask

router = APIRouter(prefix="/api/v1/notices", tags=["notices"])

LARGEST = 2**62


class NoticeShown(NoticeOut):
    """With its text in the reader's language; ``why`` is the reason's, when there is one."""

    text: str
    why: str | None = None


class NoticesShown(BaseModel):
    """The newest first; ``unread`` counts all."""

    items: list[NoticeShown]
    unread: int
    next_cursor: str | None = None


class ReadNotices(BaseModel):
    """Which: ``ids``, or all up to position ``until`` (what the reader has seen), or all when neither is given."""

    ids: list[Annotated[str, Field(max_length=48)]] | None = Field(None, max_length=500)
    until: Annotated[int, Field(ge=0, le=LARGEST)] | None = None


class Unread(BaseModel):
    unread: int


@router.get("")
async def list_notices(
    ask: Ask,
    cursor: Annotated[str | None, Query(max_length=64)] = None,
    limit: Annotated[int, Query(ge=1, le=200)] = notices.PAGE,
    unread: bool = False,
) -> NoticesShown:
    page = await ask(notices.list_for, cursor=cursor, limit=limit, unread=unread)
    items = [shown(notice, ask.language) for notice in page.items]
    return NoticesShown(items=items, unread=page.unread, next_cursor=page.next_cursor)


@router.post("/read")
async def mark_notices_read(which: ReadNotices, ask: Ask) -> Unread:
    """Asking twice is fine. The person's other pages hear of the new count by their streams."""
    unread = await ask(notices.mark_read, which.ids, which.until)
    ask.connection.app.state.live.tell_unread({ask.actor.user_id: unread})
    return Unread(unread=unread)


def shown(notice: NoticeOut, language: str) -> NoticeShown:
    why = i18n.text(language, notice.reason["code"], **(notice.reason.get("params") or {})) if notice.reason else None
    return NoticeShown(**notice.model_dump(), text=i18n.text(language, notice.code, **notice.params), why=why)
