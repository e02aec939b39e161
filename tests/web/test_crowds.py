"""Many streams at once: out of the garbage collector's sight while they last, and gone without a trace after."""

import asyncio
import contextlib
import gc
import weakref
from collections.abc import Callable, Iterator

import pytest

from kargah.store.access import Actor, Role
from kargah.store.database import Database
from kargah.web import live as streams
from kargah.web.deps import Threads

ACTOR = Actor("usr_1", Role.ADMIN, "ws_1", frozenset({"ws_1"}))


class Ring:
    """Garbage that only the collector finds."""

    def __init__(self) -> None:
        self.me = self


@pytest.fixture
def collected_by_hand() -> Iterator[None]:
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


async def until(is_so: Callable[[], bool], limit_seconds: float = 30) -> None:
    async with asyncio.timeout(limit_seconds):
        while not is_so():  # noqa: ASYNC110 - the collector sets no event
            await asyncio.sleep(0.01)


async def come_and_go(database: Database, count: int) -> tuple[bool, bool]:
    """Whether a ring made beside them is out of the collector's sight while they listen, and whether it is gone once they have left."""
    live = streams.Live(Threads(database))
    tailing = asyncio.create_task(live.run())
    ring, before = weakref.ref(Ring()), gc.get_freeze_count()
    async with contextlib.AsyncExitStack() as all_of_them:
        for _ in range(count):
            await all_of_them.enter_async_context(live.listening(ACTOR, lambda _: True))
        with contextlib.suppress(TimeoutError):
            await until(lambda: gc.get_freeze_count() > before, 30 if count >= streams.CROWD else 1)
        gc.collect()
        out_of_sight = ring() is not None
    with contextlib.suppress(TimeoutError):
        await until(lambda: ring() is None)
    live.stop()
    await tailing
    return out_of_sight, ring() is None


@pytest.mark.usefixtures("collected_by_hand")
@pytest.mark.parametrize(("count", "out_of_sight"), [(streams.CROWD - 1, False), (streams.CROWD, True)])
def test_a_crowd_is_out_of_sight_while_it_listens_and_leaves_nothing(
    database: Database, count: int, out_of_sight: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streams, "GIVE_BACK_SECONDS", 0.05)
    assert asyncio.run(come_and_go(database, count)) == (out_of_sight, True)
