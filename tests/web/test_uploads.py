"""Files that come in pieces: nothing that arrived is sent twice, nothing that did not arrive is believed."""

import hashlib
import os
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from support.sites import Site, open_site

from kargah.assets import blobs
from kargah.assets.uploads import part_of
from kargah.datasets.tables import Dataset, DatasetVersion
from kargah.jobs.tables import Job

CONTENT = "متن,برچسب\n".encode() + "خوب بود,مثبت\n".encode() * 4000
SHA256 = hashlib.sha256(CONTENT).hexdigest()
HALF = len(CONTENT) // 2


def begin(client: httpx.Client, content: bytes = CONTENT, **other: Any) -> dict[str, Any]:
    answer = client.post("/api/v1/uploads", json={"filename": "نظرها.csv", "size_bytes": len(content), **other})
    assert answer.is_success, answer.text
    begun: dict[str, Any] = answer.json()
    return begun


def add(client: httpx.Client, upload_id: str, offset: int, content: bytes) -> httpx.Response:
    headers = {"Upload-Offset": str(offset), "Content-Type": "application/offset+octet-stream"}
    return client.patch(f"/api/v1/uploads/{upload_id}", content=content, headers=headers)


def offset_of(client: httpx.Client, upload_id: str) -> int:
    return int(client.head(f"/api/v1/uploads/{upload_id}").headers["upload-offset"])


@contextmanager
def sending(site: Site, upload_id: str, offset: int, content: bytes) -> Iterator[None]:
    """As a computer whose cable is pulled out at the end: it says that more will come, and is gone."""
    host, port = site.url.removeprefix("http://").split(":")
    head = (
        f"PATCH /api/v1/uploads/{upload_id} HTTP/1.1\r\nHost: {host}:{port}\r\nAuthorization: Bearer {site.tokens['admin']}\r\n"
        f"Upload-Offset: {offset}\r\nContent-Type: application/offset+octet-stream\r\nContent-Length: {len(content) + 5000}\r\n\r\n"
    )
    with socket.create_connection((host, int(port))) as link:
        link.sendall(head.encode() + content)
        yield


def test_a_file_goes_on_after_a_dropped_link_and_a_new_server_and_is_whole(tmp_path: Path) -> None:
    with open_site(tmp_path) as site:
        site.register("admin")
        tokens = dict(site.tokens)
        client = site.client("admin")
        begun = begin(client, fingerprint="نظرها-1")
        assert (begun["offset"], begun["chunk_bytes"] > 0) == (0, True)
        assert add(client, begun["id"], 0, CONTENT[:1000]).headers["upload-offset"] == "1000"
        with sending(site, begun["id"], 1000, CONTENT[1000:HALF]):
            for _ in range(1000):
                if offset_of(client, begun["id"]) == HALF:
                    break
                time.sleep(0.02)
        assert offset_of(client, begun["id"]) == HALF
    with open_site(tmp_path) as site:
        site.tokens = tokens
        client = site.client("admin")
        again = begin(client, fingerprint="نظرها-1")
        assert (again["id"], again["offset"]) == (begun["id"], HALF)
        assert [item["id"] for item in client.get("/api/v1/uploads").json()["items"]] == [begun["id"]]
        assert client.post(f"/api/v1/uploads/{begun['id']}/finish", json={}).json()["code"] == "UPLOAD_INCOMPLETE"
        assert add(client, begun["id"], HALF, CONTENT[HALF:]).status_code == 204
        made = client.post(f"/api/v1/uploads/{begun['id']}/finish", json={"sha256": SHA256, "title": "نظرها"})
        assert made.status_code == 201, made.text
        told_again = client.post(f"/api/v1/uploads/{begun['id']}/finish", json={"sha256": SHA256})
        assert told_again.json() == made.json()
        assert blobs.path_of(tmp_path, SHA256).read_bytes() == CONTENT
        assert not part_of(tmp_path, begun["id"]).exists()
        assert client.get("/api/v1/uploads").json()["items"] == []
        assert [item["title"] for item in client.get("/api/v1/datasets").json()["items"]] == ["نظرها"]


def test_what_is_sent_to_the_wrong_place_is_refused_with_the_right_one(site: Site) -> None:
    client = site.client("trainer")
    begun = begin(client)
    add(client, begun["id"], 0, CONTENT[:100])
    for offset in (0, 50, 200):
        refused = add(client, begun["id"], offset, CONTENT[offset : offset + 10])
        assert (refused.status_code, refused.json()["code"], refused.headers["upload-offset"]) == (409, "UPLOAD_OFFSET", "100")
    assert offset_of(client, begun["id"]) == 100
    assert add(client, begun["id"], 100, CONTENT).status_code == 413
    assert offset_of(client, begun["id"]) <= len(CONTENT)
    for who in ("admin", "stranger"):
        assert site.client(who).get(f"/api/v1/uploads/{begun['id']}").status_code == 404
        assert add(site.client(who), begun["id"], 100, b"x").status_code == 404
    assert client.delete(f"/api/v1/uploads/{begun['id']}").status_code == 204
    assert not part_of(site.settings.home, begun["id"]).exists()
    assert client.head(f"/api/v1/uploads/{begun['id']}").status_code == 404
    assert site.client("viewer").post("/api/v1/uploads", json={"filename": "a.csv", "size_bytes": 1}).status_code == 403


