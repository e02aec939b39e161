"""A home on a disk that is really full, the database with it: what people bring, and what is on its way, at every stage of it.

What cannot be kept is refused with the words for it and leaves nothing behind; what was begun keeps what it has and goes on once there
is room; nobody sees an error that nobody meant.
"""

import base64
import hashlib
import json
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from support import bundles
from support.disks import SmallDisk, small_disk
from support.hub_server import FakeHub, Fault, Repository, fake_hub
from support.model_folders import make_folder
from support.s3_server import KEY, SECRET, FakeStore, fake_store
from support.server import Server, running_with_admin

from kargah.client import Kargah
from kargah.kit import files

HUB_MODEL = "HooshvareLab/albert-fa-zwnj-base-v2"
LARGE = os.urandom(12_000_000)
TABLE = ("text,label\n" + "خوب بود,مثبت\nبد بود,منفی\n" * 200_000).encode()
BINARY = {"Content-Type": "application/offset+octet-stream"}
#: What is there whatever happens: database, logs, who is up, folders of attempts.
OF_THE_WORKSHOP = ("kargah.db", "serve.log", "run/", "jobs/", "logs/", "hardware", "tmp/")
PAGES = ("/", "/models", "/models/catalogue", "/models/resources", "/models/storage", "/models/trash", "/datasets", "/runs", "/notices")
ENDED = {"COMPLETED", "FAILED", "STOPPED"}


@dataclass
class Workshop:
    server: Server
    disk: SmallDisk
    hub: FakeHub
    store: FakeStore
    #: A folder of models that the server may read, on another disk.
    usb: Path

    def __post_init__(self) -> None:
        self.http = self.server.client()

    @property
    def ballast(self) -> Path:
        return self.server.home / "kargah.db.ballast"

    def files(self) -> dict[str, int]:
        """Of what people brought: path to size."""
        home = self.server.home
        found = {path.relative_to(home).as_posix(): path for path in home.rglob("*") if path.is_file()}
        return {name: path.stat().st_size for name, path in found.items() if not name.startswith(OF_THE_WORKSHOP)}

    def job(self, job_id: str) -> dict[str, Any]:
        job: dict[str, Any] = self.http.get(f"/api/v1/jobs/{job_id}").raise_for_status().json()
        return job

    def until(self, is_so: Callable[[], Any], seconds: float = 120.0) -> Any:
        """A limit against hanging, not a measurement."""
        until = time.monotonic() + seconds
        while not (found := is_so()):
            assert time.monotonic() < until, f"it never came to that\n{self.server.log()[-3000:]}"
            time.sleep(0.1)
        return found

    def goes_on_after_a_full_disk(self, job_id: str) -> dict[str, Any]:
        """Fills the disk, waits until the job has said that it waits for room, makes some, and returns the job at its end."""
        self.disk.fill()

        def waits() -> bool:
            job = self.job(job_id)
            assert job["state"] not in ENDED, job
            return bool((job["waiting"] or {}).get("code") == "DISK_FULL")

        self.until(waits)
        assert self.http.get("/models", headers={"Accept": "text/html"}).status_code == 200
        self.disk.make_room()
        job: dict[str, Any] = self.until(lambda: (now := self.job(job_id))["state"] in ENDED and now)
        return job


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workshop]:
    place = tmp_path_factory.mktemp("no-room")
    content = {path.name: path.read_bytes() for path in make_folder(place / "far").iterdir()} | {"tokenizer.json": LARGE}
    objects = {f"models/far/{name}": held for name, held in content.items()}
    objects |= {"models/far/tokenizer.json": os.urandom(len(LARGE)), "models/table.csv": TABLE + b"\n"}
    usb = place / "usb"
    usb.mkdir()
    (make_folder(usb / "bert") / "tokenizer.json").write_bytes(os.urandom(len(LARGE)))
    with small_disk(place / "disk", 320) as disk, fake_hub(**{HUB_MODEL: Repository(content)}) as hub, fake_store(**objects) as store:
        settings = {"import_roots": [str(usb)], "url_import_allow": ["127.0.0.1"], "hub_urls": [hub.url]}
        told = {name: json.dumps(value) for name, value in settings.items()}
        with running_with_admin(disk.path / "home", **told, job_threads=1, hub_patience_minutes=2) as server:
            yield Workshop(server, disk, hub, store, usb)


@pytest.fixture(autouse=True)
def room_again(shop: Workshop) -> Iterator[None]:
    shop.until(shop.ballast.exists)
    yield
    shop.disk.make_room()
    shop.hub.bytes_per_second = None
    shop.hub.always = None


def refused(answer: httpx.Response) -> None:
    assert answer.status_code == 507, answer.text
    assert "Not enough room" in answer.text


