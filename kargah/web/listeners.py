"""Those who listen to what happens to jobs: what each is told, and the bounded queue in which it waits."""

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property

from kargah.jobs.schemas import EventOut
from kargah.store.access import Actor

#: A listener this far behind is cut off; it comes back and replays.
MOST_WAITING = 2000


@dataclass(frozen=True)
class JobFacts:
    """Who may hear of a job."""

    owner_id: str
    workspace_id: str
    visibility: str

    def heard_by(self, actor: Actor) -> bool:
        """The same rule as access.visible_to, for events that are in memory already."""
        if self.workspace_id not in actor.workspace_ids:
            return False
        return actor.is_admin or self.visibility == "workspace" or self.owner_id == actor.user_id


@dataclass(frozen=True)
class Heard:
    """An event, with who may hear of it; what streams write of it is made once for all of them. ``facts`` is None in a replay."""

    event: EventOut
    facts: JobFacts | None = None

    @cached_property
    def text(self) -> str:
        return self.event.model_dump_json()

    @cached_property
    def message(self) -> bytes:
        return b"id: %d\ndata: %s\n\n" % (self.event.position, self.text.encode())


@dataclass(frozen=True)
class Batch:
    """What a stream got together. ``unread``: the count of its reader's unread notices, when that has changed."""

    heard: list[Heard] = field(default_factory=list)
    unread: int | None = None

    @property
    def bell(self) -> bytes:
        """An event without an id: it moves no position."""
        return b"" if self.unread is None else b'event: unread\ndata: {"unread": %d}\n\n' % self.unread

    def __bool__(self) -> bool:
        return bool(self.heard) or self.unread is not None


class Listener:
    """The bounded queue of one stream, for ``actor``."""

    def __init__(self, actor: Actor, wants: Callable[[EventOut], bool]) -> None:
        self.actor = actor
        self._wants = wants
        self._waiting: deque[Heard] = deque()
        self._wake = asyncio.Event()
        self._unread: int | None = None
        self.ended = False
        self.overflowed = False

    def offer(self, heard: Heard) -> None:
        if self.ended or not self._wants(heard.event) or heard.facts is None or not heard.facts.heard_by(self.actor):
            return
        if len(self._waiting) >= MOST_WAITING:
            self.overflowed = True
            self.end()
            return
        self._waiting.append(heard)
        self._wake.set()

    def tell_unread(self, unread: int) -> None:
        """Only the latest count matters."""
        self._unread = unread
        self._wake.set()

    def take(self) -> list[Heard]:
        """What has come so far, without waiting."""
        waiting = list(self._waiting)
        self._waiting.clear()
        return waiting

    def wake(self) -> None:
        """Have ``next`` return, with whatever there is."""
        self._wake.set()

    def end(self) -> None:
        self.ended = True
        self._wake.set()

    async def next(self, wait_seconds: float) -> Batch:
        """What has come, or an empty batch when nothing did in time."""
        if not self._wake.is_set():
            alarm = asyncio.get_running_loop().call_later(wait_seconds, self._wake.set)  # a good deal cheaper than asyncio.timeout
            try:
                await self._wake.wait()
            finally:
                alarm.cancel()
        self._wake.clear()
        batch = Batch(self.take(), self._unread)
        self._unread = None
        return batch
