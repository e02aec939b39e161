"""Roots in an object store, read from a server that checks signatures: found, found again, changed, damaged, brought here."""

import hashlib
import stat
from pathlib import Path
from typing import Any

import pytest
from support.agents import scheduler, tick_until
from support.databases import person
from support.model_folders import make_folder
from support.s3_server import KEY, SECRET, FakeStore, Fault, fake_store

from kargah.assets import blobs, roots
from kargah.assets import service as assets
from kargah.assets.roots import BadRoot, BadStore, RootOut, RootWish
from kargah.assets.schemas import AssetSummary
from kargah.cli.agent import all_trades
from kargah.contract.stores import StoreAccess
from kargah.jobs import service as jobs
from kargah.jobs.schemas import JobOut
from kargah.jobs.terms import Window
from kargah.kit.errors import Forbidden
from kargah.kit.settings import load
from kargah.models import downloads, scanning, stored
from kargah.models import service as models
from kargah.models.downloads import DownloadOut
from kargah.models.stored import BringWish, NotStored
from kargah.store.access import Actor, Role
from kargah.store.database import Database
from kargah.training.purging import purge_model

KINDS = frozenset({"scan", "ingest", "download"})
TABLE = "text,label\nخوب,1\nبد,0\n".encode()


class Shelf:
    """A home, a root of it in an object store, and an agent that scans and downloads."""

    def __init__(self, database: Database, actor: Actor, folder: Path, store: FakeStore) -> None:
        self.database, self.actor, self.home, self.store = database, actor, folder / "home", store
        self.settings = load(home=self.home)
        self.root = self.add()
        self.agent = scheduler(database, self.home, all_trades(), kinds=KINDS, light_kinds=KINDS)

    def add(self, **changes: Any) -> RootOut:
        wish = {"path": "s3://shelf/models", "endpoint": self.store.url, "key": KEY, "secret": SECRET, **changes}
        with self.database.write() as session:
            return roots.add(session, self.actor, self.settings, RootWish(**wish))

    def begin(self, *, again: bool = False) -> JobOut:
        with self.database.write() as session:
            return scanning.start(session, self.actor, self.root.id, again=again, patience_seconds=1.0)

    def scan(self, *, again: bool = False) -> dict[str, Any]:
        assert self.ended(self.begin(again=again).id).error is None
        with self.database.read() as session:
            return roots.get_for(session, self.actor, self.root.id).summary

    def ended(self, job_id: str) -> JobOut:
        def job() -> JobOut:
            with self.database.read() as session:
                return jobs.show(session, self.actor, job_id)

        tick_until(self.agent, lambda: job().is_over, 90)
        return job()

    def assets(self) -> dict[str, AssetSummary]:
        with self.database.read() as session:
            return {one.place or "": one for one in assets.list_for(session, self.actor, source="s3").items}

    def bring(self, place: str, **wish: Any) -> DownloadOut:
        with self.database.write() as session:
            return stored.bring(session, self.actor, self.settings, self.assets()[place].id, BringWish(**wish))


@pytest.fixture
def shelf(database: Database, actor: Actor, tmp_path: Path) -> Any:
    bert = {f"models/deep/برت/{path.name}": path.read_bytes() for path in make_folder(tmp_path / "bert").iterdir()}
    rest = {"models/نظرها.csv": TABLE, "models/": b"", "models/deep/": b"", "models/photo.raw": b"x" * 5000, "modelsecret.csv": b"a\n1\n"}
    with fake_store(**bert, **rest) as store:
        yield Shelf(database, actor, tmp_path, store)


def test_what_lies_there_is_listed_and_only_what_may_be_wanted_is_read_and_once(shelf: Shelf) -> None:
    found = shelf.scan()
    assert (found["files"], found["hashed"], found["models"], found["tables"], found["refused"]) == (4, 3, 1, 1, [])
    assert len(shelf.store.listed) > 1, "a bucket is listed by pages"
    shown = {place: (one.kind, one.name, one.status, one.size_bytes) for place, one in shelf.assets().items()}
    assert shown["نظرها.csv"] == ("dataset", "نظرها.csv", "available", len(TABLE))
    assert (shown["deep/برت"][:3], len(shown)) == (("model", "برت", "available"), 2)
    wanted = {key for key in shelf.store.objects if key.startswith("models/") and key.endswith((".csv", ".json", ".safetensors"))}
    assert {key for key, _ in shelf.store.read} == wanted
    read = len(shelf.store.read)
    again = shelf.scan()
    assert (again["files"], again["hashed"], again["models"], again["gone"], len(shelf.store.read)) == (4, 0, 1, 0, read)
    assert not list((shelf.home / "blobs").glob("??/*")), "nothing comes here unasked"


