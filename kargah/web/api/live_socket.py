"""``/api/v1/live``: one socket for many jobs, and the tickets that open streams where no header can be sent.

What a client says, as JSON texts::

    {"type": "subscribe", "job_ids": ["job_…"], "since": 1200}     without job_ids: all jobs that one may see; without since: from now on
    {"type": "unsubscribe", "job_ids": ["job_…"]}                  without job_ids: all

What it hears: ``hello``, ``subscribed`` and ``unsubscribed`` (each answers its word), ``event`` (as in the server-sent streams, its
``position`` is where to resume), ``unread`` (one's unread notices), ``heartbeat`` (with the last position), ``error`` (with its text).
Closed with 4401 when the credential no longer holds, 4408 for a client that is too slow, 1001 when the server ends, 1008 for what is no
word of ours.
"""

import asyncio
import contextlib
import json
import time
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

import structlog
from fastapi import APIRouter, WebSocket, WebSocketDisconnect
from pydantic import BaseModel, Field, ValidationError
from sqlalchemy.orm import Session

from kargah.accounts import tickets
from kargah.accounts.tickets import TicketOut
from kargah.jobs import history
from kargah.jobs import service as jobs
from kargah.jobs.schemas import EventOut
from kargah.kit.errors import BadInput, KargahError
from kargah.store.access import Actor
from kargah.web import live
from kargah.web.deps import Ask, Asking
from kargah.web.errors import text_of
from kargah.web.listeners import Batch, Heard, Listener

log = structlog.get_logger(__name__)
router = APIRouter(prefix="/api/v1/live", tags=["live"])

MOST_JOBS = 100
MOST_WORDS_WAITING = 64
LONGEST_WORD = 16 * 1024
REFUSED, GOING, CREDENTIAL_ENDED, TOO_SLOW = 1008, 1001, 4401, 4408


class Word(BaseModel):
    type: Literal["subscribe", "unsubscribe"]
    job_ids: list[Annotated[str, Field(max_length=64)]] | None = Field(None, min_length=1, max_length=MOST_JOBS)
    since: Annotated[int, Field(ge=0, le=2**62)] | None = None


class TooManyJobs(BadInput):
    """One socket follows only so many jobs by name."""

    code = "TOO_MANY_JOBS"


@router.post("/tickets", status_code=201)
async def issue_ticket(ask: Ask) -> TicketOut:
    """For ``?ticket=`` on a stream: good once, for half a minute, and no longer than the credential that asks."""
    return await ask(tickets.issue)


@router.websocket("")
async def socket(websocket: WebSocket) -> None:
    ask = Asking(websocket)
    await websocket.accept()
    wire = Wire(websocket, ask, websocket.app.state.live)
    try:
        code = await wire.talk()
    except WebSocketDisconnect:
        return
    except TimeoutError:
        code = TOO_SLOW
    with contextlib.suppress(RuntimeError, WebSocketDisconnect, TimeoutError):
        async with asyncio.timeout(live.SEND_SECONDS):
            await websocket.close(code)


@dataclass
class Watch:
    """What a socket listens to. ``told``: the position up to which it knows a job; ``everything``: all jobs that it may see."""

    everything: bool = False
    job_ids: set[str] = field(default_factory=set)
    told: dict[str, int] = field(default_factory=dict)

    def add(self, job_ids: list[str] | None) -> None:
        self.everything |= job_ids is None
        self.job_ids.update(job_ids or ())

    def wants(self, event: EventOut) -> bool:
        return self.everything or event.job_id in self.job_ids

    def is_news(self, event: EventOut) -> bool:
        """Replay and live stream overlap; each event is told once."""
        if not self.wants(event) or event.position <= self.told.get(event.job_id, -1):
            return False
        self.told[event.job_id] = event.position
        return True


