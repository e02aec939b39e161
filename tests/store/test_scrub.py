"""Every file is read again and compared with its name: bit rot is found, set aside, and mended by the same bytes."""

import os
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import update
from support.agents import scheduler, tick_until
from support.databases import person
from support.model_folders import bring_in, make_folder

from kargah.accounts.tables import Membership
from kargah.assets import blobs, scrubbing
from kargah.assets import service as assets
from kargah.assets.scrubbing import ScrubState
from kargah.assets.tables import Blob
from kargah.cli.agent import all_trades
from kargah.jobs import service as jobs
from kargah.jobs.tables import Job
from kargah.kit.clock import utc_now
from kargah.kit.errors import Forbidden
from kargah.kit.ids import new_id
from kargah.kit.settings import load
from kargah.models import service as models
from kargah.models.schemas import ModelOut
from kargah.store.access import Actor, Role
from kargah.store.database import Database


def imported(database: Database, actor: Actor, home: Path, folder: Path) -> ModelOut:
    found, entries = bring_in(home, folder)
    with database.write() as session:
        return models.register_import(session, actor, folder.name, found, entries)


def checked(database: Database, actor: Actor, home: Path) -> ScrubState:
    with database.write() as session:
        job_id = scrubbing.start(session, actor).id
        assert scrubbing.start(session, actor).id == job_id, "one check at a time"
    agent = scheduler(database, home, all_trades(), kinds=frozenset({"scrub"}), light_kinds=frozenset({"scrub"}))

    def state() -> ScrubState:
        with database.read() as session:
            return scrubbing.state(session, actor)

    tick_until(agent, lambda: (job := state().job) is not None and job.is_over, 90)
    found = state()
    assert found.job is not None and found.job.error is None
    return found


def statuses(database: Database, actor: Actor) -> set[str]:
    with database.read() as session:
        return {one.status for one in assets.list_for(session, actor).items}


def test_rotten_and_missing_files_are_found_set_aside_and_mended_by_the_same_bytes(
    database: Database, actor: Actor, tmp_path: Path
) -> None:
    home, folder = tmp_path / "home", make_folder(tmp_path / "bert")
    model = imported(database, actor, home, folder)
    assert checked(database, actor, home).damaged_count == 0
    rotten, gone = (blobs.path_of(home, entry.sha256) for entry in model.versions[0].files)
    content = bytearray(rotten.read_bytes())
    content[7] ^= 1
    rotten.chmod(0o644)
    rotten.write_bytes(content)
    os.utime(rotten, ns=(0, 0))
    gone.unlink()
    found = checked(database, actor, home)
    assert {one.sha256: (one.damage.value, one.assets) for one in found.damaged} == {
        rotten.name: ("damaged", ["bert"]),
        gone.name: ("missing", ["bert"]),
    }
    assert not rotten.exists(), "nothing is made of it any more"
    assert (home / "blobs" / "damaged" / rotten.name).read_bytes() == bytes(content), "and nothing of it is lost"
    assert statuses(database, actor) == {"error"}
    imported(database, actor, home, folder)
    assert statuses(database, actor) == {"ready"}
    assert checked(database, actor, home).damaged_count == 0


def test_only_admins_check_all_files(database: Database, actor: Actor) -> None:
    for role in (Role.TRAINER, Role.VIEWER):
        somebody = person(database, role)
        with database.write() as session, pytest.raises(Forbidden):
            scrubbing.start(session, somebody)
    with database.read() as session:
        assert scrubbing.state(session, actor).checked_at is None


def test_a_check_begins_by_itself_when_it_is_due_and_never_twice(database: Database, actor: Actor, tmp_path: Path) -> None:
    home = tmp_path / "home"

    def asked(every_days: float) -> tuple[int, ScrubState]:
        """How many checks there are after an agent has looked, and what the page says."""
        scrubbing.Schedule(database, load(home=home, scrub_days=every_days)).tick()
        with database.read() as session:
            return len(jobs.list_for(session, actor, kind="scrub").items), scrubbing.state(session, actor, every_days)

    def pass_days(days: float) -> None:
        with database.write() as session:
            for table in (Job, Blob):
                session.execute(update(table).values(created_at=utc_now() - timedelta(days=days)))

    with database.write() as session:
        session.add(Membership(id=new_id("mem"), workspace_id=actor.workspace_id, user_id=actor.user_id))
    count, state = asked(30)
    assert (count, state.next_at) == (0, None), "there is nothing to check"
    imported(database, actor, home, make_folder(tmp_path / "bert"))
    count, state = asked(30)
    assert count == 0 and state.next_at is not None
    assert timedelta(days=29) < state.next_at - utc_now() <= timedelta(days=30)
    pass_days(31)
    assert asked(0)[0] == 0
    count, state = asked(30)
    assert (count, asked(30)[0]) == (1, 1)
    assert state.job is not None
    assert (state.job.owner_id, state.job.priority, state.job.state) == (actor.user_id, scrubbing.LAST, "QUEUED")
    pass_days(31)
    assert asked(30)[0] == 1, "one that waits is enough"
