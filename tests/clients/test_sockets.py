"""The documented Socket.IO door with the protocol's real client, over both of its transports."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
import socketio
from socketio.exceptions import ConnectionError as NotConnected
from support.server import Server, wait_for

PATIENCE_SECONDS = 60.0
Updates = asyncio.Queue[dict[str, Any]]
Scene = Callable[[socketio.AsyncClient, Updates], Awaitable[None]]


@asynccontextmanager
async def connected(server: Server, transport: str, auth: Any) -> AsyncIterator[tuple[socketio.AsyncClient, Updates]]:
    client, updates = socketio.AsyncClient(reconnection=False), Updates()
    client.on("job_update", updates.put)
    await client.connect(server.url, auth=auth, transports=[transport], wait_timeout=20)
    try:
        yield client, updates
    finally:
        # Without waiting for the long poll that is open: the protocol's own library answers it only after its next ping.
        await client.eio.disconnect(abort=True)


def play(server: Server, scene: Scene, transport: str = "websocket", auth: Any = None) -> None:
    async def playing() -> None:
        async with connected(server, transport, auth or {"token": server.token}) as (client, updates), asyncio.timeout(PATIENCE_SECONDS):
            await scene(client, updates)

    asyncio.run(playing())


@pytest.mark.parametrize("transport", ["websocket", "polling"])
def test_a_subscriber_hears_a_job_from_queue_to_end(server: Server, http: httpx.Client, transport: str) -> None:
    job_id = http.post("/api/train", json={"epochs": 2, "batch_size": 16, "lr": 0.01}).json()["job_id"]
    told: list[dict[str, Any]] = []

    async def scene(client: socketio.AsyncClient, updates: Updates) -> None:
        assert await client.call("subscribe_job", job_id) == {"ok": True, "job_id": job_id}
        while not told or told[-1]["status"] != "COMPLETED":
            told.append(await updates.get())

    play(server, scene, transport)
    assert {status["job_id"] for status in told} == {job_id}
    assert [status["progress"] for status in told] == sorted(status["progress"] for status in told)
    assert told[-1]["progress"] == 100.0


def test_one_that_unsubscribed_hears_no_more(server: Server, http: httpx.Client) -> None:
    job_id = http.post("/api/train", json={"epochs": 1000, "batch_size": 1, "lr": 0.001}).json()["job_id"]
    wait_for(http, job_id, {"RUNNING"}, at_step=1)

    async def scene(client: socketio.AsyncClient, updates: Updates) -> None:
        await client.call("subscribe_job", {"job_id": job_id})
        assert (await updates.get())["status"] == "RUNNING"
        await client.call("unsubscribe_job", {"job_id": job_id})
        while not updates.empty():
            updates.get_nowait()
        await asyncio.to_thread(http.post, "/api/train/stop", json={"job_id": job_id})
        await asyncio.to_thread(wait_for, http, job_id, {"STOPPED"})
        await client.call("unsubscribe_job", job_id)  # its answer comes after whatever might have been sent before it
        assert updates.empty()

    play(server, scene)


def test_who_comes_late_is_told_how_it_ended(server: Server, finished_job: dict[str, Any]) -> None:
    async def scene(client: socketio.AsyncClient, updates: Updates) -> None:
        await client.call("subscribe_job", finished_job["job_id"])
        told = await updates.get()
        assert {**told, "message": ""} == {**finished_job, "message": ""}

    play(server, scene, auth=server.token)


@pytest.mark.parametrize("auth", [{}, {"token": "bad"}, {"token": 7}, "bad"])
def test_nobody_connects_without_a_token_that_holds(server: Server, auth: Any) -> None:
    async def trying() -> None:
        async with connected(server, "websocket", auth):
            pass

    with pytest.raises(NotConnected):
        asyncio.run(trying())


def test_a_job_that_is_not_there_is_refused_in_words(server: Server) -> None:
    async def scene(client: socketio.AsyncClient, updates: Updates) -> None:
        for named in ("job_none", None, 7, {"job": 1}, "x" * 100, ["a"]):
            answer = await client.call("subscribe_job", named)
            assert answer["ok"] is False
            assert answer["error"] in ("NOT_FOUND", "BAD_INPUT")
            assert answer["message"]
        assert updates.empty()

    play(server, scene)
