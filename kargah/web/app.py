"""The web application, put together. Nothing else in the process knows all of its parts."""

import asyncio
import gc
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from importlib import import_module

from fastapi import APIRouter, FastAPI
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp, Receive, Scope, Send

import kargah
from kargah.assets import uploads
from kargah.bundles import signing
from kargah.kit.clock import Clock, SystemClock
from kargah.kit.settings import Settings
from kargah.monitoring.sampler import Sampler
from kargah.store import schema
from kargah.store.database import Database
from kargah.web import errors, kept
from kargah.web.bodies import BodyGuard
from kargah.web.deps import Threads
from kargah.web.live import Live
from kargah.web.pages import doors as pages
from kargah.web.security import Frame, Gate


def create_app(settings: Settings, clock: Clock | None = None) -> FastAPI:
    """The application over ``settings.home``; its database is opened, and brought up to date, when it starts."""
    clock = clock or SystemClock()
    app = FastAPI(
        title="Kargah",
        version=kargah.__version__,
        openapi_url="/api/v1/openapi.json",
        docs_url=None,
        redoc_url=None,
        lifespan=lifespan,
        exception_handlers=errors.HANDLERS,
        middleware=list(_middleware(settings, clock)),
        telemetry={"tracing": False, "metrics": False, "logs": False, "auto_configure": False},
    )
    app.state.settings = settings
    app.state.stop = lambda: app.state.live.stop()
    app.state.clock = clock
    app.state.started_at = clock.monotonic_seconds()
    for router in _routers():
        app.include_router(router)
    pages.add_to(app)
    app.mount("/socket.io", SocketsWhenAsked(app), name="socket.io")
    return app


class SocketsWhenAsked:
    """The Socket.IO door, imported with its first client: most servers have none, and every start would wait for it."""

    def __init__(self, app: FastAPI) -> None:
        self._app = app
        self._door: ASGIApp | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._door is None:
            door = await asyncio.to_thread(import_module, "kargah.web.sockets")
            self._door = self._door or door.answering(self._app)
        await self._door(scope, receive, send)


def _routers() -> Iterator[APIRouter]:
    """All doors. One that is to be there stands here."""
    from kargah.web import documented
    from kargah.web.api import (
        assets,
        auth,
        bundles,
        catalogue,
        checkpoints,
        datasets,
        docs,
        evaluations,
        hardware,
        health,
        jobs,
        live_socket,
        models,
        monitoring,
        notices,
        runs,
        scripts,
        search,
        training,
        uploads,
        users,
    )
    from kargah.web.hub import door as hub

    yield from (documented.router, health.router, auth.router, users.router)
    yield checkpoints.router  # before the jobs' own, whose {action} would take its words
    yield from (jobs.router, runs.router, datasets.router, models.router, training.router, monitoring.router, docs.router)
    yield scripts.router
    yield from (notices.router, live_socket.router, hardware.router, search.router, uploads.router)
    yield from (evaluations.router, catalogue.router, assets.router, bundles.router, hub.router)


def _middleware(settings: Settings, clock: Clock) -> Iterator[Middleware]:
    """The first is the outermost."""
    yield Middleware(Frame, settings=settings)
    if settings.cors_origins:
        yield Middleware(
            CORSMiddleware,
            allow_origins=settings.cors_origins,
            allow_methods=["*"],
            allow_headers=["Authorization", "Content-Type", "Idempotency-Key", "Last-Event-ID", "Upload-Offset", "X-Request-Id"],
            expose_headers=["X-Request-Id", "Upload-Offset", "Upload-Length", "RateLimit", "RateLimit-Policy", "Retry-After"],
        )
    yield Middleware(kept.Kept)
    yield Middleware(errors.ErrorEdge)
    yield Middleware(BodyGuard, settings=settings)
    yield Middleware(Gate, settings=settings, clock=clock)


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    settings: Settings = app.state.settings
    settings.home.mkdir(parents=True, exist_ok=True)
    database = Database(settings.url_of_database)
    schema.bring_up_to_date(database, settings.run_folder)
    app.state.database = database
    app.state.threads = Threads(database)
    await app.state.threads.write(uploads.sweep, settings)
    await asyncio.to_thread(signing.make_key, settings.home)
    app.state.live = Live(app.state.threads)
    app.state.sampler = Sampler(settings.home)
    tailing = asyncio.create_task(app.state.live.run())
    sampling = asyncio.create_task(app.state.sampler.run(app.state.live.stopping))
    gc.collect()
    gc.freeze()  # what was loaded stays: collecting it over and over would hold up every stream
    try:
        yield
    finally:
        app.state.live.stop()
        await asyncio.gather(tailing, sampling)
        app.state.threads.close()
        database.close()
