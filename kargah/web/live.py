"""The only stream code: what happens to jobs, told while it happens to whoever listens.

One tailer a process reads new events while somebody listens and hands each to the listeners that may see it and want
it. A stream makes no call to the database but its replay: it registers first, replays what it missed up to now, and
goes on with what was handed over meanwhile, so nothing is lost or doubled between the two. ``position`` is the id of
every stream, so one that breaks off is taken up again where it was, by any process.
"""

import asyncio
import contextlib
import gc
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable, Mapping
from typing import Protocol

import structlog
from sqlalchemy import select
from sqlalchemy.orm import Session
from starlette.responses import StreamingResponse
from starlette.types import Send

from kargah.accounts.standing import Standing, standing
from kargah.jobs import history, notices
from kargah.jobs import service as jobs
from kargah.jobs.schemas import EventOut
from kargah.jobs.states import TERMINAL
from kargah.jobs.tables import EventRow, Job
from kargah.kit.memory import give_back
from kargah.store.access import Actor
from kargah.web.deps import Threads
from kargah.web.listeners import Batch, Heard, JobFacts, Listener

log = structlog.get_logger(__name__)

POLL_SECONDS = 0.05
HEARTBEAT_SECONDS = 15.0
GIVE_BACK_SECONDS = 2.0
#: So many more streams than ever since the last rest are put out of the garbage collector's sight.
CROWD = 100
#: A stream is asked to come back after this long.
LONGEST_SECONDS = 30 * 60.0
#: Whether the listeners' credentials still hold is asked this often: of all of them in one query.
CHECK_SECONDS = 8.0
#: A client that takes nothing for this long is cut off.
SEND_SECONDS = 30.0
BATCH = 500
#: The last words of a job, not only of an attempt.
LAST_WORDS = frozenset({"Finished", "Failed", "Stopped"})
#: Only these may have made a notice.
NOTEWORTHY = frozenset({"Finished", "Failed", "Paused", "Logged"})
FREQUENT = frozenset({"Step", "Progress"})
FREQUENT_EVERY_SECONDS = 1.0
HEARTBEAT = b": still here\n\n"
#: The same for our pages: a browser's EventSource tells its page nothing of comments.
BEAT = b"event: beat\ndata: {}\n\n"


