"""The documented Socket.IO door: ``subscribe_job`` and ``unsubscribe_job`` → ``job_update`` with the status object.

A client shows its token in ``auth`` when it connects: ``io(url, {auth: {token}})``. The events come from ``web.live``;
each socket may watch many jobs, and leaves nothing behind when it goes.
"""

import asyncio
import contextlib
import time
from dataclasses import dataclass, field
from typing import Any

import socketio
import structlog
from fastapi import FastAPI
from socketio.exceptions import ConnectionRefusedError as Refusal
from sqlalchemy.orm import Session
from starlette.types import ASGIApp

from kargah.accounts.service import identify
from kargah.jobs import history
from kargah.kit import i18n
from kargah.kit.errors import BadInput, KargahError, LoginRequired, TooMany
from kargah.kit.settings import Settings
from kargah.store.access import Actor
from kargah.training import pictures
from kargah.training.pictures import Picture
from kargah.web import live
from kargah.web.deps import Threads
from kargah.web.envelopes import Body, StatusFollower
from kargah.web.errors import text_of

log = structlog.get_logger(__name__)

MOST_JOBS = 100
MESSAGE_LIMIT_BYTES = 64 * 1024


def answering(app: FastAPI) -> ASGIApp:
    """What answers at /socket.io, as the protocol's clients expect."""
    found: ASGIApp = socketio.ASGIApp(Door(app).server, socketio_path=None)
    return found


@dataclass
class Socket:
    """One connected client: who it is, until when that holds, and the jobs that it watches."""

    actor: Actor
    language: str
    until_seconds: float
    watching: dict[str, "asyncio.Task[None]"] = field(default_factory=dict)


class Door:
    """Handlers of the protocol's events, and the tasks that they start."""

    def __init__(self, app: FastAPI) -> None:
        self._app = app
        settings: Settings = app.state.settings
        self.server = socketio.AsyncServer(
            async_mode="asgi",
            cors_allowed_origins=settings.cors_origins or None,  # None: pages of our own origin only
            max_http_buffer_size=MESSAGE_LIMIT_BYTES,
        )
        self._sockets: dict[str, Socket] = {}
        self._ending: asyncio.Task[None] | None = None
        self.server.on("connect", self.connect)
        self.server.on("disconnect", self.disconnect)
        self.server.on("subscribe_job", self.subscribe_job)
        self.server.on("unsubscribe_job", self.unsubscribe_job)

    @property
    def _live(self) -> live.Live:
        hub: live.Live = self._app.state.live
        return hub

    @property
    def _threads(self) -> Threads:
        threads: Threads = self._app.state.threads
        return threads

    async def connect(self, sid: str, environ: dict[str, Any], auth: Any = None) -> None:
        settings: Settings = self._app.state.settings
        language = i18n.preferred(environ.get("HTTP_ACCEPT_LANGUAGE"), settings.language)
        try:
            identity = await self._threads.read(identify, settings.secret_key, _credential(environ, auth))
        except KargahError as error:
            raise Refusal(_refused(error, language)) from error
        longest = time.time() + live.LONGEST_SECONDS
        until = min(longest, identity.expires_at.timestamp()) if identity.expires_at else longest
        self._sockets[sid] = Socket(identity.actor, identity.actor.language or language, until)
        if self._ending is None:
            self._ending = asyncio.create_task(self._end_with_the_server())

    async def disconnect(self, sid: str, reason: str = "") -> None:
        socket = self._sockets.pop(sid, None)
        for watching in socket.watching.values() if socket else ():
            watching.cancel()

    async def subscribe_job(self, sid: str, data: Any = None) -> Body:
        """Acknowledged with {"ok": true}; the present status follows at once, later ones as they happen."""
        socket = self._sockets[sid]
        try:
            job_id = _job_id(data)
            if job_id not in socket.watching and len(socket.watching) >= MOST_JOBS:
                raise TooMany(retry_after_seconds=60)
            picture, position = await self._threads.read(_picture_now, socket.actor, job_id)
        except KargahError as error:
            return _refused(error, socket.language)
        self._forget(socket, job_id)
        socket.watching[job_id] = asyncio.create_task(self._watch(sid, socket, picture, position))
        return {"ok": True, "job_id": job_id}

    async def unsubscribe_job(self, sid: str, data: Any = None) -> Body:
        socket = self._sockets[sid]
        try:
            job_id = _job_id(data)
        except KargahError as error:
            return _refused(error, socket.language)
        self._forget(socket, job_id)
        return {"ok": True, "job_id": job_id}

    def _forget(self, socket: Socket, job_id: str) -> None:
        watching = socket.watching.pop(job_id, None)
        if watching is not None:
            watching.cancel()

    async def _watch(self, sid: str, socket: Socket, picture: Picture, since: int) -> None:
        """Until the job has ended. What comes together is told once, as the latest status."""
        follower = StatusFollower(picture, socket.language)
        await self.server.emit("job_update", follower.status, to=sid)
        while not picture.job.is_over and not self._live.stopping.is_set():
            async with contextlib.aclosing(self._live.subscribe(socket.actor, [picture.job.id], since)) as batches:
                async for batch in batches:
                    for event in batch:
                        follower.told_by(event)
                        since = event.position
                    if batch:
                        await self.server.emit("job_update", follower.status, to=sid)
                    if any(event.kind in live.LAST_WORDS for event in batch):
                        socket.watching.pop(picture.job.id, None)
                        return
                    if time.time() >= socket.until_seconds:  # its client connects again and shows a token that still holds
                        await self.server.disconnect(sid)
                        return

    async def _end_with_the_server(self) -> None:
        """A client that polls would otherwise hold its request, and with it the process, for half a minute."""
        await self._live.stopping.wait()
        if self.server.eio.sockets:
            await self.server.eio.disconnect()  # of all clients, in one word: a second poll would find nobody to answer it
        await self.server.shutdown()


def _picture_now(session: Session, actor: Actor, job_id: str) -> tuple[Picture, int]:
    """In one transaction, so that what comes after the position is all that the picture lacks."""
    return pictures.of_job(session, actor, job_id), history.latest_position(session)


def _credential(environ: dict[str, Any], auth: Any) -> str:
    shown = auth.get("token") if isinstance(auth, dict) else auth
    if not isinstance(shown, str) or not shown:
        scheme, _, shown = str(environ.get("HTTP_AUTHORIZATION", "")).partition(" ")
        shown = shown if scheme.lower() == "bearer" else ""
    if not shown:
        raise LoginRequired
    return shown.removeprefix("Bearer ").strip()


def _job_id(data: Any) -> str:
    """A bare id, or an object with it."""
    named = data.get("job_id") or data.get("jobId") if isinstance(data, dict) else data
    if not isinstance(named, str) or not 0 < len(named) <= 64 or not named.isascii():
        raise BadInput(field="job_id", reason="missing")
    return named


def _refused(error: KargahError, language: str) -> Body:
    return {"ok": False, "error": error.code, "message": text_of(language, error.code, error.params)}