def test_a_file_that_is_not_what_its_sender_has_is_refused_and_begun_again(site: Site) -> None:
    client = site.client("trainer")
    spoiled = CONTENT[:-1] + b"x"
    begun = begin(client, sha256=SHA256)
    add(client, begun["id"], 0, spoiled)
    refused = client.post(f"/api/v1/uploads/{begun['id']}/finish", json={})
    assert (refused.status_code, refused.json()["code"]) == (422, "HASH_DIFFERS")
    assert not blobs.path_of(site.settings.home, hashlib.sha256(spoiled).hexdigest()).exists()
    assert offset_of(client, begun["id"]) == 0
    add(client, begun["id"], 0, CONTENT)
    assert client.post(f"/api/v1/uploads/{begun['id']}/finish", json={}).json()["sha256"] == SHA256


def test_a_small_file_is_checked_by_the_hash_beside_it(site: Site) -> None:
    client = site.client("trainer")

    def sent(sha256: str) -> httpx.Response:
        return client.post("/api/v1/datasets", files={"file": ("کوچک.csv", CONTENT[:500])}, data={"_sha256": sha256})

    right = hashlib.sha256(CONTENT[:500]).hexdigest()
    refused = sent(SHA256)
    assert (refused.status_code, refused.json()["code"], refused.json()["params"]["path"]) == (422, "HASH_DIFFERS", "کوچک.csv")
    assert not blobs.path_of(site.settings.home, right).exists()
    assert sent(right).status_code == 201


def test_how_letters_are_read_is_chosen_for_a_data_set_by_every_way_in(site: Site) -> None:
    client = site.client("trainer")

    def steps_of(answer: httpx.Response) -> dict[str, Any]:
        made = answer.raise_for_status().json()
        with site.database.read() as session:
            plan = session.get_one(Job, made.get("job_id") or made["version"]["job_id"]).plan
        return dict(plan["normaliser"])

    def sent(normaliser: str) -> httpx.Response:
        return client.post("/api/v1/datasets", files={"file": ("کوچک.csv", CONTENT[:500])}, data={"normaliser": normaliser})

    usual = steps_of(sent(""))
    assert (usual["letters"], usual["digits"]) == (True, "keep")
    assert steps_of(sent('{"letters": false, "digits": "latin"}')) == {**usual, "letters": False, "digits": "latin"}
    begun = begin(client)
    add(client, begun["id"], 0, CONTENT)
    finished = client.post(f"/api/v1/uploads/{begun['id']}/finish", json={"normaliser": {"zwnj": False}})
    assert steps_of(finished) == {**usual, "zwnj": False}
    for wrong in ("{", "[1]", '{"spelling": true}', "[" * 1500):
        refused = sent(wrong)
        assert (refused.status_code, refused.json()["params"]["field"].partition(".")[0]) == (422, "normaliser"), refused.text

    dataset = finished.json()["dataset_id"]
    with site.database.write() as session:
        version = session.get_one(DatasetVersion, finished.json()["version_id"])
        version.state, version.normaliser = "READY", {**usual, "zwnj": False}
        session.get_one(Dataset, dataset).current_version_id = version.id
    newer = client.put(f"/api/v1/datasets/{dataset}/versions", params={"filename": "نو.csv"}, content=CONTENT)
    assert steps_of(newer) == {**usual, "zwnj": False}


def test_what_may_come_is_said_first_and_held(make_site: Callable[..., Site]) -> None:
    site = make_site(upload_limit_bytes=50_000, user_quota_bytes=30_000)
    site.register("admin")
    client = site.client("admin")
    assert client.get("/api/v1/uploads").json()["limits"]["most_bytes"] == 30_000
    begin(client, b"x" * 20_000)
    known = client.get("/api/v1/uploads").json()["limits"]
    assert (known["file_bytes"], known["quota_left_bytes"], known["most_bytes"]) == (50_000, 10_000, 10_000)
    refusals = {60_000: (413, "TOO_LARGE"), 20_000: (413, "QUOTA_EXCEEDED")}
    for size_bytes, refusal in refusals.items():
        refused = client.post("/api/v1/uploads", json={"filename": "a.csv", "size_bytes": size_bytes})
        assert (refused.status_code, refused.json()["code"]) == refusal
        whole = client.put("/api/v1/datasets?filename=a.csv", content=b"x" * size_bytes)
        assert whole.status_code == 413, whole.text
    untold = client.put("/api/v1/datasets?filename=a.csv", content=iter([b"x" * 5000] * 3))
    assert (untold.status_code, untold.json()["code"]) == (413, "TOO_LARGE")


