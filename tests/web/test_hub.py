"""The hub's door by plain HTTP: headers that clients live by, strangers and liars."""

import base64
import hashlib
import json
import os
import zipfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from support.model_folders import make_folder, write_safetensors
from support.sites import Site

from kargah.hub.lfs import REGULAR_BYTES

CONTENT = os.urandom(200_000)
NAME = "پوشه/وزن‌ها.txt"


def push(client: httpx.Client, repository: str, *operations: dict[str, Any], kind: str = "models", **header: str) -> httpx.Response:
    lines = [{"key": "header", "value": {"summary": "آزمون", "description": "", **header}}, *operations]
    body = b"".join(json.dumps(line).encode() + b"\n" for line in lines)
    return client.post(f"/hub/api/{kind}/{repository}/commit/main", content=body, headers={"Content-Type": "application/x-ndjson"})


def added(path: str, content: bytes) -> dict[str, Any]:
    return {"key": "file", "value": {"path": path, "content": base64.b64encode(content).decode(), "encoding": "base64"}}


def stored(path: str, sha256: str) -> dict[str, Any]:
    return {"key": "lfsFile", "value": {"path": path, "algo": "sha256", "oid": sha256, "size": 1}}


def created(site: Site, name: str, who: str = "trainer", **wish: Any) -> str:
    answer = site.client(who).post("/hub/api/repos/create", json={"name": name, **wish})
    assert answer.status_code == 200, answer.text
    return str(answer.json()["url"].partition("/hub/")[2])


def batch(site: Site, repository: str, who: str, *contents: bytes) -> list[dict[str, Any]]:
    objects = [{"oid": hashlib.sha256(content).hexdigest(), "size": len(content)} for content in contents]
    wish = {"operation": "upload", "transfers": ["basic"], "objects": objects, "hash_algo": "sha256"}
    answer = site.client(who).post(f"/hub/{repository}.git/info/lfs/objects/batch", json=wish)
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()["objects"]
    return found


def files_of(home: Path) -> set[str]:
    return {path.name for path in (home / "blobs").rglob("*") if path.is_file() and path.suffix != ".pin"}


@contextmanager
def nothing_kept(site: Site) -> Iterator[None]:
    before = files_of(site.settings.home)
    yield
    assert files_of(site.settings.home) == before


@pytest.fixture(scope="module")
def repository(site: Site) -> str:
    name = created(site, "files")
    assert push(site.client("trainer"), name, added(NAME, CONTENT), added("big.onnx", CONTENT)).status_code == 200
    return name


def test_head_says_what_get_says(site: Site, repository: str) -> None:
    client = site.client("viewer")
    head, got = (client.request(method, f"/hub/{repository}/resolve/main/{NAME}") for method in ("HEAD", "GET"))
    assert got.content == CONTENT
    assert head.content == b""
    for name in ("etag", "x-repo-commit", "x-linked-etag", "x-linked-size", "content-length", "accept-ranges"):
        assert head.headers[name] == got.headers[name]
    assert got.headers["etag"] == '"' + hashlib.sha1(b"blob %d\0" % len(CONTENT) + CONTENT).hexdigest() + '"'
    assert len(got.headers["x-repo-commit"]) == 40
    large = client.head(f"/hub/{repository}/resolve/main/big.onnx")
    assert large.headers["etag"] == large.headers["x-linked-etag"] == f'"{hashlib.sha256(CONTENT).hexdigest()}"'
    assert not any("xet" in name or "xet" in value for answer in (head, large) for name, value in answer.headers.items())


def test_ranges_are_answered_and_those_beyond_the_end_refused(site: Site, repository: str) -> None:
    client, address = site.client("trainer"), f"/hub/{repository}/resolve/main/{NAME}"
    for asked, part in (("bytes=7-", CONTENT[7:]), ("bytes=10-19", CONTENT[10:20]), ("bytes=-5", CONTENT[-5:])):
        answer = client.get(address, headers={"Range": asked})
        assert (answer.status_code, answer.content) == (206, part)
        assert answer.headers["content-range"].endswith(f"/{len(CONTENT)}")
    assert client.get(address, headers={"Range": f"bytes={len(CONTENT)}-"}).status_code == 416