@pytest.mark.parametrize("left_bytes", [0, 200_000, 2_000_000])
def test_what_there_is_no_room_for_is_refused_and_leaves_nothing_behind(shop: Workshop, left_bytes: int) -> None:
    usb_bundle = shop.usb / "a.kargah"
    usb_bundle.write_bytes(bundles.made(shop.server.home, bundles.model_files(shop.usb.parent / f"bundled-{left_bytes}")))
    repository = created(shop, f"full-{left_bytes}")
    held = base64.b64encode(LARGE[:3_000_000]).decode()
    lines = [{"key": "header", "value": {"summary": "x", "description": ""}}]
    lines.append({"key": "file", "value": {"path": "a.bin", "content": held, "encoding": "base64"}})
    pushed = b"".join(json.dumps(line).encode() + b"\n" for line in lines)
    before = shop.files()
    shop.disk.fill(left_bytes)
    http = shop.http
    refused(http.post("/api/v1/datasets", files={"file": ("t.csv", TABLE)}, data={"title": "داده"}))
    refused(http.post("/api/v1/models/upload", files={"file": ("m.zip", LARGE)}, data={"title": "مدل"}))
    refused(http.post("/api/v1/uploads", json={"filename": "t.csv", "size_bytes": len(TABLE)}))
    refused(http.post("/api/v1/models/import", json={"folder": str(shop.usb / "bert")}))
    refused(http.post("/api/v1/downloads", json={"repository": HUB_MODEL, "kind": "model"}))
    refused(http.post("/api/models/download/start", json={"modelId": HUB_MODEL}))
    refused(http.post("/api/v1/bundles", json={"path": str(usb_bundle)}))
    refused(batch(shop, repository, LARGE))
    refused(http.post(f"/hub/api/models/{repository}/commit/main", content=pushed, headers={"Content-Type": "application/x-ndjson"}))
    for page in PAGES:
        assert http.get(page, headers={"Accept": "text/html"}).status_code == 200, page
    assert shop.files() == before


def created(shop: Workshop, name: str) -> str:
    answer = shop.http.post("/hub/api/repos/create", json={"name": name})
    assert answer.status_code == 200, answer.text
    return str(answer.json()["url"].partition("/hub/")[2])


def batch(shop: Workshop, repository: str, content: bytes) -> httpx.Response:
    objects = [{"oid": hashlib.sha256(content).hexdigest(), "size": len(content)}]
    return shop.http.post(f"/hub/{repository}.git/info/lfs/objects/batch", json={"operation": "upload", "objects": objects})


def halves(shop: Workshop, content: bytes) -> Iterator[bytes]:
    """The disk is filled while they are on their way."""
    middle = len(content) // 2
    yield content[:middle]
    time.sleep(0.5)
    shop.disk.fill()
    yield content[middle:]


def test_what_is_on_its_way_when_the_disk_gets_full_is_refused_and_leaves_nothing_behind(shop: Workshop) -> None:
    repository = created(shop, "halfway")
    place = batch(shop, repository, LARGE).json()["objects"][0]["actions"]["upload"]["href"]
    before = shop.files()
    form = b'--x\r\nContent-Disposition: form-data; name="file"; filename="t.csv"\r\n\r\n' + TABLE + b"\r\n--x--\r\n"
    for method, address, content, kind in (
        ("POST", "/api/v1/datasets", form, "multipart/form-data; boundary=x"),
        ("POST", "/api/v1/models/upload", form, "multipart/form-data; boundary=x"),
        ("PUT", place, LARGE, "application/octet-stream"),
    ):
        headers = {"Content-Type": kind, "Content-Length": str(len(content))}
        refused(shop.http.request(method, address, content=halves(shop, content), headers=headers))
        shop.disk.make_room()
        assert shop.files() == before, address
    assert shop.http.put(place, content=LARGE).status_code == 200, "with room it is taken"


def test_a_file_that_comes_by_pieces_keeps_what_has_come_and_is_whole_in_the_end(shop: Workshop) -> None:
    wish = {"filename": "t.csv", "size_bytes": len(TABLE), "sha256": hashlib.sha256(TABLE).hexdigest()}
    begun = shop.http.post("/api/v1/uploads", json=wish).json()
    place, middle = f"/api/v1/uploads/{begun['id']}", len(TABLE) // 2

    def send(start: int, end: int) -> httpx.Response:
        return shop.http.patch(place, content=TABLE[start:end], headers={"Upload-Offset": str(start), **BINARY})

    assert send(0, middle).is_success
    shop.disk.fill()
    refused(send(middle, len(TABLE)))
    there = shop.http.get(place).json()["offset"]
    assert middle <= there < len(TABLE)
    shop.disk.make_room()
    assert send(there, len(TABLE)).is_success
    made = shop.http.post(f"{place}/finish", json={"title": "به تکه"})
    assert (made.status_code, made.json()["sha256"]) == (201, wish["sha256"])
    done = shop.until(lambda: (job := shop.job(made.json()["job_id"]))["state"] in ENDED and job)
    assert done["state"] == "COMPLETED"