def test_what_nobody_goes_on_with_is_thrown_away(make_site: Callable[..., Site]) -> None:
    site = make_site(unfinished_upload_days=1)
    site.register("admin")
    client = site.client("admin")
    old, fresh = begin(client, fingerprint="old-file"), begin(client, fingerprint="fresh-file")
    folder = site.settings.home / "blobs" / "incoming"
    leaving = folder / "4711.deadbeef"
    leaving.write_bytes(b"left by a process that died")
    two_days_ago = time.time() - 2 * 86_400
    for path in (part_of(site.settings.home, old["id"]), leaving):
        os.utime(path, (two_days_ago, two_days_ago))
    with site.database.engine.begin() as connection:
        connection.exec_driver_sql("UPDATE uploads SET created_at = '2020-01-01 00:00:00'")
    third = begin(client, fingerprint="third-file")
    assert {item["id"] for item in client.get("/api/v1/uploads").json()["items"]} == {fresh["id"], third["id"]}
    assert {path.stem for path in folder.iterdir()} == {fresh["id"], third["id"]}


@pytest.mark.parametrize("name", ["../../نام.csv", "C:\\Windows\\نام.csv", "/etc/نام.csv", "\u202eنام.csv", "نام.csv\r\nX: y"])
def test_a_hostile_name_is_shown_and_never_a_path(site: Site, name: str) -> None:
    client = site.client("trainer")
    before = {path for path in site.settings.home.rglob("*") if "نام" in path.name}
    answer = client.post("/api/v1/uploads", json={"filename": name, "size_bytes": len(CONTENT)})
    begun = answer.json()
    add(client, begun["id"], 0, CONTENT)
    made = client.post(f"/api/v1/uploads/{begun['id']}/finish", json={}).json()
    dataset = client.get(f"/api/v1/datasets/{made['dataset_id']}").json()
    assert dataset["title"] == "نام" or name.endswith("y")
    assert dataset["version"]["source_filename"].startswith("نام.csv")
    assert {path for path in site.settings.home.rglob("*") if "نام" in path.name} == before == set()


def test_what_leads_inside_is_refused_before_a_job_is_made(site: Site) -> None:
    client = site.client("trainer")
    before = len(client.get("/api/v1/jobs").json()["items"])
    refused = {"http://127.0.0.1/a.csv": "ADDRESS_REFUSED", "http://[::1]/a.csv": "ADDRESS_REFUSED", "file:///etc/passwd": "BAD_URL"}
    refused |= {"http://u:secret@example.org/a.csv": "BAD_URL", "http://169.254.169.254/": "ADDRESS_REFUSED"}
    for url, code in refused.items():
        answer = client.post("/api/v1/datasets/import-url", json={"url": url})
        assert (answer.status_code, answer.json()["code"], "secret" in answer.text) == (422, code, False)
    assert len(client.get("/api/v1/jobs").json()["items"]) == before
    assert site.client("viewer").post("/api/v1/datasets/import-url", json={"url": "https://example.org/a.csv"}).status_code == 403


def test_a_path_of_the_server_is_taken_from_below_its_roots_only(make_site: Callable[..., Site], tmp_path: Path) -> None:
    root = tmp_path / "داده"
    (root / "پوشه").mkdir(parents=True)
    (root / "نظرها.csv").write_bytes(CONTENT)
    for name in ("train.csv", "test.csv"):
        (root / "پوشه" / name).write_bytes(CONTENT)
    (tmp_path / "secret.csv").write_bytes(CONTENT)
    (root / "link.csv").symlink_to(tmp_path / "secret.csv")
    site = make_site(import_roots=[str(root)], upload_limit_bytes=1 << 20)
    site.register("admin")
    client = site.client("admin")

    def asked(path: Path) -> httpx.Response:
        return client.post("/api/v1/datasets/import-path", json={"path": str(path)})

    made = {path.name: asked(path).json() for path in (root / "نظرها.csv", root / "پوشه")}
    assert {name: item["version"]["source_filename"] for name, item in made.items()} == {"نظرها.csv": "نظرها.csv", "پوشه": "پوشه.zip"}
    assert blobs.path_of(site.settings.home, SHA256).read_bytes() == CONTENT
    assert (root / "نظرها.csv").read_bytes() == CONTENT
    for path in (
        tmp_path / "secret.csv",
        root / "link.csv",
        root / ".." / "secret.csv",
        root / "none.csv",
        Path("/etc/passwd"),
        Path("/dev/zero"),
    ):
        assert (asked(path).status_code, asked(path).json()["code"]) == (403, "DATA_PATH_NOT_ALLOWED")
    (root / "large.csv").write_bytes(b"x" * ((1 << 20) + 1))
    assert asked(root / "large.csv").status_code == 413