def test_what_is_not_there_is_said_in_the_hubs_words(site: Site, repository: str) -> None:
    client = site.client("trainer")
    said = {
        f"/hub/{repository}/resolve/main/nix": "EntryNotFound",
        f"/hub/{repository}/resolve/nix/config.json": "RevisionNotFound",
        f"/hub/{repository}/resolve/refs%2Fpr%2F1/config.json": "RevisionNotFound",
        f"/hub/api/models/{repository}/tree/main/nix": "EntryNotFound",
        f"/hub/api/models/{repository}/tree/refs%2Fpr%2F1": "RevisionNotFound",
        f"/hub/api/models/{repository}/revision/refs%2Fpr%2F1": "RevisionNotFound",
        "/hub/trainer/nix/resolve/main/config.json": "RepoNotFound",
        "/hub/bert-base-uncased/resolve/main/config.json": "RepoNotFound",
        "/hub/api/models/bert-base-uncased": "RepoNotFound",
        f"/hub/api/datasets/{repository}": "RepoNotFound",
        f"/hub/datasets/{repository}/resolve/main/x": "RepoNotFound",
    }
    found = {address: client.get(address) for address in said}
    assert {address: answer.headers.get("x-error-code") for address, answer in found.items()} == said
    assert {answer.status_code for answer in found.values()} == {404}
    assert found[f"/hub/{repository}/resolve/main/nix"].headers["x-repo-commit"]
    xet = client.get(f"/hub/api/models/{repository}/xet-write-token/main")
    assert (xet.status_code, "HF_HUB_DISABLE_XET=1" in xet.headers["x-error-message"]) == (404, True)


def test_strangers_and_wrong_tokens_are_refused_as_the_hub_does(site: Site, repository: str) -> None:
    address = f"/hub/api/models/{repository}"
    unknown = site.client().get(address)
    assert (unknown.status_code, unknown.headers["x-error-code"]) == (401, "RepoNotFound")
    wrong = site.client(Authorization="Bearer kgh_wrong").get(address)
    assert (wrong.status_code, wrong.headers["x-error-message"]) == (401, "Invalid credentials in Authorization header")
    assert "x-error-code" not in wrong.headers
    elsewhere = site.client("stranger").get(address)
    assert (elsewhere.status_code, elsewhere.headers["x-error-code"]) == (404, "RepoNotFound")


def test_a_private_repository_is_its_owners_and_the_admins(site: Site) -> None:
    name = created(site, "secret", private=True)
    make = site.client("trainer")
    assert push(make, name, added("notes.txt", b"x")).status_code == 200
    shown = {who: site.client(who).get(f"/hub/{name}/resolve/main/notes.txt").status_code for who in ("trainer", "admin", "viewer")}
    assert shown == {"trainer": 200, "admin": 200, "viewer": 404}
    assert site.client("viewer").get("/hub/api/models?search=secret").json() == []
    assert make.put(f"/hub/api/models/{name}/settings", json={"private": False}).json() == {"private": False}
    assert site.client("viewer").get(f"/hub/{name}/resolve/main/notes.txt").status_code == 200


def test_only_the_owner_pushes_and_only_in_their_own_namespace(site: Site, repository: str) -> None:
    for who, status in (("viewer", 403), ("stranger", 404)):
        client = site.client(who)
        with nothing_kept(site):
            assert push(client, repository, added("x", b"x")).status_code == status
        assert client.post(f"/hub/api/models/{repository}/preupload/main", json={"files": []}).status_code == status
    foreign = site.client("stranger").post("/hub/api/repos/create", json={"name": "x", "organization": "trainer"})
    assert foreign.status_code == 403
    assert site.client("viewer").post("/hub/api/repos/create", json={"name": "x"}).status_code == 403
    for bad in ("a/b", "..", "x" * 97, "مدل", ".git"):
        assert site.client("trainer").post("/hub/api/repos/create", json={"name": bad}).status_code == 400