def test_what_changed_is_read_again_and_what_is_gone_leaves(shelf: Shelf) -> None:
    shelf.scan()
    before = shelf.assets()["نظرها.csv"]
    shelf.store.objects["models/نظرها.csv"] = TABLE + "میانه,0\n".encode()
    for key in [key for key in shelf.store.objects if "برت" in key]:
        del shelf.store.objects[key]
    found = shelf.scan()
    assert (found["hashed"], found["models"], found["tables"], found["gone"]) == (1, 0, 1, 1)
    [(place, after)] = shelf.assets().items()
    assert (place, after.id, after.sha256 != before.sha256) == ("نظرها.csv", before.id, True)


def test_a_scan_goes_on_where_the_link_broke_and_a_later_one_where_it_ended(shelf: Shelf) -> None:
    big = bytes(range(256)) * 20_000
    shelf.store.objects["models/big.parquet"] = big
    shelf.store.faults = [Fault("json", status=503), Fault("big.parquet", cut_after=2_000_000), Fault("big.parquet", cut_after=100)]
    found = shelf.scan()
    assert (found["hashed"], found["unreadable"], shelf.store.faults) == (4, 0, [])
    assert shelf.assets()["big.parquet"].sha256 == hashlib.sha256(big).hexdigest()
    assert any(asked.startswith("bytes=") and not asked.startswith("bytes=0-") for _, asked in shelf.store.read), "from where it broke off"
    shelf.store.objects |= {"models/a.csv": b"a\n1\n", "models/bigger.parquet": big + b"!"}
    shelf.store.faults = [Fault("bigger.parquet", status=503) for _ in range(40)]
    error = shelf.ended(shelf.begin().id).error
    assert error is not None and error["code"] == "STORE_UNREACHABLE"
    assert len(shelf.assets()) == 3, "nothing is forgotten, and nothing half known is listed"
    shelf.store.faults, read = [], len(shelf.store.read)
    assert shelf.scan()["hashed"] == 1, "what the scan in vain had read is not read again"
    assert {key for key, _ in shelf.store.read[read:]} == {"models/bigger.parquet"}


def test_what_is_damaged_there_is_found_by_a_check_and_mended_by_the_right_bytes(shelf: Shelf) -> None:
    shelf.scan()
    key = "models/نظرها.csv"
    right, mark = shelf.store.objects[key], shelf.store.etag_of(key)
    shelf.store.objects[key], shelf.store.etags[key] = right[:-1] + b"!", mark
    assert shelf.scan()["damaged"] == [], "nothing says that it changed"
    found = shelf.scan(again=True)
    assert (found["hashed"], found["damaged"]) == (3, ["نظرها.csv"])
    assert shelf.assets()["نظرها.csv"].status == "error"
    with pytest.raises(NotStored):
        shelf.bring("نظرها.csv")
    assert (shelf.scan()["damaged"], shelf.assets()["نظرها.csv"].status) == (["نظرها.csv"], "error"), "who reads nothing mends nothing"
    shelf.store.objects[key] = right
    assert shelf.scan(again=True)["damaged"] == []
    assert shelf.assets()["نظرها.csv"].status == "available"


def test_a_model_comes_here_whole_and_can_be_purged_while_it_stays_listed_there(shelf: Shelf) -> None:
    shelf.scan()
    shelf.store.faults = [Fault(cut_after=10), Fault(status=503)]
    made = shelf.bring("deep/برت")
    ended = shelf.ended(made.job.id)
    assert ended.error is None
    with shelf.database.read() as session:
        [model] = models.list_for(session, shelf.actor).items
        assert (model.title, downloads.show(session, shelf.actor, made.id).status) == ("برت", "ready")
        own = assets.of_subject(session, shelf.actor, model.versions[0].id)
    assert own.source == "local"
    for entry in model.versions[0].files:
        assert blobs.path_of(shelf.home, entry.sha256).read_bytes() == shelf.store.objects[f"models/deep/برت/{entry.path}"]
    assert (shelf.bring("deep/برت").started, shelf.assets()["deep/برت"].status) == (False, "available")
    with shelf.database.write() as session:
        models.delete(session, shelf.actor, model.id)
        assert set(purge_model(session, shelf.actor, model.id)) >= {entry.sha256 for entry in model.versions[0].files}
    assert shelf.bring("deep/برت").started, "what was thrown away may come again"


