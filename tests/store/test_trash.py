"""The trash: how long things stay, what keeps them, and which files go with them."""

from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import select, update
from support.databases import person
from support.model_folders import bring_in, make_folder, write_safetensors

from kargah.assets import blobs
from kargah.assets import service as assets
from kargah.assets.tables import Blob
from kargah.contract.plans import BaseModelInput, TrainPlan
from kargah.datasets import service as datasets
from kargah.datasets.tables import DatasetVersion
from kargah.jobs import service as jobs
from kargah.kit.clock import utc_now
from kargah.kit.errors import Forbidden, NotFound
from kargah.kit.settings import load
from kargah.models import service as models
from kargah.models.schemas import ModelOut
from kargah.models.tables import Model, ModelVersion
from kargah.store.access import Actor, Role
from kargah.store.database import Database
from kargah.training import trash
from kargah.training.purging import ModelInUse, NotInTrash
from kargah.training.trash import Expiry


def imported(database: Database, actor: Actor, home: Path, folder: Path) -> ModelOut:
    found, entries = bring_in(home, folder)
    with database.write() as session:
        return models.register_import(session, actor, folder.name, found, entries)


def thrown(database: Database, actor: Actor, *model_ids: str) -> None:
    with database.write() as session:
        for model_id in model_ids:
            models.delete(session, actor, model_id)


def purge(database: Database, actor: Actor, home: Path, model_id: str) -> list[str]:
    with database.write() as session:
        freed = trash.purge(session, actor, "model", model_id)
    blobs.discard(home, freed)
    return freed


def kept(database: Database, home: Path, model: ModelOut) -> set[str]:
    """Paths of the model's files that are still on the disk and known."""
    with database.read() as session:
        known = set(session.scalars(select(Blob.sha256)))
    return {entry.path for entry in model.versions[0].files if blobs.path_of(home, entry.sha256).is_file() and entry.sha256 in known}


def test_a_purged_model_takes_only_the_files_that_nothing_else_uses(database: Database, actor: Actor, tmp_path: Path) -> None:
    one, other = make_folder(tmp_path / "one"), make_folder(tmp_path / "other")
    write_safetensors(other / "model.safetensors", [5, 5])  # the same config.json, other weights
    first, second = (imported(database, actor, tmp_path, folder) for folder in (one, other))
    with pytest.raises(NotInTrash):
        purge(database, actor, tmp_path, first.id)
    thrown(database, actor, first.id)
    with database.read() as session:
        found = trash.show(session, actor, load(home=tmp_path))
        assert [(item.title, item.kind, item.size_bytes) for item in found.items] == [("one", "model", first.versions[0].size_bytes)]
        assert found.items[0].expires_at == found.items[0].trashed_at + timedelta(days=30)
        assert [asset.name for asset in assets.list_for(session, actor).items] == ["other"]
    purge(database, actor, tmp_path, first.id)
    assert kept(database, tmp_path, first) == {"config.json"}
    assert kept(database, tmp_path, second) == {"config.json", "model.safetensors"}
    with database.read() as session, pytest.raises(NotFound):
        models.get_for(session, actor, first.id)


def test_a_restored_model_is_as_it_was(database: Database, actor: Actor, tmp_path: Path) -> None:
    model = imported(database, actor, tmp_path, make_folder(tmp_path / "bert"))
    thrown(database, actor, model.id)
    with database.write() as session:
        trash.restore(session, actor, "model", model.id)
        assert models.get_for(session, actor, model.id) == model
        assert [asset.name for asset in assets.list_for(session, actor).items] == ["bert"]
        assert trash.show(session, actor, load(home=tmp_path)).total == 0


def test_a_model_on_which_another_stands_or_a_job_waits_is_not_purged(database: Database, actor: Actor, tmp_path: Path) -> None:
    base, built = (imported(database, actor, tmp_path, make_folder(tmp_path / name)) for name in ("base", "built"))
    version_id = base.versions[0].id
    with database.write() as session:
        session.execute(update(ModelVersion).where(ModelVersion.model_id == built.id).values(base_version_id=version_id))
    thrown(database, actor, base.id)
    with pytest.raises(ModelInUse) as refused:
        purge(database, actor, tmp_path, base.id)
    assert (refused.value.params["models"], refused.value.params["more"]) == ("built", 0)
    thrown(database, actor, built.id)
    purge(database, actor, tmp_path, built.id)
    plan = TrainPlan(
        job_id="", title="t", recipe="r", spec={}, datasets=[], base_model=BaseModelInput(folder="b", version_id=version_id, title="b")
    )
    with database.write() as session:
        job = jobs.submit(session, actor, "train", "در راه", plan.model_dump(mode="json"))
    with pytest.raises(ModelInUse) as refused:
        purge(database, actor, tmp_path, base.id)
    assert refused.value.params["jobs"] == "در راه"
    with database.write() as session:
        jobs.stop(session, actor, job.id)
    assert purge(database, actor, tmp_path, base.id)


def test_what_was_thrown_away_long_ago_goes_and_what_is_used_stays(database: Database, actor: Actor, tmp_path: Path) -> None:
    old, used, fresh, built = (
        imported(database, actor, tmp_path, make_folder(tmp_path / name)) for name in ("old", "used", "fresh", "built")
    )
    with database.write() as session:
        session.execute(update(ModelVersion).where(ModelVersion.model_id == built.id).values(base_version_id=used.versions[0].id))
    thrown(database, actor, old.id, used.id, fresh.id)
    with database.write() as session:
        session.execute(update(Model).where(Model.id.in_([old.id, used.id])).values(trashed_at=utc_now() - timedelta(days=31)))
    Expiry(database, load(home=tmp_path)).tick()
    with database.read() as session:
        assert {item.title for item in trash.show(session, actor, load(home=tmp_path)).items} == {"used", "fresh"}
        assert {model.title for model in models.list_for(session, actor).items} == {"built"}
    Expiry(database, load(home=tmp_path, trash_days=0)).tick()
    with database.read() as session:
        assert trash.show(session, actor, load(home=tmp_path)).total == 2


def test_emptying_takes_what_is_ones_own_and_unused(database: Database, actor: Actor, tmp_path: Path) -> None:
    trainer = person(database, Role.TRAINER)
    mine = imported(database, trainer, tmp_path, make_folder(tmp_path / "mine"))
    theirs = imported(database, actor, tmp_path, make_folder(tmp_path / "theirs"))
    thrown(database, actor, mine.id, theirs.id)
    digest = blobs.put_file(tmp_path, tmp_path / "mine" / "config.json")
    with database.write() as session:
        dataset = datasets.create_from_upload(session, trainer, "داده", "data.json", digest)[0]
        session.execute(update(DatasetVersion).values(state="READY"))
        datasets.delete(session, trainer, dataset.id)
    with database.write() as session:
        freed, left = trash.empty(session, trainer)
    assert (left, freed) == (0, []), "the same files are in the model of somebody else"
    with database.read() as session:
        assert {item.title for item in trash.show(session, trainer, load(home=tmp_path)).items} == {"theirs"}
    viewer = person(database, Role.VIEWER)
    with database.write() as session, pytest.raises(Forbidden):
        trash.empty(session, viewer)