@pytest.mark.parametrize(
    ("operation", "said"),
    [
        (added("../../outside", b"x"), "could lead outside"),
        (added("/etc/passwd", b"x"), "could lead outside"),
        (added("a\\..\\b", b"x"), "could lead outside"),
        (added("．．／x", b"x"), "could lead outside"),
        (added("x\u202egpj.txt", b"x"), "could lead outside"),
        (added("NEW.TXT", b"x"), "could lead outside"),  # beside new.txt
        (added("new.txt/inside", b"x"), "could lead outside"),
        (added("pytorch_model.bin", b"x"), "pickle"),
        (added("model.safetensors", b"\x80\x04pickle"), "damaged"),
        (stored("x", "ab" * 32), "not uploaded"),
        (stored("x", "../../../etc/passwd"), "could not be read"),
        ({"key": "deletedFile", "value": {"path": "not/there"}}, "no file"),
        ({"key": "deletedFolder", "value": {"path": "../.."}}, "no file"),
        ({"key": "nix", "value": {}}, "could not be read"),
        ({"key": "file", "value": {"path": "x", "content": "§"}}, "could not be read"),
    ],
)
def test_a_bad_operation_spoils_the_whole_commit_and_keeps_nothing(
    site: Site, repository: str, operation: dict[str, Any], said: str
) -> None:
    client = site.client("trainer")
    before = client.get(f"/hub/api/models/{repository}").json()["sha"]
    with nothing_kept(site):
        answer = push(client, repository, added("new.txt", os.urandom(9)), operation)
    assert answer.status_code in (400, 404), answer.text
    assert said in answer.headers["x-error-message"]
    assert answer.json()["error"] == answer.json()["error"].strip() != ""
    assert client.get(f"/hub/api/models/{repository}").json()["sha"] == before


def test_a_commit_over_an_old_head_is_refused_when_it_names_it(site: Site) -> None:
    client, name = site.client("trainer"), created(site, "heads")
    first = push(client, name, added("a", b"1")).json()["commitOid"]
    second = push(client, name, added("a", b"2"), parentCommit=first)
    assert second.status_code == 200
    with nothing_kept(site):
        late = push(client, name, added("a", b"1"), parentCommit=first)
    assert (late.status_code, second.json()["commitOid"] in late.headers["x-error-message"]) == (412, True)
    assert client.get(f"/hub/{name}/resolve/{first[:8]}/a").content == b"1"
    assert client.get(f"/hub/{name}/resolve/main/a").content == b"2"
    again = push(client, name, added("a", b"2"))
    assert again.json()["commitOid"] == second.json()["commitOid"]
    assert [commit["title"] for commit in client.get(f"/hub/api/models/{name}/commits/main").json()] == ["آزمون", "آزمون"]


def test_pushes_at_the_same_time_all_stand(site: Site) -> None:
    name = created(site, "crowd")
    with ThreadPoolExecutor(4) as crowd:
        answers = list(crowd.map(lambda n: push(site.client("trainer"), name, added(f"{n}.txt", b"%d" % n)).status_code, range(4)))
    assert answers == [200] * 4
    files = site.client("trainer").get(f"/hub/api/models/{name}").json()["siblings"]
    assert [file["rfilename"] for file in files] == [f"{number}.txt" for number in range(4)]
    assert len(site.client("trainer").get(f"/hub/api/models/{name}/commits/main").json()) == 4


def test_large_files_are_announced_as_such_and_pickles_refused_before_they_are_sent(site: Site, repository: str) -> None:
    client = site.client("trainer")

    def announced(path: str, size: int) -> httpx.Response:
        return client.post(f"/hub/api/models/{repository}/preupload/main", json={"files": [{"path": path, "size": size, "sample": ""}]})

    small, large = announced("x.txt", REGULAR_BYTES), announced("x.txt", REGULAR_BYTES + 1)
    assert (small.json()["files"][0]["uploadMode"], large.json()["files"][0]["uploadMode"]) == ("regular", "lfs")
    assert "HF_HUB_DISABLE_XET" in large.headers["x-hf-warning"]
    assert announced("training_args.bin", 9).json()["files"][0]["shouldIgnore"] is True
    assert announced("pytorch_model.bin", 9).status_code == 400
    assert announced("x.txt", 1 << 50).status_code == 413