def test_a_table_becomes_a_data_set_and_other_bytes_than_the_scan_found_do_not(shelf: Shelf) -> None:
    shelf.scan()
    result = shelf.ended(shelf.bring("نظرها.csv").job.id).result
    assert result is not None
    with shelf.database.read() as session:
        dataset = next(iter(jobs.list_for(session, shelf.actor, kind="ingest").items))
    assert (shelf.ended(dataset.id).result or {})["rows"] == 2
    shelf.store.objects["models/other.csv"] = b"a,b\n1,2\n"
    shelf.scan()
    shelf.store.objects["models/other.csv"] = b"a,b\n1,3\n"
    error = shelf.ended(shelf.bring("other.csv").job.id).error
    assert error is not None and error["code"] == "HUB_SENT_OTHER_BYTES"


def test_hours_are_kept_and_viewers_bring_nothing(shelf: Shelf) -> None:
    shelf.scan()
    viewer = person(shelf.database, Role.VIEWER)
    with shelf.database.write() as session, pytest.raises(Forbidden):
        stored.bring(session, viewer, shelf.settings, shelf.assets()["نظرها.csv"].id, BringWish())
    made = shelf.bring("نظرها.csv", window=Window.model_validate({"start": "22:00", "end": "06:00", "zone": "UTC"}))
    assert made.job.terms["window"]["zone"] == "UTC"


def test_key_and_secret_stand_in_one_file_of_the_home_and_go_with_the_root(shelf: Shelf) -> None:
    shelf.scan()
    shelf.ended(shelf.bring("deep/برت").job.id)
    kept = shelf.home / "secrets" / f"{shelf.root.id}.json"
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    with_secret = {path for path in shelf.home.rglob("*") if path.is_file() and SECRET.encode() in path.read_bytes()}
    assert with_secret == {kept}, "in no plan, event, log or database"
    assert SECRET not in roots.RootOut.model_validate(shelf.root).model_dump_json()
    assert shelf.add(secret="another-one").id == shelf.root.id, "the same store once more is opened with the new key"
    assert StoreAccess.read(shelf.home, shelf.root.id).secret == "another-one"
    error = shelf.ended(shelf.begin().id).error
    assert error is not None and (error["code"], error["params"]["reason"]) == ("STORE_REFUSED", "SignatureDoesNotMatch")
    assert shelf.assets(), "a scan in vain forgets nothing"
    with shelf.database.write() as session:
        roots.remove(session, shelf.actor, shelf.settings, shelf.root.id)
    assert (kept.exists(), shelf.assets()) == (False, {})


def test_what_is_no_place_of_a_store_is_refused(shelf: Shelf) -> None:
    for changes, refusal in (
        ({"path": "s3://"}, BadStore),
        ({"path": "s3://UPPER/x"}, BadStore),
        ({"path": "s3://a/../b"}, BadStore),
        ({"path": "s3://other", "secret": None}, BadStore),
        ({"path": "s3://other", "endpoint": "http://127.0.0.1:9000/path"}, BadStore),
        ({"path": "s3://shelf"}, BadRoot),
        ({"path": "s3://shelf/models/deep"}, BadRoot),
        ({"endpoint": "http://192.0.2.1:9000"}, BadRoot),
    ):
        with pytest.raises(refusal):
            shelf.add(**changes)
    assert shelf.add(path="s3://shelf/models2").id != shelf.root.id


def test_without_the_package_the_scan_says_what_to_install(shelf: Shelf, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "hidden").mkdir()
    (tmp_path / "hidden" / "botocore.py").write_text("raise ImportError('hidden')")
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path / 'hidden'}")
    error = shelf.ended(shelf.begin().id).error
    assert error == {"code": "STORE_NOT_INSTALLED", "params": {"missing": "botocore", "extra": "s3"}}
