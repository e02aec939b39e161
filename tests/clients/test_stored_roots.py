"""An object store as a root, by terminal, SDK, API and page: added, listed, taken away by parts, brought here; its secret is kept."""

import hashlib
import io
import json
import os
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from support.model_folders import make_folder
from support.s3_server import KEY, SECRET, FakeStore, fake_store
from support.server import Server, running_with_admin

from kargah.client import Kargah

TABLE = ("text,label\n" + "خوب,1\nبد,0\n" * 2000).encode()


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FakeStore]:
    bert = make_folder(tmp_path_factory.mktemp("bert") / "bert")
    objects = {f"models/برت/{path.name}": path.read_bytes() for path in bert.iterdir()}
    with fake_store(**objects, **{"models/reviews.csv": TABLE, "models/changing.csv": TABLE}) as store:
        yield store


@pytest.fixture(scope="module")
def workshop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with running_with_admin(tmp_path_factory.mktemp("stored") / "home", job_threads=1, hub_patience_minutes=0.02) as running:
        yield running


@pytest.fixture(scope="module")
def root(workshop: Server, store: FakeStore) -> dict[str, Any]:
    """Added by the terminal."""
    asked = ["add-root", "s3://shelf/models", "--name", "انبار", "--endpoint", store.url, "--key", KEY, "--json"]
    made = kargah(workshop, *asked, KARGAH_STORE_SECRET=SECRET)
    assert made.returncode == 0, made.stderr
    assert SECRET not in made.stdout + made.stderr
    root: dict[str, Any] = json.loads(made.stdout)
    return root


def kargah(server: Server, *arguments: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "kargah", "--language", "en", "storage", *arguments]
    known = {**os.environ, "KARGAH_SERVER": server.url, "KARGAH_TOKEN": server.token, **environment}
    return subprocess.run(command, capture_output=True, text=True, env=known, stdin=subprocess.DEVNULL, timeout=200)


def found(server: Server, name: str) -> dict[str, Any]:
    with Kargah(server.url, server.token) as client:
        return next(one for one in client.storage.found() if one["name"] == name)


def test_a_root_is_added_listed_and_scanned_by_the_terminal(workshop: Server, store: FakeStore, root: dict[str, Any]) -> None:
    assert (root["path"], root["endpoint"], root["summary"]["models"], root["summary"]["tables"]) == ("s3://shelf/models", store.url, 1, 2)
    listed = kargah(workshop, "found", root["id"]).stdout
    assert all(place in listed for place in ("برت", "reviews.csv", "changing.csv"))
    again = json.loads(kargah(workshop, "scan", root["id"], "--again", "--json").stdout)["summary"]
    assert (again["hashed"], again["damaged"]) == (4, [])
    shown = workshop.client().get("/api/v1/roots").text + workshop.client().get("/api/v1/storage").text
    assert (SECRET in shown, '"key"' in shown) == (False, False)
    documented = next(one for one in workshop.client().get("/api/assets/roots").json()["data"] if one["id"] == root["id"])
    assert (documented["readOnly"], documented["available"], documented["count"]) == (True, True, 3)
    registered = workshop.client().post("/api/assets/register", json={"path": "s3://shelf/models/reviews.csv"})
    assert registered.json()["data"]["sha256"] == hashlib.sha256(TABLE).hexdigest()


def test_a_file_is_passed_on_whole_or_by_parts_and_a_model_as_a_zip(workshop: Server, store: FakeStore, root: dict[str, Any]) -> None:
    client, asset = workshop.client(), found(workshop, "reviews.csv")
    for address in (f"/api/v1/assets/{asset['id']}/download", f"/api/assets/download/{asset['id']}"):
        whole = client.get(address)
        assert (whole.status_code, whole.content, whole.headers["ETag"]) == (200, TABLE, f'"{asset["sha256"]}"')
        part = client.get(address, headers={"Range": "bytes=100-199"})
        assert (part.status_code, part.content, part.headers["Content-Range"]) == (206, TABLE[100:200], f"bytes 100-199/{len(TABLE)}")
        rest = client.get(address, headers={"Range": "bytes=200-", "If-Range": whole.headers["ETag"]})
        assert (rest.status_code, rest.content) == (206, TABLE[200:])
        other = client.get(address, headers={"Range": "bytes=0-9", "If-Range": '"another"'})
        assert (other.status_code, other.content) == (200, TABLE)
        assert client.get(address, headers={"Range": f"bytes={len(TABLE)}-"}).status_code == 416
    packed = client.get(f"/api/v1/assets/{found(workshop, 'برت')['id']}/download")
    with zipfile.ZipFile(io.BytesIO(packed.content)) as archive:
        assert {name: archive.read(name) for name in archive.namelist()} == {
            key.rpartition("/")[2]: content for key, content in store.objects.items() if "برت" in key
        }
    assert httpx.get(f"{workshop.url}/api/v1/assets/{asset['id']}/download").status_code == 401


def test_what_changed_since_the_scan_is_refused_and_what_changed_unsaid_never_arrives_whole(
    workshop: Server, store: FakeStore, root: dict[str, Any]
) -> None:
    client, key = workshop.client(), "models/changing.csv"
    address = f"/api/v1/assets/{found(workshop, 'changing.csv')['id']}/download"
    mark = store.etag_of(key)
    store.objects[key] = TABLE.replace(b"1", b"2")
    changed = client.get(address)
    assert (changed.status_code, changed.json()["code"]) == (409, "OBJECT_CHANGED")
    store.etags[key] = mark
    with pytest.raises(httpx.RemoteProtocolError):
        client.get(address)
    store.is_locked = True
    refused = client.get(address)
    assert (refused.status_code, refused.json()["code"], refused.json()["params"]["reason"]) == (502, "STORE_REFUSED", "AccessDenied")
    store.is_locked = False
    store.objects[key], store.etags = TABLE, {}