def test_a_large_file_is_taken_by_its_hash_and_only_from_who_was_asked(site: Site) -> None:
    name, content = created(site, "large"), os.urandom(1_000_000)
    sha256 = hashlib.sha256(content).hexdigest()
    [wanted] = batch(site, name, "trainer", content)
    href, anybody = wanted["actions"]["upload"]["href"], site.client()
    with nothing_kept(site):
        for wrong, status in ((content[:-1], 400), (content + b"x", 413), (content[:-1] + bytes([content[-1] ^ 1]), 400)):
            assert anybody.put(href, content=wrong).status_code == status
        assert anybody.put(href[:-4] + "AAAA", content=content).status_code == 401
        session = site.tokens["trainer"]
        assert anybody.put(f"/hub/lfs/{session}", content=content).status_code == 401
    token = href.rpartition("/")[2]
    assert site.client(Authorization=f"Bearer {token}").get("/api/v1/models").status_code == 401
    assert anybody.put(href, content=content).status_code == 200
    assert "actions" not in batch(site, name, "trainer", content)[0]
    other = created(site, "other-large")
    assert push(site.client("trainer"), other, stored("x.gguf", sha256)).status_code == 400, "bytes of another repository by their hash"
    assert push(site.client("trainer"), name, stored("x.gguf", sha256)).status_code == 200
    assert site.client("viewer").get(f"/hub/{name}/resolve/main/x.gguf").content == content
    assert "actions" not in batch(site, name, "trainer", content)[0]
    copied = push(site.client("trainer"), name, stored("copy.gguf", sha256))
    assert copied.status_code == 200
    assert not [path for path in (site.settings.home / "blobs" / "incoming").iterdir() if path.name.startswith(("lfs", "push"))]


def test_a_revoked_token_sends_no_more_large_files(site: Site) -> None:
    name = created(site, "revoked")
    made = site.client("trainer").post("/api/v1/auth/tokens", json={"name": "hub"}).json()
    by_token = site.client(Authorization=f"Bearer {made['token']}")
    objects = [{"oid": hashlib.sha256(b"x").hexdigest(), "size": 1}]
    answer = by_token.post(f"/hub/{name}.git/info/lfs/objects/batch", json={"operation": "upload", "objects": objects}).json()
    site.client("trainer").delete(f"/api/v1/auth/tokens/{made['id']}").raise_for_status()
    with nothing_kept(site):
        assert site.client().put(answer["objects"][0]["actions"]["upload"]["href"], content=b"x").status_code == 401


def test_a_quota_holds_for_what_is_pushed(make_site: Any) -> None:
    site: Site = make_site(user_quota_bytes=100_000)
    site.register("trainer")
    name = created(site, "x")
    assert push(site.client("trainer"), name, added("a", os.urandom(60_000))).status_code == 200
    with nothing_kept(site):
        assert push(site.client("trainer"), name, added("b", os.urandom(30_000)), added("c", os.urandom(30_000))).status_code == 413
    assert push(site.client("trainer"), name, added("b", os.urandom(30_000))).status_code == 200
    objects = [{"oid": hashlib.sha256(b"x").hexdigest(), "size": 50_000}]
    refused = site.client("trainer").post(f"/hub/{name}.git/info/lfs/objects/batch", json={"operation": "upload", "objects": objects})
    assert refused.status_code == 413


def test_long_listings_go_on_by_links(site: Site) -> None:
    client, name = site.client("trainer"), created(site, "many")
    assert push(client, name, *(added(f"پوشه {number % 3}/{number:04}.txt", b"x") for number in range(1_030))).status_code == 200
    address, seen, pages = f"/hub/api/models/{name}/tree/main?recursive=true", [], 0
    while address:
        answer = client.get(address)
        seen += [entry["path"] for entry in answer.json()]
        address, pages = answer.links.get("next", {}).get("url", ""), pages + 1
    assert (pages, len(seen), seen) == (2, 1_033, sorted(set(seen)))
    assert [entry["type"] for entry in client.get(f"/hub/api/models/{name}/tree/main").json()] == ["directory"] * 3
    listed, address = [], "/hub/api/models?limit=2"
    while address:
        answer = client.get(address)
        listed += [item["id"] for item in answer.json()]
        address = answer.links.get("next", {}).get("url", "")
    assert len(listed) == len(set(listed)) > 4
    assert name in listed


