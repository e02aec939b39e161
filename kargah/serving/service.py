"""Asking a model: find or want its predictor, and pass the question on.

The predictor is a process of its own that the agent starts and supervises; this side only writes a row that says "wanted"
and reads the one that says where it listens.
"""

import asyncio
import json
import platform
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any, TypeVar

from sqlalchemy.orm import Session

from kargah.kit.clock import utc_now
from kargah.kit.errors import BadInput, KargahError, NotAvailable
from kargah.kit.ids import new_id
from kargah.models import service as models
from kargah.models.schemas import ModelVersionOut
from kargah.serving.schemas import PlacementState, Prediction
from kargah.serving.tables import Placement
from kargah.store import wake
from kargah.store.access import Actor

START_LIMIT_SECONDS = 120.0
ANSWER_LIMIT_SECONDS = 60.0
POLL_SECONDS = 0.1
TOUCH_EVERY = timedelta(seconds=20)
LINE_LIMIT_BYTES = 64 << 20

Answer = TypeVar("Answer")
Ask = Callable[..., Awaitable[Any]]


class ModelNotServable(BadInput):
    code = "MODEL_NOT_SERVABLE"


class PredictorFailed(NotAvailable):
    code = "PREDICTOR_FAILED"


class PredictorSlow(NotAvailable):
    code = "PREDICTOR_SLOW"


class AnswerRefused(KargahError):
    """The predictor's own coded refusal of these inputs, passed on as it is."""

    status = 422

    def __init__(self, code: str, params: dict[str, Any]) -> None:
        self.code = code  # type: ignore[misc]
        super().__init__(**params)


async def predict(ask: Ask, version_id: str, inputs: list[Any]) -> Prediction:
    """Outputs in the order of ``inputs``. ``ask`` runs a use-case in a transaction, as doors do."""
    request_id = new_id("req")
    version: ModelVersionOut = await ask(check_servable, version_id)
    for _ in range(2):  # a predictor may have just gone idle: want it again, once
        socket = await _socket_of(ask, version.id)
        try:
            outputs = await _exchange(socket, {"id": request_id, "inputs": inputs})
        except (FileNotFoundError, ConnectionError, asyncio.IncompleteReadError):
            await ask(forget, version.id, socket)
            continue
        return Prediction(outputs=outputs, model_version=version.id, request_id=request_id)
    raise PredictorFailed(id=version.id)


async def _socket_of(ask: Ask, version_id: str) -> str:
    waited = 0.0
    while waited < START_LIMIT_SECONDS:
        placement: dict[str, Any] = await ask(want, version_id)
        if placement["state"] == PlacementState.READY:
            return str(placement["socket"])
        if placement["state"] == PlacementState.FAILED:
            error = placement["error"] or {}
            await ask(forget, version_id, None)
            raise PredictorFailed(id=version_id, cause=error.get("code", ""))
        await asyncio.sleep(POLL_SECONDS)
        waited += POLL_SECONDS
    raise PredictorSlow(id=version_id, waited_seconds=round(waited))


async def _exchange(socket: str, question: dict[str, Any]) -> list[dict[str, Any]]:
    reader, writer = await asyncio.open_unix_connection(socket, limit=LINE_LIMIT_BYTES)
    try:
        writer.write(json.dumps(question, ensure_ascii=False).encode("utf-8", "replace") + b"\n")
        await writer.drain()
        async with asyncio.timeout(ANSWER_LIMIT_SECONDS):
            answer = json.loads(await reader.readuntil(b"\n"))
    except TimeoutError:
        raise PredictorSlow(id=question["id"], waited_seconds=ANSWER_LIMIT_SECONDS) from None
    finally:
        writer.close()
    if "error" in answer:
        raise AnswerRefused(answer["error"]["code"], answer["error"].get("params", {}))
    outputs: list[dict[str, Any]] = answer["outputs"]
    return outputs


def check_servable(session: Session, actor: Actor, version_id: str) -> ModelVersionOut:
    version = models.get_version_for(session, actor, version_id)
    if version.family == "base":
        raise ModelNotServable(field="model", id=version_id)
    return version


def want(session: Session, _: Actor, version_id: str) -> dict[str, Any]:
    """Say that a predictor is needed here, and read how it stands. Writes only when there is something new to say."""
    placement = session.get(Placement, (version_id, platform.node()))
    if placement is None:
        placement = Placement(model_version_id=version_id, host=platform.node(), state=PlacementState.WANTED, wanted_at=utc_now())
        session.add(placement)
        wake.after_commit(session)
    elif utc_now() - placement.wanted_at > TOUCH_EVERY:
        placement.wanted_at = utc_now()
    return {"state": placement.state, "socket": placement.socket, "error": placement.error}


def forget(session: Session, _: Actor, version_id: str, socket: str | None) -> None:
    """A placement that does not answer, or failed: the next ask starts afresh. A newer one (another socket) stays."""
    placement = session.get(Placement, (version_id, platform.node()))
    if placement is not None and placement.socket == socket:
        session.delete(placement)
        wake.after_commit(session)