class Live:
    """The tailer and its listeners. ``run`` is one task of the process; ``stop`` ends every stream at once."""

    def __init__(self, threads: Threads) -> None:
        self._threads = threads
        self._listeners: set[Listener] = set()
        self._checked_at = 0.0
        self._most = 0
        self._position: int | None = None
        self._someone = asyncio.Event()
        self._placed = asyncio.Event()
        self.stopping = asyncio.Event()

    @property
    def position(self) -> int:
        """Up to here everything has been handed to the listeners that wanted it by then. Known while somebody listens."""
        return self._position or 0

    def stop(self) -> None:
        self.stopping.set()
        self._someone.set()
        for listener in self._listeners:
            listener.end()

    async def run(self) -> None:
        while not self.stopping.is_set():
            if not self._listeners:
                self._position = None
                self._placed.clear()
                self._someone.clear()
                await self._idle()
                continue
            try:
                full = await self._tick()
                self._spare_the_crowd()
                await self._check()
            except Exception as error:  # the edge of all streams: the database may be away for a while
                log.error("tailer_failed", exc_info=error)
                full = False
                await asyncio.sleep(1.0)
            if not full:
                await asyncio.sleep(POLL_SECONDS)

    async def _idle(self) -> None:
        """Until somebody listens. What many streams took goes back to the system soon after the last of them."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._someone.wait(), GIVE_BACK_SECONDS)
            return
        self._collect()
        give_back()
        await self._someone.wait()

    def _collect(self) -> None:
        if not self._most:
            gc.collect()
            return
        gc.unfreeze()
        gc.collect()
        gc.freeze()  # what was loaded at the start is out of sight again
        self._most = 0

    def _spare_the_crowd(self) -> None:
        """Streams stay for long and are no garbage. To walk through a thousand of them over and over took the collector a quarter of a
        second each time, in which nobody was told anything. What is garbage just then is found at the next rest.
        """
        if len(self._listeners) >= self._most + CROWD:
            self._most = len(self._listeners)
            gc.freeze()

    async def _tick(self) -> bool:
        """Returns whether there may be more at once."""
        if self._position is None:
            self._position = await self._threads.read(history.latest_position)
            self._placed.set()
        events, facts, unread = await self._threads.read(_after, self._position)
        for event in events:
            if event.job_id in facts:
                self._hand_out(Heard(event, facts[event.job_id]))
        if events:
            self._position = events[-1].position
        self.tell_unread(unread)
        return len(events) >= BATCH

    def _hand_out(self, heard: Heard) -> None:
        for listener in tuple(self._listeners):
            listener.offer(heard)

    def tell_unread(self, unread: Mapping[str, int]) -> None:
        """Tell the listeners of these users how many notices they have not read."""
        for listener in tuple(self._listeners) if unread else ():
            if listener.actor.user_id in unread:
                listener.tell_unread(unread[listener.actor.user_id])

    async def _check(self) -> None:
        """End the streams whose credential ran out or was revoked, or gives other rights than when they were opened."""
        now = time.monotonic()
        if now - self._checked_at < CHECK_SECONDS or not self._listeners:
            return
        self._checked_at = now
        listeners = tuple(self._listeners)
        sessions = {listener.actor.session_id for listener in listeners} - {None}
        tokens = {listener.actor.token_id for listener in listeners} - {None}
        found = await self._threads.read(standing, sessions, tokens)
        for listener in listeners:
            if not _still_holds(listener.actor, found):
                listener.end()

    @contextlib.asynccontextmanager
    async def listening(self, actor: Actor, wants: Callable[[EventOut], bool]) -> AsyncIterator[Listener]:
        """A listener that gets all that is wanted, and ``actor`` may see, from a moment before this returns."""
        listener = Listener(actor, wants)
        self._listeners.add(listener)
        self._someone.set()
        try:
            placed = asyncio.ensure_future(self._placed.wait())
            stopping = asyncio.ensure_future(self.stopping.wait())
            await asyncio.wait({placed, stopping}, return_when=asyncio.FIRST_COMPLETED)
            placed.cancel()
            stopping.cancel()
            if self.stopping.is_set():
                listener.end()
            yield listener
        finally:
            self._listeners.discard(listener)

    async def subscribe(
        self,
        actor: Actor,
        job_ids: Iterable[str] | None = None,
        since: int | None = None,
        quiet_seconds: float | None = None,
    ) -> AsyncGenerator[list[EventOut]]:
        """Batches of events that ``actor`` may see, of ``job_ids`` or of all jobs, after position ``since`` (None: from now on).

        An empty batch every ``quiet_seconds`` says that the line stands. Ends when the server stops or the reader is too slow:
        subscribe again with the last position.
        """
        async with contextlib.aclosing(self.follow(actor, job_ids, since, quiet_seconds, bell=False)) as batches:
            async for batch in batches:
                if batch.heard or not batch:
                    yield [heard.event for heard in batch.heard]

    async def follow(
        self, actor: Actor, job_ids: Iterable[str] | None, since: int | None, quiet_seconds: float | None = None, *, bell: bool
    ) -> AsyncGenerator[Batch]:
        """As ``subscribe``; with ``bell`` also the number of the reader's unread notices: at the beginning and when it has changed."""
        wanted = frozenset(job_ids) if job_ids is not None else None
        async with self.listening(actor, lambda event: wanted is None or event.job_id in wanted) as listener:
            if bell:
                yield Batch(unread=await self.unread_of(actor))
            last = -1 if since is None else since
            if since is not None:
                async for events in self._replay(actor, wanted, since):
                    last = events[-1].position
                    yield Batch([Heard(event) for event in events])
            while not listener.ended:
                found = await listener.next(HEARTBEAT_SECONDS if quiet_seconds is None else quiet_seconds)
                fresh = Batch([heard for heard in found.heard if heard.event.position > last], found.unread if bell else None)
                if fresh.heard:
                    last = fresh.heard[-1].event.position
                if fresh or not found:
                    yield fresh

    async def unread_of(self, actor: Actor) -> int:
        return (await self._threads.read(notices.unread_of, [actor.user_id]))[actor.user_id]

    async def _replay(self, actor: Actor, wanted: frozenset[str] | None, since: int) -> AsyncIterator[list[EventOut]]:
        """One job by its own index; many by reading on in the history and keeping theirs."""
        only = next(iter(wanted)) if wanted is not None and len(wanted) == 1 else None
        while not self.stopping.is_set():
            batch = await self._threads.read(history.events_after, since, job_id=only, actor=actor, limit=BATCH)
            if kept := [event for event in batch if wanted is None or event.job_id in wanted]:
                yield kept
            if len(batch) < BATCH:
                return
            since = batch[-1].position


def _still_holds(actor: Actor, found: Mapping[str, Standing]) -> bool:
    """An actor without a credential is the machine's own."""
    credential = actor.session_id or actor.token_id
    return credential is None or found.get(credential) == Standing(actor.role, actor.workspace_ids)


