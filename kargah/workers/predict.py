"""Answer questions with one model: ``python -m kargah.workers.predict ATTEMPT_DIR``.

On the plan's Unix socket, one JSON line a request, ``{"id", "inputs"}``, and one a reply, ``{"id", "outputs"}`` or
``{"id", "error": {"code", "params"}}``; replies of one connection may come in another order than its requests. Ends at
SIGTERM or after ten minutes without a question.
"""

import asyncio
import contextlib
import json
import os
import sys
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kargah.contract.control import Want
from kargah.contract.plans import Plan, PredictPlan
from kargah.kit import collecting
from kargah.kit.errors import BadInput, KargahError
from kargah.recipes.predictor import Predictor, load_predictor
from kargah.workers import sparing
from kargah.workers.edge import Attempt, run_attempt
from kargah.workers.threads import limit_threads
from kargah.workers.wants import StopWanted

IDLE_SECONDS = 600.0
_WINDOW_SECONDS = 0.003
_LARGEST_BATCH = 64
_LARGEST_LINE_BYTES = 32 << 20
_LOOK_SECONDS = 0.1

Reply = dict[str, Any]


@dataclass
class Question:
    inputs: list[Any]
    reply: asyncio.Future[Reply]


@dataclass
class Desk:
    """Takes questions from all connections and answers them in batches, one batch at a time."""

    predictor: Predictor
    questions: asyncio.Queue[Question] = field(default_factory=asyncio.Queue)
    asked_at: float = field(default_factory=time.monotonic)

    async def connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        pending: set[asyncio.Task[None]] = set()
        try:
            async for line in _lines(reader):
                self.asked_at = time.monotonic()
                task = asyncio.create_task(self._answer(line, writer))
                pending.add(task)
                task.add_done_callback(pending.discard)
            await asyncio.gather(*pending)
        finally:
            writer.close()

    async def _answer(self, line: bytes, writer: asyncio.StreamWriter) -> None:
        identifier, inputs = _request(line)
        if inputs is None:
            answer = _error(BadInput(field="inputs", reason="not_a_list"))
        else:
            question = Question(inputs, asyncio.get_running_loop().create_future())
            self.questions.put_nowait(question)
            answer = await question.reply
        with contextlib.suppress(ConnectionError):
            writer.write(json.dumps({"id": identifier, **answer}, ensure_ascii=False).encode() + b"\n")
            await writer.drain()

    async def work(self) -> None:
        while True:
            batch = await self._batch()
            for question, reply in zip(batch, await asyncio.to_thread(self._replies, batch), strict=True):
                question.reply.set_result(reply)

    async def _batch(self) -> list[Question]:
        """The first question waits a moment for company."""
        batch = [await self.questions.get()]
        await asyncio.sleep(_WINDOW_SECONDS)
        while not self.questions.empty() and sum(len(question.inputs) for question in batch) < _LARGEST_BATCH:
            batch.append(self.questions.get_nowait())
        return batch

    def _replies(self, batch: list[Question]) -> list[Reply]:
        """All at once; if one is wrong, each for itself, so that a neighbour's mistake is nobody else's."""
        try:
            outputs = self.predictor.predict([value for question in batch for value in question.inputs])
        except KargahError as error:
            return [_error(error)] if len(batch) == 1 else [self._replies([question])[0] for question in batch]
        except Exception as error:  # noqa: BLE001 - the edge of a request: the predictor must live on
            return [{"error": {"code": "BUG", "params": {"error": type(error).__name__}}} for _ in batch]
        ends = iter(outputs)
        return [{"outputs": [next(ends) for _ in question.inputs]} for question in batch]


def serve(plan: Plan, attempt: Attempt) -> dict[str, Any]:
    assert isinstance(plan, PredictPlan)
    limit_threads(plan.threads)
    with collecting.put_off():
        predictor = load_predictor(attempt.directory.inputs / plan.folder, plan.threads)
    socket = Path(plan.socket)
    socket.unlink(missing_ok=True)
    try:
        asyncio.run(_serve(predictor, socket, attempt))
    finally:
        socket.unlink(missing_ok=True)
    return {}


async def _serve(predictor: Predictor, socket: Path, attempt: Attempt) -> None:
    """The socket is this user's alone."""
    desk = Desk(predictor)
    with _private():
        server = await asyncio.start_unix_server(desk.connected, str(socket), limit=_LARGEST_LINE_BYTES)
    worker = asyncio.create_task(desk.work())
    attempt.tell("Running")
    try:
        while time.monotonic() - desk.asked_at < IDLE_SECONDS:
            if attempt.wants.want() in (Want.STOP, Want.TERMINATE):  # nothing here is to be kept or gone on with
                raise StopWanted
            await asyncio.sleep(_LOOK_SECONDS)
    finally:
        server.close()
        worker.cancel()


@contextlib.contextmanager
def _private() -> Any:
    before = os.umask(0o177)
    try:
        yield
    finally:
        os.umask(before)


async def _lines(reader: asyncio.StreamReader) -> AsyncIterator[bytes]:
    """Whole lines; a line over the limit ends the connection."""
    with contextlib.suppress(ValueError, ConnectionError):
        while line := await reader.readline():
            yield line


def _request(line: bytes) -> tuple[Any, list[Any] | None]:
    """(id, inputs); inputs is None when the line is no request."""
    try:
        told = json.loads(line)
    except ValueError:
        return None, None
    if not isinstance(told, dict):
        return None, None
    inputs = told.get("inputs")
    return told.get("id"), inputs if isinstance(inputs, list) else None


def _error(error: KargahError) -> Reply:
    return {"error": error.as_dict()}


def main() -> int:
    if len(sys.argv) != 2:
        sys.stderr.write("usage: python -m kargah.workers.predict ATTEMPT_DIR\n")
        return 2
    sparing.begin()
    return run_attempt(Path(sys.argv[1]), serve)


if __name__ == "__main__":
    sys.exit(main())
