"""Folders whose files are used where they lie: found, found again, changed, gone; and nothing outside of them."""

import json
import os
from pathlib import Path

import pytest
from support.agents import scheduler, tick_until
from support.databases import person
from support.model_folders import make_folder, write_safetensors

from kargah.assets import blobs, roots
from kargah.assets import service as assets
from kargah.assets.roots import BadRoot, PlaceGone, RootInUse, RootOut, RootWish
from kargah.cli.agent import all_trades
from kargah.contract.plans import InputFile
from kargah.jobs import service as jobs
from kargah.jobs.schemas import JobOut
from kargah.kit.errors import Forbidden
from kargah.kit.settings import load
from kargah.models import scanning
from kargah.models import service as models
from kargah.models.schemas import ModelOut
from kargah.store.access import Actor, Role
from kargah.store.database import Database
from kargah.training import in_place

KINDS = frozenset({"scan", "ingest"})


class Shelf:
    """A home, a folder elsewhere that is a root of it, and an agent that scans."""

    def __init__(self, database: Database, actor: Actor, folder: Path) -> None:
        self.database, self.actor, self.home, self.disk = database, actor, folder / "home", folder / "disk"
        self.disk.mkdir()
        self.settings = load(home=self.home)
        with database.write() as session:
            self.root = roots.add(session, actor, self.settings, RootWish(path=str(self.disk), name="دیسک"))
        self.agent = scheduler(database, self.home, all_trades(), kinds=KINDS, light_kinds=KINDS)

    def scan(self) -> RootOut:
        with self.database.write() as session:
            job = scanning.start(session, self.actor, self.root.id)
        assert self.ended(job.id).error is None
        with self.database.read() as session:
            return roots.get_for(session, self.actor, self.root.id)

    def ended(self, job_id: str) -> JobOut:
        def job() -> JobOut:
            with self.database.read() as session:
                return jobs.show(session, self.actor, job_id)

        tick_until(self.agent, lambda: job().is_over, 90)
        return job()

    def models(self) -> dict[str, ModelOut]:
        with self.database.read() as session:
            return {model.title: model for model in models.list_for(session, self.actor).items}

    def assets(self) -> dict[str | None, str]:
        """Where it lies → how it is."""
        with self.database.read() as session:
            return {one.place: one.status for one in assets.list_for(session, self.actor, in_place=True).items}

    def lay_out(self, model: ModelOut, folder: Path) -> None:
        entries = model.versions[0].files
        blobs.lay_out(self.home, [InputFile(path=one.path, sha256=one.sha256, size_bytes=one.size_bytes) for one in entries], folder)


@pytest.fixture
def shelf(database: Database, actor: Actor, tmp_path: Path) -> Shelf:
    return Shelf(database, actor, tmp_path)


def aged(folder: Path) -> None:
    """As if it had lain there for a while: what changed just now is always read again."""
    for path in folder.rglob("*"):
        os.utime(path, (1_700_000_000, 1_700_000_000), follow_symlinks=False)


def test_models_and_tables_are_used_where_they_lie_and_what_is_unchanged_is_not_read_again(shelf: Shelf, tmp_path: Path) -> None:
    (shelf.disk / "deep").mkdir()
    bert = make_folder(shelf.disk / "deep" / "برت")
    (shelf.disk / "نظرها.csv").write_text("text,label\nخوب,1\nبد,0\n", encoding="utf-8")
    (shelf.disk / "notes.txt").write_text("nothing of ours")
    aged(shelf.disk)
    found = shelf.scan().summary
    assert (found["files"], found["hashed"], found["models"], found["tables"], found["refused"]) == (4, 4, 1, 1, [])
    assert shelf.assets() == {"deep/برت": "ready", "نظرها.csv": "ready"}
    model = shelf.models()["برت"]
    for entry in model.versions[0].files:
        assert blobs.path_of(shelf.home, entry.sha256).readlink() == bert / entry.path, "known by its hash, not copied"
    shelf.lay_out(model, tmp_path / "inputs")
    assert (tmp_path / "inputs" / "model.safetensors").read_bytes() == (bert / "model.safetensors").read_bytes()
    again = shelf.scan().summary
    assert (again["files"], again["hashed"], again["models"], again["gone"]) == (4, 0, 1, 0)
    assert len(shelf.models()["برت"].versions) == 1
    with shelf.database.write() as session:
        table = next(one for one in assets.list_for(session, shelf.actor, kind="dataset").items if one.root_id)
        dataset = in_place.import_table(session, shelf.actor, shelf.home, table.id)
        job_id = dataset.version.job_id if dataset.version else ""
    assert shelf.ended(job_id or "").result["rows"] == 2  # type: ignore[index]
    with shelf.database.write() as session, pytest.raises(RootInUse):
        roots.remove(session, shelf.actor, shelf.settings, shelf.root.id)