def _after(session: Session, position: int) -> tuple[list[EventOut], dict[str, JobFacts], Mapping[str, int]]:
    """The next events, who may hear of their jobs, and the unread counts of those who got a notice by them."""
    events = history.events_after(session, position, limit=BATCH)
    wanted = list({event.job_id for event in events})
    rows = session.execute(select(Job.id, Job.owner_id, Job.workspace_id, Job.visibility).where(Job.id.in_(wanted))) if wanted else ()
    facts = {row.id: JobFacts(row.owner_id, row.workspace_id, row.visibility) for row in rows}
    noteworthy = any(event.kind in NOTEWORTHY for event in events)
    return events, facts, notices.told_between(session, position, events[-1].position) if noteworthy else {}


def last_word(session: Session, actor: Actor, job_id: str) -> EventOut | None:
    """The event that ended a job, when it has ended. Raises NotFound for a job that ``actor`` does not see."""
    if jobs.get_for(session, actor, job_id).state not in TERMINAL:
        return None
    query = select(EventRow).where(EventRow.job_id == job_id, EventRow.kind.in_(LAST_WORDS)).order_by(EventRow.seq.desc()).limit(1)
    row = session.scalars(query).first()
    return EventOut.model_validate(row, from_attributes=True) if row is not None else None


async def job_messages(
    live: Live, actor: Actor, job_id: str, since: int, ended: EventOut | None, until_seconds: float, *, bell: bool = False
) -> AsyncGenerator[bytes]:
    """The server-sent events of one job. Closes after the event that ended it, and says that one again to whoever comes later."""
    if ended is not None and ended.position <= since:
        yield Heard(ended).message
        return
    async with contextlib.aclosing(live.follow(actor, [job_id], since, bell=bell)) as batches:
        async for batch in batches:
            end = next((place for place, heard in enumerate(batch.heard) if heard.event.kind in LAST_WORDS), None)
            kept = batch.heard[: None if end is None else end + 1]
            yield b"".join([batch.bell, *(heard.message for heard in kept)]) or (BEAT if bell else HEARTBEAT)
            if end is not None or time.time() >= until_seconds:
                return


async def dashboard_messages(
    live: Live, actor: Actor, since: int | None, until_seconds: float, also: "Also | None" = None, *, bell: bool = False
) -> AsyncGenerator[bytes]:
    """Of every job that ``actor`` sees: each moment of its life, and at most one step or progress a second; and what ``also`` says."""
    yield HEARTBEAT
    throttle = Throttle()
    quiet_seconds = also.every_seconds if also else None
    async with contextlib.aclosing(live.follow(actor, None, since, quiet_seconds, bell=bell)) as batches:
        async for batch in batches:
            kept = [heard.message for heard in batch.heard if throttle.lets_pass(heard.event)]
            kept += also.messages() if also else []
            kept += [batch.bell] if batch.bell else []
            if kept or not batch:
                yield b"".join(kept) or (BEAT if bell else HEARTBEAT)
            if time.time() >= until_seconds:
                return


class Also(Protocol):
    """Something else for the one stream of a page: asked after every batch and at least every so often."""

    every_seconds: float

    def messages(self) -> list[bytes]:
        """Whole messages that are new since the last call; without an id, so that they move no position."""
        ...


class Throttle:
    """By the events' own time, so that a replay is thinned as the live stream was."""

    def __init__(self) -> None:
        self._last: dict[str, float] = {}

    def lets_pass(self, event: EventOut) -> bool:
        if event.kind in LAST_WORDS:
            self._last.pop(event.job_id, None)
        if event.kind not in FREQUENT:
            return True
        at = event.at.timestamp()
        if at - self._last.get(event.job_id, 0.0) < FREQUENT_EVERY_SECONDS:
            return False
        self._last[event.job_id] = at
        return True


class StreamAnswer(StreamingResponse):
    """Server-sent events to one client. One that takes nothing for SEND_SECONDS is cut off; what it held is given back at once."""

    def __init__(self, messages: AsyncGenerator[bytes]) -> None:
        headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
        super().__init__(messages, media_type="text/event-stream", headers=headers)
        self._messages = messages

    async def stream_response(self, send: Send) -> None:
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        async with contextlib.aclosing(self._messages) as messages:
            clock = asyncio.get_running_loop().time
            try:
                async with asyncio.timeout(None) as limit:  # one for all messages: it counts only while one is being sent
                    async for message in messages:
                        limit.reschedule(clock() + SEND_SECONDS)
                        await send({"type": "http.response.body", "body": message, "more_body": True})
                        limit.reschedule(None)
            except TimeoutError:
                log.info("slow_stream_cut")
                return
        await send({"type": "http.response.body", "body": b"", "more_body": False})
