"""Rows that are written together read the same as rows written one by one, on either database."""

from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import select

from kargah.jobs import positions, service
from kargah.jobs.tables import ATTEMPTS, EVENTS, Attempt, EventRow
from kargah.store.access import Actor
from kargah.store.database import Database

LAUNCHED = datetime(2026, 11, 21, 10, tzinfo=UTC)


@pytest.fixture
def job_id(database: Database, actor: Actor) -> str:
    with database.write() as session:
        return service.submit(session, actor, "count", "شمارش", {}).id


def attempt(job_id: str, number: int, **changes: Any) -> dict[str, Any]:
    fresh = {"boot_id": "", "memory_bytes": 0, "offset_bytes": 0, "line": 0, "created_at": LAUNCHED}
    return {"job_id": job_id, "number": number, "host": "میزبان", "threads": 1, "gpus": [], "launched_at": None, **fresh, **changes}


def test_nested_values_nothing_and_moments_come_back(database: Database, job_id: str) -> None:
    rows = [
        attempt(job_id, 1),
        attempt(job_id, 2, gpus=["GPU-1", "GPU-2"], host="a\"b\\c,{d}'e", launched_at=LAUNCHED),
        attempt(job_id, 3, gpus=[["nested", {"deep": None}]], threads=64),
    ]
    with database.write() as session:
        before = positions.latest_position(session)
        assert positions.insert_in_order(session, 2, (ATTEMPTS, rows), (EVENTS, [])) == before + 1
        assert positions.latest_position(session) == before + 2
    with database.read() as session:
        found = session.scalars(select(Attempt).order_by(Attempt.number)).all()
    assert [{name: getattr(row, name) for name in rows[0]} for row in found] == rows
    assert [row.outcome for row in found] == [None] * 3


def test_positions_go_on_behind_those_that_are_there_and_none_is_lost_by_a_transaction_that_ends_in_vain(
    database: Database, job_id: str
) -> None:
    def event(position: int, seq: int, payload: dict[str, Any]) -> dict[str, Any]:
        about = {"job_id": job_id, "attempt": 0, "line": None, "kind": "Logged", "at": LAUNCHED}
        return {"position": position, "seq": seq, "payload": payload, **about}

    with database.read() as session:
        before = positions.latest_position(session)
    with pytest.raises(ZeroDivisionError), database.write() as session:
        positions.insert_in_order(session, 1, (EVENTS, [event(0, 90, {})]))
        1 / 0  # noqa: B018
    payloads: list[dict[str, Any]] = [{"text": "سلام"}, {}, {"deep": [1, None, {"x": "}"}]}]
    with database.write() as session:
        rows = [event(index, 90 + index, payload) for index, payload in enumerate(payloads)]
        first = positions.insert_in_order(session, len(rows), (EVENTS, rows))
        assert positions.latest_position(session) == before + 3
    assert first == before + 1
    with database.read() as session:
        found = session.scalars(select(EventRow).where(EventRow.position > before).order_by(EventRow.position)).all()
    assert [(row.position, row.seq, row.payload) for row in found] == [(first + i, 90 + i, payload) for i, payload in enumerate(payloads)]
