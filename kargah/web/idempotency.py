"""A creation that is asked for twice with one Idempotency-Key happens once; the second gets the first's answer.

The key is claimed in a transaction of its own before the work, and gets its answer after it. An answer is kept for a
day; a claim whose work never answered (the process died) holds for two minutes.
"""

import asyncio
import hashlib
from collections.abc import Callable
from datetime import timedelta
from typing import Annotated, Any, Concatenate, ParamSpec

from fastapi import Header
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel
from sqlalchemy import delete
from sqlalchemy.orm import Session

from kargah.kit.clock import utc_now
from kargah.kit.errors import BadInput, Conflict
from kargah.store.access import Actor
from kargah.store.tables import IdempotentAnswer
from kargah.web.deps import Asking

KEPT_FOR = timedelta(days=1)
IN_FLIGHT_FOR = timedelta(minutes=2)

P = ParamSpec("P")
Key = Annotated[
    str | None, Header(alias="Idempotency-Key", min_length=1, max_length=200, description="the same key: the same answer, once done")
]


class KeyReused(BadInput):
    code = "IDEMPOTENCY_MISMATCH"


class FormSentBefore(Conflict):
    """The same form again, whose answer cannot be given twice."""

    code = "FORM_SENT_BEFORE"


class StillInFlight(Conflict):
    code = "IDEMPOTENCY_IN_FLIGHT"


async def once(
    ask: Asking,
    key: str | None,
    body: bytes | str,
    use_case: Callable[Concatenate[Session, Actor, P], BaseModel],
    *args: P.args,
    **kwargs: P.kwargs,
) -> Response:
    """Run ``use_case`` and answer 201 with what it returns, or give again what the same key got before.

    ``body`` is what must be the same (its hash is kept). Raises KeyReused for another body, StillInFlight for a race.
    """
    if key is None:
        made = await ask.write(use_case, *args, **kwargs)
        return JSONResponse(made.model_dump(mode="json"), 201)
    sha256 = hashlib.sha256(body.encode("utf-8", "replace") if isinstance(body, str) else body).hexdigest()
    route = ask.connection.scope["path"][:200]
    answer = await ask.write(_claim, key, route, sha256)
    if answer is not None:
        return _again(answer)
    return JSONResponse(await _do(ask, key, route, lambda session, actor: use_case(session, actor, *args, **kwargs)), 201)


async def known(ask: Asking, key: str | None, body: str) -> Response | None:
    """What the same key got before, for doors that must first look at what the first time has used up."""
    if key is None:
        return None
    sha256 = hashlib.sha256(body.encode("utf-8", "replace")).hexdigest()
    answer = await ask.read(_answer, key, ask.connection.scope["path"][:200], sha256)
    return None if answer is None else _again(answer)


async def once_of_form(ask: Asking, form_id: str, body: str, use_case: Callable[[Session, Actor], BaseModel]) -> dict[str, Any]:
    """What ``use_case`` makes, as plain data; the same form sent again as it was (a double click, a reload) gets what it made.

    ``form_id``: the form's own ``_once``; empty when it has none. A form sent again with other values is another wish. The
    second of two at once waits for the first.
    """
    if not form_id:
        return (await ask.write(use_case)).model_dump(mode="json")
    sha256 = hashlib.sha256(body.encode("utf-8", "replace")).hexdigest()
    key, route = f"{form_id[:64]}.{sha256}", ask.connection.scope["path"][:200]
    for wait_seconds in (0.05, 0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 0.0):
        try:
            answer = await ask.write(_claim, key, route, sha256)
            break
        except StillInFlight:
            if not wait_seconds:
                raise
            await asyncio.sleep(wait_seconds)
    return answer if answer is not None else await _do(ask, key, route, use_case)


def _again(answer: dict[str, Any]) -> Response:
    return JSONResponse(answer, 201, headers={"Idempotency-Replayed": "true"})


def _answer(session: Session, actor: Actor, key: str, route: str, sha256: str) -> dict[str, Any] | None:
    row = session.get(IdempotentAnswer, (key, actor.user_id, route))
    is_told = row is not None and row.status is not None and row.body_sha256 == sha256 and row.expires_at >= utc_now()
    return row.answer if row is not None and is_told else None


async def _do(ask: Asking, key: str, route: str, use_case: Callable[[Session, Actor], BaseModel]) -> dict[str, Any]:
    """The work and its answer are one transaction: a crash leaves both or neither."""
    try:
        return await ask.write(_work, key, route, use_case)
    except BaseException:
        await ask.write(_release, key, route)
        raise


def _claim(session: Session, actor: Actor, key: str, route: str, sha256: str) -> dict[str, Any] | None:
    now = utc_now()
    session.execute(delete(IdempotentAnswer).where(IdempotentAnswer.expires_at < now))
    row = session.get(IdempotentAnswer, (key, actor.user_id, route), with_for_update=True)
    if row is None:
        _insert(session, actor, key, route, sha256)
        return None
    if row.body_sha256 != sha256:
        raise KeyReused(field="Idempotency-Key")
    if row.status is None:
        raise StillInFlight
    return row.answer


def _insert(session: Session, actor: Actor, key: str, route: str, sha256: str) -> None:
    row = IdempotentAnswer(key=key, user_id=actor.user_id, route=route, body_sha256=sha256, expires_at=utc_now() + IN_FLIGHT_FOR)
    session.add(row)
    session.flush()


def _work(session: Session, actor: Actor, key: str, route: str, use_case: Callable[[Session, Actor], BaseModel]) -> dict[str, Any]:
    answer = use_case(session, actor).model_dump(mode="json")
    row = session.get(IdempotentAnswer, (key, actor.user_id, route))
    if row is not None:
        row.status, row.answer, row.expires_at = 201, answer, utc_now() + KEPT_FOR
    return answer


def _release(session: Session, actor: Actor, key: str, route: str) -> None:
    own = (IdempotentAnswer.key == key, IdempotentAnswer.user_id == actor.user_id, IdempotentAnswer.route == route)
    session.execute(delete(IdempotentAnswer).where(*own, IdempotentAnswer.status.is_(None)))