def test_a_model_that_changes_is_another_version_and_what_goes_away_is_said_to_be_missing(shelf: Shelf, tmp_path: Path) -> None:
    changing, going = make_folder(shelf.disk / "changing"), make_folder(shelf.disk / "going")
    write_safetensors(going / "model.safetensors", [2, 2])
    table = shelf.disk / "rows.csv"
    table.write_text("a,b\n1,2\n")
    aged(shelf.disk)
    shelf.scan()
    before = shelf.models()["changing"]
    write_safetensors(changing / "model.safetensors", [4, 3])  # as many bytes, other ones
    (changing / "model.safetensors").write_bytes((changing / "model.safetensors").read_bytes()[:-1] + b"\x01")
    with pytest.raises(blobs.FileMissing):
        shelf.lay_out(before, tmp_path / "inputs")
    for path in (going / "model.safetensors", going / "config.json"):
        path.unlink()
    table.unlink()
    found = shelf.scan().summary
    assert (found["models"], found["tables"], found["gone"]) == (1, 0, 2)
    assert [version.number for version in shelf.models()["changing"].versions] == [2, 1]
    assert shelf.assets() == {"changing": "ready", "going": "error"}
    make_folder_again = shelf.disk / "going"
    make_folder(tmp_path / "copy")
    (make_folder_again / "config.json").write_bytes((tmp_path / "copy" / "config.json").read_bytes())
    write_safetensors(make_folder_again / "model.safetensors", [2, 2])
    shelf.scan()
    assert shelf.assets() == {"changing": "ready", "going": "ready"}, "its disk was away, and is back"
    assert len(shelf.models()["going"].versions) == 1


def test_links_out_of_the_root_pickles_and_odd_names_do_not_come_in(shelf: Shelf, tmp_path: Path) -> None:
    secret = tmp_path / "secret.csv"
    secret.write_text("a,b\n1,2\n")
    (shelf.disk / "link.csv").symlink_to(secret)
    (shelf.disk / "out").symlink_to(tmp_path)
    (shelf.disk / "dead.csv").symlink_to(tmp_path / "nowhere")
    os.mkfifo(shelf.disk / "pipe.csv")
    with open(os.fsencode(shelf.disk) + b"/\xff.csv", "wb") as file:
        file.write(b"a,b\n1,2\n")
    (shelf.disk / "pickle").mkdir()
    (shelf.disk / "pickle" / "config.json").write_text(json.dumps({"model_type": "bert"}))
    (shelf.disk / "pickle" / "pytorch_model.bin").write_bytes(b"\x80\x04")
    broken = make_folder(shelf.disk / "broken")
    write_safetensors(broken / "model.safetensors", [3, 4], missing_bytes=2)
    found = shelf.scan().summary
    assert (found["links"], found["badly_named"], found["unreadable"], found["tables"], found["models"]) == (4, 1, 0, 0, 0)
    assert {one["place"]: one["code"] for one in found["refused"]} == {"pickle": "MODEL_IS_PICKLE", "broken": "WEIGHTS_DAMAGED"}
    assert (shelf.models(), shelf.assets()) == ({}, {})
    for place in ("link.csv", "out/secret.csv", "../secret.csv", "/etc/passwd", "a\0b", "", "pipe.csv", "C:\\x", "nothing.csv"):
        with pytest.raises(PlaceGone):
            roots.locate(shelf.root.path, place)


def test_only_admins_add_folders_and_none_around_the_home(shelf: Shelf, tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    inside = shelf.disk / "inside"
    inside.mkdir()
    for path in (
        "relative",
        str(file),
        str(tmp_path / "nowhere"),
        "/a\0b",
        "/",
        str(tmp_path),
        str(shelf.home),
        str(shelf.disk),
        str(inside),
    ):
        with shelf.database.write() as session, pytest.raises(BadRoot):
            roots.add(session, shelf.actor, shelf.settings, RootWish(path=str(path)))
    for role in (Role.TRAINER, Role.VIEWER):
        somebody = person(shelf.database, role)
        with shelf.database.write() as session, pytest.raises(Forbidden):
            roots.add(session, somebody, shelf.settings, RootWish(path=str(tmp_path)))
    with shelf.database.write() as session:
        roots.remove(session, shelf.actor, shelf.settings, shelf.root.id)
        assert roots.list_for(session, shelf.actor) == []


def test_a_scan_of_a_disk_that_is_away_says_so_and_forgets_nothing(shelf: Shelf) -> None:
    make_folder(shelf.disk / "bert")
    aged(shelf.disk)
    shelf.scan()
    shelf.disk.rename(shelf.disk.with_name("unplugged"))
    with shelf.database.write() as session:
        job = scanning.start(session, shelf.actor, shelf.root.id)
    error = shelf.ended(job.id).error
    assert error is not None and error["code"] == "ROOT_GONE"
    assert shelf.assets() == {"bert": "ready"}