def test_models_that_are_here_have_names_and_keep_them(site: Site, tmp_path: Path) -> None:
    client = site.client("trainer")
    packed = tmp_path / "m.zip"
    with zipfile.ZipFile(packed, "w") as archive:
        for path in make_folder(tmp_path / "m").iterdir():
            archive.write(path, path.name)
    ids = []
    for _ in range(2):
        with packed.open("rb") as file:
            made = client.post("/api/v1/models/upload", files={"file": file}, data={"title": "مدلِ نظرها"}).json()
        ids.append(made["id"])
    names = [item["id"] for item in client.get("/hub/api/models", params={"search": "نظرها"}).json()]
    assert sorted(names) == ["trainer/mdl-nzrha", "trainer/mdl-nzrha-2"]
    about = client.get("/hub/api/models/Trainer/MDL-nzrha").json()
    assert (about["id"], about["cardData"]["pretty_name"]) == ("trainer/mdl-nzrha", "مدلِ نظرها")
    assert {file["rfilename"] for file in about["siblings"]} == {"config.json", "model.safetensors"}
    page = site.browser("viewer").get(f"/models/{ids[0]}").text
    assert f"HF_ENDPOINT&#34;] = &#34;{site.url}/hub&#34;" in page
    assert any(f"from_pretrained(&#34;{name}&#34;)" in page for name in names)
    first = next(model for model in ids if client.get("/hub/trainer/mdl-nzrha").headers["location"] == f"/models/{model}")
    client.patch(f"/api/v1/models/{first}", json={"title": "نام دیگر"}).raise_for_status()
    assert client.get("/hub/trainer/mdl-nzrha/resolve/v1/config.json").status_code == 200
    client.delete(f"/api/v1/models/{first}").raise_for_status()
    assert client.get("/hub/trainer/mdl-nzrha/resolve/main/config.json").headers["x-error-code"] == "RepoNotFound"
    assert [item["id"] for item in client.get("/hub/api/models?search=mdl-nzrha").json()] == ["trainer/mdl-nzrha-2"]


def test_a_pushed_model_is_one_to_start_from_and_each_push_of_weights_a_version(site: Site, tmp_path: Path) -> None:
    client, name, folder = site.client("trainer"), created(site, "pushed"), make_folder(tmp_path / "m")
    card = b"---\npretty_name: \xd9\x85\xd8\xaf\xd9\x84 \xd9\x85\xd9\x86\nlicense: mit\n---\n# x"
    assert push(client, name, added("config.json", (folder / "config.json").read_bytes())).status_code == 200
    assert client.get("/api/v1/models", params={"query": "مدل من"}).json()["items"] == []
    pushed = push(client, name, added("README.md", card), added("model.safetensors", (folder / "model.safetensors").read_bytes()))
    assert pushed.status_code == 200
    [model] = client.get("/api/v1/models", params={"query": "مدل من"}).json()["items"]
    assert [(version["number"], version["family"], version["licence"]) for version in model["versions"]] == [(1, "base", "mit")]
    assert push(client, name, added("README.md", b"# y"), added("more/notes.txt", b"x")).status_code == 200
    write_safetensors(folder / "model.safetensors", [5, 5])
    assert push(client, name, added("model.safetensors", (folder / "model.safetensors").read_bytes())).status_code == 200
    versions = client.get(f"/api/v1/models/{model['id']}").json()["versions"]
    assert [(version["number"], version["parameters"]) for version in versions] == [(2, 25), (1, 12)]
    refs = client.get(f"/hub/api/models/{name}/refs").json()
    assert [tag["name"] for tag in refs["tags"]] == ["v2", "v1"]
    assert refs["tags"][0]["targetCommit"] == refs["branches"][0]["targetCommit"]
    assert client.get(f"/hub/{name}/resolve/v1/README.md").content == b"# y"
    wish = {"organization": "trainer", "name": "pushed"}
    assert client.request("DELETE", "/hub/api/repos/delete", json=wish).status_code == 200
    assert client.get(f"/api/v1/models/{model['id']}").json()["trashed_at"] is not None