class Wire:
    """One connection. Everything is sent by one task, in order; a second one only hears."""

    def __init__(self, websocket: WebSocket, ask: Asking, hub: live.Live) -> None:
        self._websocket = websocket
        self._ask = ask
        self._hub = hub
        self._watch = Watch()
        self._words: deque[str] = deque()
        self._position = 0
        expires_at = websocket.state.identity.expires_at
        self._until_seconds = expires_at.timestamp() if expires_at is not None else float("inf")

    async def talk(self) -> int:
        """Until one side ends it. Returns the code to close with. Raises TimeoutError for a client that takes nothing."""
        async with self._hub.listening(self._ask.actor, self._watch.wants) as listener:
            hearing = asyncio.create_task(self._hear(listener))
            try:
                self._position = await self._ask.threads.read(history.latest_position)
                await self._say("hello", position=self._position, heartbeat_seconds=live.HEARTBEAT_SECONDS)
                await self._say("unread", unread=await self._hub.unread_of(self._ask.actor))
                while not listener.ended and not hearing.done() and time.time() < self._until_seconds:
                    await self._pass_on(await listener.next(live.HEARTBEAT_SECONDS), listener)
                return self._end_of(listener, hearing)
            finally:
                hearing.cancel()
                with contextlib.suppress(asyncio.CancelledError, WebSocketDisconnect):
                    await hearing

    def _end_of(self, listener: Listener, hearing: "asyncio.Task[None]") -> int:
        if self._hub.stopping.is_set():
            return GOING
        if hearing.done():
            hearing.result()  # raises what ended it
            return REFUSED
        return TOO_SLOW if listener.overflowed else CREDENTIAL_ENDED

    async def _hear(self, listener: Listener) -> None:
        """Ends when a client says more, or longer things, than anybody has to say."""
        try:
            while True:
                word = await self._websocket.receive_text()
                if len(word) > LONGEST_WORD or len(self._words) >= MOST_WORDS_WAITING:
                    return
                self._words.append(word)
                listener.wake()
        finally:
            listener.wake()

    async def _pass_on(self, batch: Batch, listener: Listener) -> None:
        quiet = not batch and not self._words
        await self._tell_news(batch.heard)
        while self._words:
            await self._obey(self._words.popleft(), listener)
        if batch.unread is not None:
            await self._say("unread", unread=batch.unread)
        if quiet:
            await self._say("heartbeat", position=self._position)

    async def _obey(self, text: str, listener: Listener) -> None:
        try:
            word = Word.model_validate_json(text)
            await (self._subscribe(word, listener) if word.type == "subscribe" else self._unsubscribe(word))
        except ValidationError as error:
            await self._refuse(BadInput(field=".".join(map(str, error.errors()[0]["loc"])), reason=error.errors()[0]["msg"]))
        except KargahError as error:
            await self._refuse(error)

    async def _subscribe(self, word: Word, listener: Listener) -> None:
        """What was handed out before this moment is told first, then replayed what was missed up to it, and all later events come by
        the live line: of whatever jobs they are, they come in the order of their positions, so that one position is where to resume.
        """
        if word.job_ids is not None:
            if len(self._watch.job_ids | set(word.job_ids)) > MOST_JOBS:
                raise TooManyJobs(most=MOST_JOBS)
            await self._ask.read(_all_visible, word.job_ids)
        self._watch.add(word.job_ids)
        until, waiting = self._hub.position, listener.take()
        await self._tell_news(waiting)
        await self._say("subscribed", job_ids=word.job_ids, since=word.since)
        if word.since is not None:
            await self._replay(word.job_ids, word.since, until)

    async def _replay(self, job_ids: list[str] | None, since: int, until: int) -> None:
        while since < until and not self._hub.stopping.is_set():
            batch = await self._ask.read(_events_after, since, job_ids)
            await self._tell_news(Heard(event) for event in batch if event.position <= until)
            if len(batch) < live.BATCH:
                return
            since = batch[-1].position

    async def _unsubscribe(self, word: Word) -> None:
        if word.job_ids is None:
            self._watch.everything = False
            self._watch.job_ids.clear()
            self._watch.told.clear()
        for job_id in word.job_ids or ():
            self._watch.job_ids.discard(job_id)
            self._watch.told.pop(job_id, None)
        await self._say("unsubscribed", job_ids=word.job_ids)

    async def _tell_news(self, found: Iterable[Heard]) -> None:
        for heard in found:
            if self._watch.is_news(heard.event):
                self._position = max(self._position, heard.event.position)
                await self._send(f'{{"type":"event","event":{heard.text}}}')

    async def _refuse(self, error: KargahError) -> None:
        detail = text_of(self._ask.language, error.code, error.params)
        await self._say("error", code=error.code, params=error.params, detail=detail)

    async def _say(self, kind: str, **fields: Any) -> None:
        await self._send(json.dumps({"type": kind, **fields}, ensure_ascii=False))

    async def _send(self, text: str) -> None:
        async with asyncio.timeout(live.SEND_SECONDS):
            await self._websocket.send_text(text)


def _all_visible(session: Session, actor: Actor, job_ids: list[str]) -> None:
    """Raises NotFound for the first that ``actor`` does not see."""
    for job_id in job_ids:
        jobs.get_for(session, actor, job_id)


def _events_after(session: Session, actor: Actor, since: int, job_ids: list[str] | None) -> list[EventOut]:
    return history.events_after(session, since, job_ids=job_ids, actor=actor, limit=live.BATCH)
