"""Data sets on both databases, imported by the real worker."""

import asyncio
import dataclasses
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from support.databases import person
from support.imports import events_of, start

from kargah.assets import blobs
from kargah.assets import service as assets
from kargah.contract.attempt import AttemptDirectory
from kargah.contract.events import Stopped
from kargah.contract.plans import IngestPlan
from kargah.datasets import projector, service
from kargah.datasets.errors import NotImported, TitleMissing
from kargah.datasets.schemas import DatasetOut, UploadOptions
from kargah.jobs.tables import Job
from kargah.kit import files
from kargah.kit.errors import BadInput, Forbidden, NotFound
from kargah.store.access import Actor, Role
from kargah.store.database import Database

ROWS = "".join(f"کتاب {number} خوب بود,مثبت\nکتاب {number} بد بود,منفی\n" for number in range(30))
CSV = f"متن,برچسب\n{ROWS}".encode()


def upload(database: Database, home: Path, actor: Actor, content: bytes = CSV, title: str | None = "نظرها", **stated: object) -> DatasetOut:
    async def chunks() -> AsyncIterator[bytes]:
        yield content

    digest = asyncio.run(blobs.put_stream(home, chunks(), 1 << 30))
    with database.write() as session:
        return service.create_from_upload(session, actor, title, "نظرها.csv", digest, **stated)[0]  # type: ignore[arg-type]


def run_import(database: Database, home: Path, job_id: str) -> None:
    """What the agent does, without its loop: lay out, run the worker, project what it said."""
    with database.write() as session:
        job = session.get_one(Job, job_id)
        job.attempt = 1
        plan = IngestPlan.model_validate({**job.plan, "job_id": job_id})
    directory = AttemptDirectory.of(home, job_id, 1)
    blobs.lay_out(home, plan.inputs, directory.inputs)
    files.write_bytes(directory.plan, plan.model_dump_json().encode())
    assert start(directory).wait(timeout=60) == 0
    for event in events_of(directory):
        project(database, home, job_id, event)


def project(database: Database, home: Path, job_id: str, event: object) -> None:
    with database.read() as session:
        job = session.get_one(Job, job_id)
    projector.prepare(home, job, event)  # type: ignore[arg-type]
    with database.write() as session:
        projector.on_event(session, home, session.get_one(Job, job_id), event)  # type: ignore[arg-type]


def test_an_upload_becomes_a_data_set_that_can_be_looked_at_and_learned_from(database: Database, actor: Actor, tmp_path: Path) -> None:
    dataset = upload(database, tmp_path, actor, licence="CC0-1.0")
    assert dataset.job_id
    with database.read() as session:
        importing = service.get_for(session, actor, dataset.id)
        assert importing.version is not None
        assert (importing.version.state, importing.current_version_id) == ("IMPORTING", None)
        with pytest.raises(NotImported):
            service.suggest(session, actor, dataset.id)
    run_import(database, tmp_path, dataset.job_id)
    with database.read() as session:
        found = service.get_for(session, actor, dataset.id)
        preview = service.preview(session, actor, dataset.id, tmp_path, limit=2)
        suggestion = service.suggest(session, actor, dataset.id)[0]
        report = service.report(session, actor, dataset.id)
        job = session.get_one(Job, dataset.job_id)
        listed = assets.list_for(session, actor, kind="dataset").items
    assert found.version is not None
    assert (found.version.state, found.version.rows, found.licence) == ("READY", 60, "CC0-1.0")
    assert found.version.commit_id
    assert len(found.version.commit_id) == 40
    assert found.current_version_id == found.version.id == listed[0].subject_id
    assert preview.rows == [{"متن": "کتاب 0 خوب بود", "برچسب": "مثبت"}, {"متن": "کتاب 0 بد بود", "برچسب": "منفی"}]
    assert (suggestion.recipe, suggestion.columns) == ("text-classification", {"text": "متن", "label": "برچسب"})
    assert report["problems"] == []
    assert job.result == {"dataset_id": dataset.id, "dataset_version_id": found.version.id, "rows": 60}


def test_the_end_of_an_import_may_be_told_twice(database: Database, actor: Actor, tmp_path: Path) -> None:
    dataset = upload(database, tmp_path, actor)
    assert dataset.job_id
    run_import(database, tmp_path, dataset.job_id)
    with database.read() as session:
        before = service.get_for(session, actor, dataset.id)
    for event in events_of(AttemptDirectory.of(tmp_path, dataset.job_id, 1)):
        project(database, tmp_path, dataset.job_id, event)
    project(database, tmp_path, dataset.job_id, Stopped(at=datetime.now(UTC)))
    with database.read() as session:
        assert service.get_for(session, actor, dataset.id) == before


def test_a_file_that_cannot_be_read_leaves_a_version_with_the_reason(database: Database, actor: Actor, tmp_path: Path) -> None:
    dataset = upload(database, tmp_path, actor, b"\x89PNG\r\n\x1a\n")
    assert dataset.job_id
    run_import(database, tmp_path, dataset.job_id)
    with database.read() as session:
        found = service.list_for(session, actor).items[0]
    assert found.current_version_id is None
    assert found.version is not None
    assert (found.version.state, found.version.error) == ("FAILED", {"code": "BINARY_FILE", "params": {"found": "PNG"}})


