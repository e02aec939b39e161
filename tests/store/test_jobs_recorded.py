"""What earlier releases wrote (scripts/record.py) is understood by this one: nobody loses a job by an upgrade."""

import shutil
from functools import partial
from pathlib import Path

import pytest
from support.agents import seat, trades

from kargah.contract import wire
from kargah.contract.attempt import AttemptDirectory
from kargah.contract.plans import AnyPlan
from kargah.jobs import claims, history, rescue, service
from kargah.jobs.collector import Collector
from kargah.jobs.states import Fence
from kargah.jobs.supervision import hold
from kargah.jobs.tables import Job
from kargah.store.access import Actor
from kargah.store.database import Database

RECORDED = Path(__file__).parents[1] / "recorded"
releases = pytest.mark.parametrize("recorded", sorted(RECORDED.iterdir()), ids=lambda path: path.name)


@releases
def test_the_words_of_an_earlier_release_are_read_without_a_complaint(recorded: Path) -> None:
    for attempt in sorted((recorded / "attempts").iterdir()):
        AnyPlan.validate_json((attempt / "plan.json").read_bytes())
        for line, _ in wire.whole_lines(attempt / "events.jsonl", 0):
            wire.decode(line)


@releases
def test_a_history_of_an_earlier_release_is_carried_to_the_same_end_with_each_step_once(
    database: Database, actor: Actor, tmp_path: Path, recorded: Path
) -> None:
    """Paused, resumed, killed, queued again, finished: today's queue makes of it what that release did."""
    here = seat()
    with database.write() as session:
        terms = service.Terms.model_validate({"retry": {"back_off_seconds": 0}})
        job_id = service.submit(session, actor, "count", "x", {}, terms=terms).id
    states = []
    for number in (1, 2, 3):
        with database.serialised() as session:
            assert claims.claim_next(session, here).claimed is not None
        directory = AttemptDirectory.of(tmp_path, job_id, number)
        directory.path.mkdir(parents=True)
        shutil.copy(recorded / "attempts" / str(number) / "events.jsonl", directory.events)
        held = hold(tmp_path, job_id, "count", Fence(number, here.agent_id))
        carry = partial(Collector(database, tmp_path, trades()).carry, held)
        while not held.place.is_closed:
            carry(partial(rescue.close, held=held))
        with database.write() as session:
            states.append(session.get_one(Job, job_id).state)
            if states[-1] == "PAUSED":
                service.resume(session, actor, job_id)
    assert states == ["PAUSED", "QUEUED", "COMPLETED"]
    with database.read() as session:
        steps = [point.step for point in history.steps(session, job_id)]
        assert steps == list(range(1, session.get_one(Job, job_id).progress["total_steps"] + 1))
