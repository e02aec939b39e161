"""What a request brought and was refused in the end does not stay: no door has to think of it."""

from collections.abc import Collection
from http import HTTPStatus
from pathlib import Path

import structlog
from sqlalchemy.exc import SQLAlchemyError
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from kargah.assets import blobs
from kargah.web.deps import Threads

log = structlog.get_logger(__name__)


class Kept:
    """Before an answer begins, the files that came with its request are settled: refused, they are gone, unless something uses them."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def sending(message: Message) -> None:
            if kept and message["type"] == "http.response.start":
                state = scope["app"].state
                await _settle(state.threads, state.settings.home, kept, refused=message["status"] >= HTTPStatus.BAD_REQUEST)
            await send(message)

        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        with blobs.noting() as kept:
            await self.app(scope, receive, sending)


async def let_go(threads: Threads, home: Path, hashes: Collection[str]) -> None:
    """What came and is not wanted: off the disk, unless something uses it."""
    used = await threads.write(blobs.in_use, hashes)
    await threads.compute(blobs.discard, home, set(hashes) - used)


async def _settle(threads: Threads, home: Path, hashes: list[str], *, refused: bool) -> None:
    try:
        if refused:
            await let_go(threads, home, hashes)
        await threads.compute(blobs.settle, home, hashes)
    except (SQLAlchemyError, OSError) as error:  # the answer is given all the same; what stays has its mark, and is swept up
        log.warning("files_not_settled", reason=str(error))
    hashes.clear()
