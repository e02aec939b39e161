"""Imported models: listed, found by folded names, thrown away and brought back."""

from pathlib import Path

import pytest
from support.databases import person
from support.model_folders import bring_in, make_folder

from kargah.assets import blobs
from kargah.kit.errors import Forbidden
from kargah.kit.settings import load
from kargah.models import importing, service
from kargah.models.schemas import ModelOut
from kargah.store.access import Actor, Role
from kargah.store.database import Database


def imported(database: Database, actor: Actor, home: Path, title: str = "پایهٔ فارسي") -> ModelOut:
    root = home / "folder"
    if not root.exists():
        make_folder(root)
    folder, entries = bring_in(home, root)
    with database.write() as session:
        blobs.register(session, entries)
        return service.register_import(session, actor, title, folder, entries)


def test_an_imported_folder_is_a_model_to_start_from(database: Database, actor: Actor, tmp_path: Path) -> None:
    version = imported(database, actor, tmp_path).versions[0]
    assert (version.family, version.source, version.parameters, version.architecture) == ("base", "local", 12, "BertModel")
    assert {file.path for file in version.files} == {"config.json", "model.safetensors"}


def test_models_are_found_whatever_letters_the_title_was_typed_with(database: Database, actor: Actor, tmp_path: Path) -> None:
    imported(database, actor, tmp_path)
    with database.read() as session:
        assert len(service.list_for(session, actor, query="فارسی").items) == 1
        assert service.list_for(session, actor, query="عربی").items == []
        assert len(service.list_for(session, actor, source="local").items) == 1
        assert service.list_for(session, actor, source="training").items == []


def test_pages_follow_each_other_without_gap_or_repeat(database: Database, actor: Actor, tmp_path: Path) -> None:
    made = [imported(database, actor, tmp_path, f"m{number}").id for number in range(5)]
    seen, cursor = [], None
    while True:
        with database.read() as session:
            page = service.list_for(session, actor, limit=2, cursor=cursor)
        seen += [item.id for item in page.items]
        cursor = page.next_cursor
        if cursor is None:
            break
    assert seen == sorted(made, reverse=True)


def test_a_thrown_away_model_comes_back(database: Database, actor: Actor, tmp_path: Path) -> None:
    model = imported(database, actor, tmp_path)
    with database.write() as session:
        service.delete(session, actor, model.id)
        assert service.list_for(session, actor).items == []
        service.restore(session, actor, model.id)
        assert [item.id for item in service.list_for(session, actor).items] == [model.id]


def test_only_its_owner_or_an_admin_changes_a_model(database: Database, actor: Actor, tmp_path: Path) -> None:
    model = imported(database, actor, tmp_path)
    for stranger in (person(database, Role.TRAINER), person(database, Role.VIEWER)):
        with database.write() as session, pytest.raises(Forbidden):
            service.rename(session, stranger, model.id, "x")


def test_only_folders_under_an_import_root_are_read(tmp_path: Path) -> None:
    (tmp_path / "allowed" / "model").mkdir(parents=True)
    (tmp_path / "other").mkdir()
    (tmp_path / "allowed" / "link").symlink_to(tmp_path / "other")
    settings = load(home=tmp_path / "home", import_roots=[tmp_path / "allowed"])
    assert importing.allowed_folder(settings, str(tmp_path / "allowed" / "model")) == tmp_path / "allowed" / "model"
    for given in (tmp_path / "other", tmp_path / "allowed" / "..", tmp_path / "allowed" / "link", Path("/etc")):
        with pytest.raises(importing.PathNotAllowed):
            importing.allowed_folder(settings, str(given))
