"""Assets by the doors: listed, taken away in part, thrown away and brought back; roots and checks are for admins; the documented routes."""

import io
import json
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.model_folders import make_folder
from support.sites import Site, move_to_workspace_of_their_own, open_site

CONTENT = bytes(range(256)) * 40


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    home = tmp_path_factory.mktemp("home")
    (home / "imports").mkdir()
    make_folder(home / "imports" / "by-path")
    with open_site(home / "kargah", import_roots=[home / "imports"]) as site:
        people = {who: site.register(who) for who in ("admin", "trainer", "viewer", "stranger")}
        site.client("admin").patch(f"/api/v1/users/{people['viewer']['id']}", json={"role": "viewer"}).raise_for_status()
        move_to_workspace_of_their_own(site, people["stranger"]["id"])
        yield site


def packed_model(folder: Path) -> bytes:
    made, packed = make_folder(folder), io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for path in made.iterdir():
            archive.write(path, path.name)
    return packed.getvalue()


def sent(site: Site, category: str, name: str, content: bytes) -> dict[str, Any]:
    answer = site.client("trainer").post(f"/api/assets/upload/{category}", files={"file": (name, content)})
    assert answer.status_code == 201, answer.text
    data: dict[str, Any] = answer.json()["data"]
    return data


def names(site: Site, who: str, **asked: Any) -> list[str]:
    return [one["name"] for one in site.client(who).get("/api/v1/assets", params=asked).raise_for_status().json()["items"]]


def test_a_file_is_kept_listed_taken_away_in_part_thrown_away_and_brought_back(site: Site) -> None:
    made = sent(site, "artifacts", "گزارش.bin.txt", CONTENT)
    assert (made["kind"], made["size"], made["status"], made["source"]) == ("artifact", len(CONTENT), "ready", "local")
    client = site.client("trainer")
    assert names(site, "viewer", kind="artifact", query="گزارش") == ["گزارش.bin.txt"]
    assert names(site, "stranger") == []
    part = client.get(f"/api/assets/download/{made['id']}", headers={"Range": "bytes=256-511"})
    assert (part.status_code, part.content, part.headers["ETag"]) == (206, bytes(range(256)), f'"{made["sha256"]}"')
    other = client.get(f"/api/assets/download/{made['id']}", headers={"Range": "bytes=0-9", "If-Range": '"another"'})
    assert (other.status_code, other.content) == (200, CONTENT)
    assert client.delete(f"/api/assets/{made['id']}").json()["ok"] is True
    assert names(site, "viewer", kind="artifact") == []
    thrown = client.get("/api/v1/trash").json()["items"]
    assert [(one["kind"], one["title"], one["may_change"]) for one in thrown] == [("artifact", "گزارش.bin.txt", True)]
    client.post(f"/api/v1/trash/artifact/{made['id']}/restore").raise_for_status()
    assert names(site, "viewer", kind="artifact") == ["گزارش.bin.txt"]
    for used, is_there in (("no", True), ("yes", False)):
        shown = site.browser("trainer").get("/models/resources", params={"kind": "artifacts", "used": used}).text
        assert ("گزارش.bin.txt" in shown) is is_there, used
    refused = client.delete(f"/api/v1/trash/artifact/{made['id']}")
    assert (refused.status_code, refused.json()["code"]) == (409, "NOT_IN_TRASH")
    client.delete(f"/api/v1/assets/{made['id']}").raise_for_status()
    client.delete(f"/api/v1/trash/artifact/{made['id']}").raise_for_status()
    assert client.get(f"/api/v1/assets/{made['id']}").status_code == 404


def test_a_model_is_an_asset_and_goes_and_comes_as_one(site: Site, tmp_path: Path) -> None:
    made = sent(site, "models", "برت.zip", packed_model(tmp_path / "bert"))
    client = site.client("trainer")
    assert [one["id"] for one in client.get("/api/assets/list/models").json()["data"]] == [made["id"]]
    kept = {path.name for path in (site.settings.home / "blobs").glob("??/*")}
    files = client.get(f"/api/v1/assets/{made['id']}").json()["files"]
    assert kept == {file["sha256"] for file in files}, "the zip itself is not kept"
    packed = client.get(f"/api/v1/assets/{made['id']}/download")
    with zipfile.ZipFile(io.BytesIO(packed.content)) as archive:
        assert sorted(archive.namelist()) == ["config.json", "model.safetensors"]
    alone = client.delete(f"/api/v1/assets/{made['id']}")
    assert (alone.status_code, alone.json()["code"]) == (409, "ASSET_NOT_ALONE")
    client.delete(f"/api/assets/{made['id']}").raise_for_status()
    assert client.get("/api/assets/list/models").json()["data"] == []
    thrown = client.get("/api/v1/trash").json()["items"][0]
    assert (thrown["kind"], thrown["title"]) == ("model", "برت")
    assert site.client("stranger").delete(f"/api/v1/trash/model/{thrown['id']}").status_code == 404
    assert site.client("viewer").delete(f"/api/v1/trash/model/{thrown['id']}").status_code == 403
    client.delete(f"/api/v1/models/{thrown['id']}", params={"purge": "true"}).raise_for_status()
    assert client.get(f"/api/v1/models/{thrown['id']}").status_code == 404