def test_a_download_keeps_what_has_come_and_fetches_the_rest_when_there_is_room(shop: Workshop) -> None:
    shop.hub.bytes_per_second = 800_000
    before = shop.hub.sent_bytes
    job_id = begin_download(shop)
    shop.until(lambda: shop.hub.sent_bytes - before > 2_000_000)
    done = shop.goes_on_after_a_full_disk(job_id)
    assert (done["state"], done["error"]) == ("COMPLETED", None)
    assert shop.hub.sent_bytes - before < 1.01 * (len(LARGE) + 2_000)
    arrived(shop)


def begin_download(shop: Workshop) -> str:
    answer = shop.http.post("/api/v1/downloads", json={"repository": HUB_MODEL, "kind": "model"})
    assert answer.status_code == 201, answer.text
    return str(answer.json()["job"]["id"])


def arrived(shop: Workshop) -> None:
    """It is here, whole, with nothing left of its way; and goes for good, that the next may come."""
    model = next(one for one in shop.http.get("/api/v1/models").json()["items"] if "albert" in json.dumps(one))
    sha256 = hashlib.sha256(LARGE).hexdigest()
    assert hashlib.sha256((shop.server.home / "blobs" / sha256[:2] / sha256).read_bytes()).hexdigest() == sha256
    assert not [name for name in shop.files() if ".part" in name or ".have" in name]
    for wish in ({}, {"purge": True}):
        shop.http.delete(f"/api/v1/models/{model['id']}", params=wish).raise_for_status()


def test_a_file_that_came_wrong_and_comes_again_when_the_disk_gets_full_is_right_in_the_end(shop: Workshop) -> None:
    """This hub tells no hashes of pieces, so all of it comes again."""
    shop.hub.always = Fault(flip_at=1_000_000)  # of the large file alone
    shop.hub.bytes_per_second = 1_500_000
    before = shop.hub.sent_bytes
    job_id = begin_download(shop)
    shop.until(lambda: shop.hub.sent_bytes - before > 1_000_000)
    shop.hub.always = None
    shop.until(lambda: shop.hub.sent_bytes - before > len(LARGE) + 1_000_000)
    done = shop.goes_on_after_a_full_disk(job_id)
    assert (done["state"], done["error"]) == ("COMPLETED", None)
    arrived(shop)


@pytest.mark.parametrize("name", ["far", "table.csv"])
def test_what_is_brought_from_an_object_store_goes_on_when_there_is_room(shop: Workshop, name: str) -> None:
    with Kargah(shop.server.url, shop.server.token) as kargah:
        wish = {"endpoint": shop.store.url, "key": KEY, "secret": SECRET}
        root = next(iter(kargah.storage.roots()), None) or kargah.storage.add_root("s3://shelf/models", **wish)
        found = next(one for one in kargah.storage.found(root["id"]) if one["name"] == name)
        job_id = kargah.storage.bring(found["id"], wait=False, bytes_per_second=1_500_000)["job"]["id"]
        shop.until(lambda: shop.job(job_id)["progress"].get("done"))
        done = shop.goes_on_after_a_full_disk(job_id)
        assert (done["state"], done["error"]) == ("COMPLETED", None)
        assert kargah.storage.bring(found["id"])["status"] == "ready"


def test_a_bundle_that_finds_the_disk_full_is_taken_in_when_there_is_room(shop: Workshop) -> None:
    contents = bundles.model_files(shop.usb.parent / "bundled") | {"tokenizer.json": LARGE}
    path = shop.usb / "large.kargah"
    path.write_bytes(bundles.made(shop.server.home, contents))
    with Kargah(shop.server.url, shop.server.token) as kargah:
        job_id = kargah.bundles.import_path(path, wait=False)["job"]["id"]
        done = shop.goes_on_after_a_full_disk(job_id)
        assert (done["state"], done["error"]) == ("COMPLETED", None)
    assert not [name for name in shop.files() if name.endswith((".part", ".tmp"))]


def test_on_a_full_disk_what_is_not_wanted_can_be_thrown_away_for_good(shop: Workshop) -> None:
    with Kargah(shop.server.url, shop.server.token) as kargah:
        model = kargah.models.upload(shop.usb / "bert", title="رفتنی")
        shop.disk.fill()
        place = f"/api/v1/models/{model['id']}"
        shop.until(lambda: shop.http.delete(place).is_success)
        shop.until(lambda: shop.http.delete(place, params={"purge": True}).is_success)
        assert files.free_bytes(shop.disk.path) >= len(LARGE)
