"""Names, revisions and commits of the hub, on both databases."""

import json
from base64 import b64encode
from pathlib import Path

import pytest
from support.databases import person
from support.model_folders import bring_in, make_folder

from kargah.assets import blobs
from kargah.assets.tables import Asset
from kargah.datasets.tables import Dataset, DatasetVersion
from kargah.hub import names, pushing, repositories, versions
from kargah.hub.errors import HeadMoved, RepositoryExists, RepositoryNotFound
from kargah.hub.pushing import Pushed
from kargah.hub.repositories import Address
from kargah.hub.revisions import Snapshot
from kargah.hub.tables import Repository
from kargah.jobs import service as jobs
from kargah.kit.ids import new_id
from kargah.kit.settings import Settings
from kargah.models import service as models
from kargah.models.tables import Download
from kargah.store.access import Actor, Role
from kargah.store.database import Database
from kargah.training import purging


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(home=tmp_path / "home")


def imported(database: Database, actor: Actor, home: Path, title: str) -> str:
    root = home.parent / "folder"
    if not root.exists():
        make_folder(root)
    folder, entries = bring_in(home, root)
    with database.write() as session:
        blobs.register(session, entries)
        return models.register_import(session, actor, title, folder, entries).id


def push(database: Database, actor: Actor, settings: Settings, address: Address, base: Snapshot | None = None, **files: bytes) -> Pushed:
    """As the door does it, once; over ``base``, which may be an old head."""
    folder = settings.home / new_id("push")
    folder.mkdir(parents=True)
    lines = [{"key": "header", "value": {"summary": "x"}}]
    lines += [{"key": "file", "value": {"path": name, "content": b64encode(content).decode()}} for name, content in files.items()]
    (folder / "body").write_text("\n".join(json.dumps(line) for line in lines))
    with database.read() as session:
        head, room = pushing.base_of(session, actor, settings, address, "main")
    base = base or head
    received = pushing.receive(settings, actor, base, room, folder / "body", folder)
    after = pushing.merged(base, received.changes)
    substance = versions.find(settings.home, address.kind, after, base.files)
    with database.write() as session:
        return pushing.commit(session, actor, address, base, received, after, substance)


def test_two_of_one_title_have_two_names_and_a_download_keeps_its_own(database: Database, actor: Actor, settings: Settings) -> None:
    ids = [imported(database, actor, settings.home, title) for title in ("مدل", "مدل", "sara/bert")]
    with database.write() as session:
        job = jobs.submit(session, actor, "download", "x", {})
        download = Download(id="dl_x", kind="model", repository="Sara/Bert_fa.v1", revision="main", job_id=job.id, model_id=ids[2])
        download.owner_id, download.workspace_id = actor.user_id, actor.workspace_id
        session.add(download)
    with database.read() as session:
        assert names.are_missing(session, actor, "model")
    with database.write() as session:
        names.give_all(session, actor, "model")
        own = names.give_own(session, actor)
    with database.read() as session:
        assert not names.are_missing(session, actor, "model")
        listed = repositories.list_for(session, actor, "model").items
        assert sorted(item.address.id for item in listed) == sorted([f"{own}/mdl", f"{own}/mdl-2", "Sara/Bert_fa.v1"])
        assert [item.address.id for item in repositories.list_for(session, actor, "model", query="bert_FA").items] == ["Sara/Bert_fa.v1"]
        assert len(repositories.list_for(session, actor, "model", query="مدل", author=own.upper()).items) == 2


def test_of_two_commits_over_one_head_the_second_is_told(database: Database, actor: Actor, settings: Settings) -> None:
    with database.write() as session:
        address = repositories.create(session, actor, "model", "x", None, private=False)
    with database.write() as session, pytest.raises(RepositoryExists):
        repositories.create(session, actor, "model", "X", None, private=False)
    with database.read() as session:
        old = repositories.snapshot(session, actor, address, "main")
    first = push(database, actor, settings, address, a=b"1")
    with pytest.raises(HeadMoved):
        push(database, actor, settings, address, old, b=b"2")
    assert push(database, actor, settings, address, a=b"1") == Pushed(first.commit_id, is_new=False)
    second = push(database, actor, settings, address, b=b"2")
    with database.read() as session:
        assert [revision.commit_id for revision in repositories.history(session, actor, address)] == [second.commit_id, first.commit_id]
        assert set(repositories.snapshot(session, actor, address, "main").files) == {"a", "b"}
        assert set(repositories.snapshot(session, actor, address, first.commit_id[:7]).files) == {"a"}


def test_what_is_private_is_not_there_for_others(database: Database, actor: Actor, settings: Settings) -> None:
    with database.write() as session:
        address = repositories.create(session, actor, "dataset", "x", None, private=True)
    other = person(database, Role.VIEWER)
    with database.read() as session, pytest.raises(RepositoryNotFound):
        repositories.load(session, other, address)
    with database.write() as session:
        repositories.set_private(session, actor, address, private=False)
    with database.read() as session:
        assert repositories.load(session, other, address).visibility == "workspace"


def test_pushed_data_becomes_a_data_set_and_goes_with_it(database: Database, actor: Actor, settings: Settings) -> None:
    with database.write() as session:
        address = repositories.create(session, actor, "dataset", "data", None, private=False)
    push(database, actor, settings, address, **{"data.csv": b"a,b\n1,2\n"})
    push(database, actor, settings, address, **{"README.md": b"# x"})
    with database.write() as session:
        [version] = session.query(DatasetVersion).all()
        dataset_id = version.dataset_id
        version.state = "FAILED"
        repositories.set_private(session, actor, address, private=True)
        assert {row.visibility for row in (session.get_one(Dataset, dataset_id), *session.query(Asset))} == {"private"}
        session.get_one(Dataset, dataset_id).trashed_at = version.created_at
    with database.read() as session, pytest.raises(RepositoryNotFound):
        repositories.load(session, actor, address)
    with database.write() as session:
        freed = purging.purge_dataset(session, actor, dataset_id)
        assert len(freed) == 2
        assert session.query(Repository).count() == session.query(Asset).count() == 0