def test_an_import_stopped_before_it_began_says_so(database: Database, actor: Actor, tmp_path: Path) -> None:
    dataset = upload(database, tmp_path, actor)
    assert dataset.job_id
    project(database, tmp_path, dataset.job_id, Stopped(at=datetime.now(UTC)))
    with database.read() as session:
        version = service.get_for(session, actor, dataset.id).version
    assert version is not None
    assert (version.state, version.error) == ("FAILED", {"code": "IMPORT_STOPPED", "params": {}})


def test_a_newer_version_becomes_current_when_it_is_imported_and_not_before(database: Database, actor: Actor, tmp_path: Path) -> None:
    dataset = upload(database, tmp_path, actor)
    assert dataset.job_id
    run_import(database, tmp_path, dataset.job_id)
    digest = blobs.put_file(tmp_path, _written(tmp_path / "new.csv", CSV + "یکی بیشتر,مثبت\n".encode()))
    with database.write() as session:
        version, job = service.add_version(session, actor, dataset.id, "new.csv", digest)
        assert service.get_for(session, actor, dataset.id).version.number == 1  # type: ignore[union-attr]
    run_import(database, tmp_path, job.id)
    with database.read() as session:
        found = service.get_for(session, actor, dataset.id)
    assert found.current_version_id == version.id
    assert [known.number for known in found.versions] == [2, 1]
    assert found.version is not None
    assert found.version.rows == 61


def test_the_same_rows_give_the_same_commit(database: Database, actor: Actor, tmp_path: Path) -> None:
    commits = set()
    for title in ("یک", "دو"):
        dataset = upload(database, tmp_path, actor, title=title)
        assert dataset.job_id
        run_import(database, tmp_path, dataset.job_id)
        with database.read() as session:
            version = service.get_for(session, actor, dataset.id).version
        assert version is not None
        commits.add(version.commit_id)
    assert len(commits) == 1


def test_titles_are_found_however_they_are_spelt_and_pages_follow(database: Database, actor: Actor, tmp_path: Path) -> None:
    made = [upload(database, tmp_path, actor, title=f"نظرهاي كتاب {number}").id for number in range(3)]
    upload(database, tmp_path, actor, title="قیمت خانه")
    with database.read() as session:
        first = service.list_for(session, actor, query="نظرهای کتاب", limit=2)
        second = service.list_for(session, actor, query="نظرهای کتاب", limit=2, cursor=first.next_cursor)
        assert service.list_for(session, actor, query="100%").items == []
    assert [item.id for item in first.items + second.items] == made[::-1]
    assert second.next_cursor is None


def test_the_trash_hides_and_gives_back(database: Database, actor: Actor, tmp_path: Path) -> None:
    dataset = upload(database, tmp_path, actor)
    with database.write() as session:
        service.delete(session, actor, dataset.id)
    with database.read() as session:
        assert service.list_for(session, actor).items == []
        assert [item.id for item in service.list_for(session, actor, trashed=True).items] == [dataset.id]
        with pytest.raises(NotFound):
            service.get_for(session, actor, dataset.id)
    with database.write() as session:
        service.restore(session, actor, dataset.id)
    with database.read() as session:
        assert service.count_for(session, actor) == 1


def test_others_read_but_do_not_change_and_strangers_see_nothing(database: Database, actor: Actor, tmp_path: Path) -> None:
    dataset = upload(database, tmp_path, actor)
    viewer, trainer = person(database, Role.VIEWER), person(database, Role.TRAINER)
    stranger = dataclasses.replace(person(database, Role.ADMIN), workspace_id="ws_else", workspace_ids=frozenset({"ws_else"}))
    with database.read() as session:
        assert service.get_for(session, viewer, dataset.id).id == dataset.id
        for change in (service.delete, lambda *given: service.rename(*given, "نو"), service.restore):
            with pytest.raises(Forbidden):
                change(session, trainer, dataset.id)
            with pytest.raises(NotFound):
                change(session, stranger, dataset.id)
    with pytest.raises(Forbidden):
        upload(database, tmp_path, viewer)


def test_a_title_is_cleaned_taken_from_the_file_or_asked_for(database: Database, actor: Actor, tmp_path: Path) -> None:
    assert upload(database, tmp_path, actor, title=None).title == "نظرها"
    assert upload(database, tmp_path, actor, title="  دو \u202e فاصله ").title == "دو فاصله"
    with pytest.raises(TitleMissing):
        upload(database, tmp_path, actor, title=" \u200f ")


def test_a_normaliser_that_cannot_be_is_refused_and_a_good_one_is_recorded_whole(database: Database, actor: Actor, tmp_path: Path) -> None:
    with pytest.raises(BadInput) as refused:
        upload(database, tmp_path, actor, options=UploadOptions(normaliser={"digits": "roman"}))
    assert refused.value.params["field"] == "normaliser.digits"
    dataset = upload(database, tmp_path, actor, options=UploadOptions(normaliser={"digits": "latin"}))
    with database.read() as session:
        plan = session.get_one(Job, dataset.job_id).plan
    assert plan["normaliser"]["digits"] == "latin"
    assert plan["normaliser"]["version"] == 1


def _written(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path