def test_what_is_brought_here_is_a_model_and_a_data_set_from_then_on(workshop: Server, root: dict[str, Any]) -> None:
    model = json.loads(kargah(workshop, "bring", found(workshop, "برت")["id"], "--json").stdout)
    assert (model["status"], model["model_id"] is not None) == ("ready", True)
    with Kargah(workshop.url, workshop.token) as client:
        table = client.storage.bring(found(workshop, "reviews.csv")["id"])
        dataset = client.datasets.show(table["dataset_id"])
        client.jobs.wait(str(dataset.model_dump()["job_id"]))
        assert len(client.transport.json("GET", f"/api/v1/datasets/{dataset.id}/preview")["rows"]) > 2
        assert client.storage.bring(found(workshop, "reviews.csv")["id"])["started"] is False
    page = _page(workshop)
    assert f"/models/{model['model_id']}" in page and f"/datasets/{dataset.id}" in page


def _page(workshop: Server) -> str:
    client = httpx.Client(base_url=workshop.url, cookies={"kargah_session": workshop.token}, headers={"Accept-Language": "en"}, timeout=20)
    with client:
        return client.get("/models/storage").raise_for_status().text


def test_the_page_adds_a_store_and_says_at_once_what_is_wrong_with_it(workshop: Server, store: FakeStore, root: dict[str, Any]) -> None:
    with httpx.Client(base_url=workshop.url, cookies={"kargah_session": workshop.token}, timeout=60) as browser:
        csrf = browser.get("/models/storage").text.partition('name="_csrf" value="')[2].partition('"')[0]
        form = {"_csrf": csrf, "bucket": "s3://shelf/more", "endpoint": store.url, "key": KEY, "secret": SECRET}
        for changes, status, field, said in (
            ({"bucket": "/mnt/disk"}, 422, "bucket", "s3://bucket"),
            ({"secret": "wrong"}, 502, "bucket", "SignatureDoesNotMatch"),
            ({"key": "nobody"}, 502, "bucket", "InvalidAccessKeyId"),
            ({"secret": ""}, 422, "secret", ""),
            ({"bucket": "s3://nowhere"}, 502, "bucket", "NoSuchBucket"),
            ({"endpoint": "ftp://host"}, 422, "endpoint", ""),
            ({"endpoint": "http://127.0.0.1:1"}, 502, "bucket", "http://127.0.0.1:1"),
            ({"region": "no region"}, 422, "region", ""),
        ):
            refused = browser.post("/models/storage/stores", data={**form, **changes})
            assert (refused.status_code, f'id="{field}-error"' in refused.text, said in refused.text) == (status, True, True), changes
            assert SECRET not in refused.text
        added = browser.post("/models/storage/stores", data=form)
        assert (added.status_code, added.headers["location"]) == (303, "/models/storage?done=root_added")
        wish = {"_csrf": csrf, "asset": found(workshop, "changing.csv")["id"], "window_start": "22:00", "window_end": ""}
        assert 'id="window_end-error"' in browser.post("/models/storage/bring", data=wish).text
        begun = browser.post("/models/storage/bring", data={**wish, "window_end": "06:00"})
        assert (begun.status_code, begun.headers["location"]) == (303, "/models/storage?done=bring_started")
        [made] = [one for one in workshop.client().get("/api/v1/downloads").json()["items"] if one["repository"] == wish["asset"]]
        assert made["job"]["terms"]["window"]["start"] == "22:00:00"


def test_only_admins_add_stores_and_nobody_is_asked_for_others(workshop: Server, store: FakeStore, root: dict[str, Any]) -> None:
    account = {"email": "trainer@example.org", "password": "انار دانه‌دانه", "name": "trainer", "role": "trainer"}
    workshop.client().post("/api/v1/users", json=account).raise_for_status()
    login = {"email": account["email"], "password": account["password"]}
    token = httpx.post(f"{workshop.url}/api/v1/auth/login", json=login).json()["token"]
    wish = {"path": "s3://shelf/theirs", "endpoint": store.url, "key": KEY, "secret": SECRET}
    trainer = httpx.Client(base_url=workshop.url, headers={"Authorization": f"Bearer {token}"})
    with trainer:
        assert trainer.post("/api/v1/roots", json=wish).status_code == 403
        assert not any("theirs" in prefix for prefix in store.listed), "no question goes out for them"
        assert any("models" in prefix for prefix in store.listed)
        assert trainer.get(f"/api/v1/assets/{found(workshop, 'reviews.csv')['id']}/download").content == TABLE


def test_a_server_without_the_package_says_what_to_install(tmp_path: Path, store: FakeStore) -> None:
    (tmp_path / "hidden").mkdir()
    (tmp_path / "hidden" / "botocore.py").write_text("raise ImportError('hidden')")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(tmp_path / "hidden"))
        with running_with_admin(tmp_path / "home") as bare:
            wish = {"path": "s3://shelf/models", "endpoint": store.url, "key": KEY, "secret": SECRET}
            for language, said in (("en", 'pip install "kargah[s3]"'), ("fa", "نصب نیست")):
                answer = bare.client().post("/api/v1/roots", json=wish, headers={"Accept-Language": language})
                assert (answer.status_code, answer.json()["code"], said in answer.json()["detail"]) == (503, "STORE_NOT_INSTALLED", True)
            assert bare.client().get("/api/v1/roots").json()["items"] == []
