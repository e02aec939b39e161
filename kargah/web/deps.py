"""What a door is handed: the one way from a coroutine to a use-case.

A use-case is a plain function ``(session, actor, …)``; it runs in one transaction on one of a few threads that do
nothing else (docs/decisions/0002-doors.md), so the event loop never waits for the database. What it returns is a
schema or plain data, never a row that would still want its session.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Annotated, Concatenate, ParamSpec, TypeVar

from fastapi import Depends
from sqlalchemy.exc import DataError
from sqlalchemy.orm import Session
from starlette.requests import HTTPConnection

from kargah.kit.errors import BadInput, LoginRequired
from kargah.kit.settings import Settings
from kargah.store.access import Actor
from kargah.store.database import Database

P = ParamSpec("P")
T = TypeVar("T")

READING_THREADS = 2
#: SQLite has one writer: a second would only wait for the first, and hold a thread for it.
WRITING_THREADS = {"sqlite": 1, "postgresql": 3}
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})


class BadText(BadInput):
    """Characters that no database keeps: NUL, half of a surrogate pair, a number beyond 64 bits."""

    code = "BAD_TEXT"


class Threads:
    """The threads that may wait: for reading, for writing (so that no read waits behind a lock), and few for what costs time (passwords).

    What waits long, for a disk or another machine, goes by ``asyncio.to_thread``: nobody's login stands behind it.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._reading = ThreadPoolExecutor(READING_THREADS, "reading")
        self._writing = ThreadPoolExecutor(WRITING_THREADS[database.engine.dialect.name], "writing")
        self._computing = ThreadPoolExecutor(2, "computing")

    async def read(self, use_case: Callable[Concatenate[Session, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._reading, lambda: self._in_read(lambda session: use_case(session, *args, **kwargs)))

    async def write(self, use_case: Callable[Concatenate[Session, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._writing, lambda: self._in_write(lambda session: use_case(session, *args, **kwargs)))

    async def compute(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._computing, lambda: function(*args, **kwargs))

    def _in_read(self, use_case: Callable[[Session], T]) -> T:
        try:
            with self._database.read() as session:
                return use_case(session)
        except (DataError, UnicodeEncodeError, OverflowError) as error:
            raise BadText(field="") from error

    def _in_write(self, use_case: Callable[[Session], T]) -> T:
        try:
            with self._database.write() as session:
                return use_case(session)
        except (DataError, UnicodeEncodeError, OverflowError) as error:
            raise BadText(field="") from error

    def close(self) -> None:
        for pool in (self._reading, self._writing, self._computing):
            pool.shutdown(wait=True)


class Asking:
    """``await ask(jobs.show, job_id)`` runs ``jobs.show(session, actor, job_id)``: a reading transaction for GET, else a writing one."""

    def __init__(self, connection: HTTPConnection) -> None:
        self.connection = connection
        self.settings: Settings = connection.app.state.settings
        self.threads: Threads = connection.app.state.threads

    @property
    def actor(self) -> Actor:
        actor: Actor | None = self.connection.state.actor
        if actor is None:
            raise LoginRequired
        return actor

    @property
    def language(self) -> str:
        language: str = self.connection.state.language
        return language

    async def __call__(self, use_case: Callable[Concatenate[Session, Actor, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        if self.connection.scope.get("method", "GET") in SAFE_METHODS:
            return await self.read(use_case, *args, **kwargs)
        return await self.write(use_case, *args, **kwargs)

    async def read(self, use_case: Callable[Concatenate[Session, Actor, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        return await self.threads.read(use_case, self.actor, *args, **kwargs)

    async def write(self, use_case: Callable[Concatenate[Session, Actor, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        return await self.threads.write(use_case, self.actor, *args, **kwargs)

    async def compute(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        return await self.threads.compute(function, *args, **kwargs)


async def asking(connection: HTTPConnection) -> Asking:  # a plain function would cost every request a thread of its own
    return Asking(connection)


Ask = Annotated[Asking, Depends(asking)]