def test_what_lies_on_the_servers_disk_is_registered_only_where_that_is_allowed(site: Site) -> None:
    folder = site.settings.import_roots[0]
    made = site.client("trainer").post("/api/assets/register", json={"path": str(folder / "by-path"), "name": "از دیسک"})
    assert (made.status_code, made.json()["data"]["name"]) == (201, "از دیسک"), made.text
    for path in (f"{folder}/../kargah/secrets", "/etc/passwd", f"{folder}/nothing", "by-path"):
        answer = site.client("trainer").post("/api/assets/register", json={"path": path})
        assert (answer.status_code, answer.json()["error"]) == (403, "DATA_PATH_NOT_ALLOWED"), path


def test_pickles_and_unknown_categories_are_refused(site: Site) -> None:
    client = site.client("trainer")
    answer = client.post("/api/assets/upload/checkpoints", files={"file": ("model.pt", b"\x80\x04")})
    assert (answer.status_code, answer.json()["error"]) == (422, "MODEL_IS_PICKLE")
    assert client.get("/api/assets/list/secrets").status_code in {404, 422}
    broken = client.post("/api/assets/upload/models", files={"file": ("m.zip", b"no zip")})
    assert broken.status_code in {400, 422} and broken.json()["ok"] is False


def test_roots_and_checks_are_for_admins_and_their_jobs_are_queued_once(site: Site, tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    wish = {"path": str(tmp_path / "disk"), "name": "دیسک"}
    for who in ("trainer", "viewer"):
        client = site.client(who)
        answers = [
            client.post("/api/v1/roots", json=wish),
            client.get("/api/v1/roots"),
            client.post("/api/v1/scrub"),
            client.get("/api/v1/scrub"),
        ]
        assert [answer.status_code for answer in answers] == [403] * 4
        assert client.get("/api/v1/storage").json()["roots"][0]["path"] == "", "paths of the server are for admins"
    admin = site.client("admin")
    root = admin.post("/api/v1/roots", json=wish).raise_for_status().json()
    assert admin.post(f"/api/v1/roots/{root['id']}/scan").json()["id"] == root["job_id"]
    taken = admin.post("/api/v1/roots", json=wish)
    assert (taken.status_code, taken.json()["code"]) == (422, "BAD_ROOT")
    assert [one["name"] for one in admin.get("/api/assets/roots").json()["data"]] == ["kargah", "دیسک"]
    assert admin.post("/api/v1/scrub").json()["id"] == admin.post("/api/v1/scrub").json()["id"]
    admin.delete(f"/api/v1/roots/{root['id']}").raise_for_status()


def test_a_workspaces_quota_holds_for_all_of_its_people(tmp_path: Path) -> None:
    with open_site(tmp_path / "kargah", workspace_quota_bytes=30_000) as site:
        for who in ("admin", "trainer"):
            site.register(who)
        sent(site, "artifacts", "one.txt", b"x" * 20_000)
        answer = site.client("admin").post("/api/assets/upload/artifacts", files={"file": ("two.txt", b"y" * 20_000)})
        assert (answer.status_code, answer.json()["error"]) == (413, "QUOTA_EXCEEDED"), answer.text
        shares = site.client("admin").get("/api/v1/storage").json()
        assert json.dumps(shares["quotas"][1]) == json.dumps({"of": "workspace", "used_bytes": 20_000, "limit_bytes": 30_000})


def test_downloads_of_the_page_keep_to_the_hours_that_were_written(site: Site) -> None:
    browser, client = site.browser("trainer"), site.client("trainer")
    page = browser.get("/models/catalogue", params={"window_start": "22:00", "window_end": "۰۶:۰۰"}).text
    assert page.count('name="window_start" value="22:00"') > 2, "each card's button takes them along"
    form = {"_csrf": page.partition('name="_csrf" value="')[2].partition('"')[0], "repository": "HooshvareLab/albert-fa-zwnj-base-v2"}
    for hours, field in ((("22:00", ""), "window_end"), (("25:00", "06:00"), "window_start"), (("1" * 20, "6"), "window_start")):
        refused = browser.post("/models/catalogue/download", data={**form, "window_start": hours[0], "window_end": hours[1]})
        assert (refused.status_code, f'id="{field}-error"' in refused.text) == (422, True), hours
    begun = browser.post("/models/catalogue/download", data={**form, "window_start": "22:00", "window_end": "۰۶:۰۰"})
    assert (begun.status_code, "window_start=22%3A00" in begun.headers["location"]) == (303, True)
    [made] = client.get("/api/v1/downloads").json()["items"]
    assert made["job"]["terms"]["window"] == {"start": "22:00:00", "end": "06:00:00", "zone": "UTC"}
    client.post(f"/api/v1/jobs/{made['job']['id']}/stop").raise_for_status()
