"""Every file is read again and compared with its name: bit rot is found, set aside, and mended by the same bytes."""

import os
from pathlib import Path

import pytest
from support.agents import scheduler, tick_until
from support.databases import person
from support.model_folders import make_folder

from kargah.assets import blobs, scrubbing
from kargah.assets import service as assets
from kargah.assets.scrubbing import ScrubState
from kargah.cli.agent import all_trades
from kargah.kit.errors import Forbidden
from kargah.models import importing
from kargah.models import service as models
from kargah.models.schemas import ModelOut
from kargah.store.access import Actor, Role
from kargah.store.database import Database


def imported(database: Database, actor: Actor, home: Path, folder: Path) -> ModelOut:
    found, entries = importing.bring_in(home, folder)
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
