"""Bundles by the API and the pages: what one Kargah gives, another takes, whole and verified, or not at all."""

import errno
import hashlib
import json
import os
import re
import stat
import tarfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
from support import bundles
from support.agents import scheduler
from support.bundles import Change
from support.model_folders import make_folder
from support.sites import Site, open_site

from kargah.assets.manifest import FileEntry, commit_id
from kargah.bundles import signing
from kargah.cli.agent import all_trades
from kargah.contract.attempt import AttemptDirectory
from kargah.contract.container import Layout, Member
from kargah.kit import files, packing
from kargah.kit.settings import Settings
from kargah.store.database import Database

FAR = "a" * 32


@pytest.fixture(scope="module")
def roots(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("usb")


@contextmanager
def working(site: Site) -> Iterator[None]:
    """An agent beside the site that knows nothing but imports of bundles."""
    database, over = Database(site.settings.url_of_database), threading.Event()
    kinds = frozenset({"unbundle"})
    agent = scheduler(database, site.settings.home.resolve(), all_trades(), kinds=kinds, light_kinds=kinds)

    thread = threading.Thread(target=agent.run, args=(over,), daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join(30)
        database.close()


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory, roots: Path) -> Iterator[Site]:
    with open_site(tmp_path_factory.mktemp("here"), import_roots=[roots], url_import_allow=["127.0.0.1"]) as site:
        for who in ("admin", "trainer", "viewer"):
            user = site.register(who)
        site.client("admin").patch(f"/api/v1/users/{user['id']}", json={"role": "viewer"}).raise_for_status()
        with working(site):
            yield site


@pytest.fixture(scope="module")
def far_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("far")


@pytest.fixture(scope="module")
def contents(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    return bundles.model_files(tmp_path_factory.mktemp("made") / "model")


def fingerprint(home: Path) -> str:
    return signing.fingerprint_of(signing.public_key(home))


def send(client: httpx.Client, content: bytes) -> str:
    wish = {"filename": "a.kargah", "size_bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    upload = client.post("/api/v1/uploads", json=wish).json()
    headers = {"Upload-Offset": str(upload["offset"]), "Content-Type": "application/offset+octet-stream"}
    client.patch(f"/api/v1/uploads/{upload['id']}", content=content[upload["offset"] :], headers=headers).raise_for_status()
    return str(upload["id"])


def finished(client: httpx.Client, answer: httpx.Response) -> dict[str, Any]:
    """The job of an import that was begun, at its end."""
    assert answer.status_code == 201, answer.text
    until = time.monotonic() + 120
    while (job := client.get(f"/api/v1/jobs/{answer.json()['job']['id']}").json())["state"] not in {"COMPLETED", "FAILED", "STOPPED"}:
        assert time.monotonic() < until, job
        time.sleep(0.05)
    found: dict[str, Any] = job
    return found


def bring_in(client: httpx.Client, content: bytes, signer: str | None = None) -> httpx.Response:
    """What was answered, once what it began is over."""
    answer = client.post("/api/v1/bundles", json={"upload_id": send(client, content), "signer": signer})
    if answer.status_code == 201:
        finished(client, answer)
    return answer


def model_of(client: httpx.Client, answer: httpx.Response) -> dict[str, Any]:
    job = finished(client, answer)
    assert job["state"] == "COMPLETED", job["error"]
    model: dict[str, Any] = client.get(f"/api/v1/models/{job['result']['model_id']}").json()
    return model


def state_of(site: Site) -> tuple[set[str], int, int]:
    """What lies among the files, but for pins; how many models and data sets there are."""
    lie = {str(path) for path in (site.settings.home / "blobs").rglob("*") if path.is_file() and path.suffix != ".pin"}
    client = site.client("admin")
    return lie, len(client.get("/api/v1/models").json()["items"]), len(client.get("/api/v1/datasets").json()["items"])


def test_what_is_exported_is_the_same_each_time_and_is_gone_on_with(here: Site, tmp_path: Path) -> None:
    client = here.client("trainer")
    packed = packing.pack(make_folder(tmp_path / "model"), tmp_path / "model.zip")
    version = client.post("/api/v1/models/upload", files={"file": packed.open("rb")}).json()["versions"][0]
    address = f"/api/v1/models/{version['id']}/bundle"
    whole = client.get(address)
    assert int(whole.headers["content-length"]) == len(whole.content)
    assert client.get(address).content == whole.content
    mark = whole.headers["etag"]
    part = client.get(address, headers={"Range": "bytes=1000-2999", "If-Range": mark})
    assert (part.status_code, part.content) == (206, whole.content[1000:3000])
    assert part.headers["content-range"] == f"bytes 1000-2999/{len(whole.content)}"
    assert client.get(address, headers={"Range": "bytes=1000-", "If-Range": '"old"'}).content == whole.content
    assert client.get(address, headers={"Range": f"bytes={len(whole.content)}-"}).status_code == 416
    members = bundles.opened(whole.content)
    said = json.loads(members["bundle.json"])
    assert said["requirements"]["sha256"] == hashlib.sha256(members["requirements.txt"]).hexdigest()
    assert b"cryptography==" in members["requirements.txt"]
    assert {file["path"] for file in said["model"]["files"]} == {"config.json", "model.safetensors"}
    for file in said["model"]["files"]:
        assert hashlib.sha256(members[f"blobs/{file['sha256']}"]).hexdigest() == file["sha256"]
    assert client.get(f"{address}/manifest").json()["manifest"].encode() == members["bundle.json"]
    again = bring_in(client, whole.content)
    assert again.status_code == 201, "its own bundles a Kargah takes without asking"
    assert model_of(client, again)["versions"][0]["commit_id"] == version["commit_id"]


def test_an_unknown_signer_is_said_and_confirmed_and_then_known(here: Site, far_home: Path, contents: dict[str, bytes]) -> None:
    content, far = bundles.made(far_home, contents), fingerprint(far_home)
    trainer, admin = here.client("trainer"), here.client("admin")
    upload = send(trainer, content)
    refused = trainer.post("/api/v1/bundles", json={"upload_id": upload})
    assert (refused.status_code, refused.json()["code"], refused.json()["params"]["signer"]) == (409, "UNKNOWN_SIGNER", far)
    assert trainer.post("/api/v1/bundles", json={"upload_id": upload, "signer": FAR}).status_code == 409
    taken = trainer.post("/api/v1/bundles", json={"upload_id": upload, "signer": far})
    [version] = model_of(trainer, taken)["versions"]
    assert trainer.get(f"/api/v1/uploads/{upload}").status_code == 404, "what was sent is not kept twice"
    assert (version["name"], version["detail"]["bundle"]["signer"], version["detail"]["bundle"]["id"]) == ("model", far, "mv_1")
    assert bring_in(trainer, content).status_code == 409, "what a trainer confirms holds once"
    assert bring_in(admin, content, far).status_code == 201
    assert bring_in(trainer, content).status_code == 201, "what an admin confirms holds"
    listed = trainer.get("/api/v1/bundles/signers").json()
    assert [one["fingerprint"] for one in listed["known"]] == [far]
    assert listed["own"]["fingerprint"] == fingerprint(here.settings.home)
    assert trainer.delete(f"/api/v1/bundles/signers/{far}").status_code == 403
    assert admin.delete(f"/api/v1/bundles/signers/{far}").status_code == 204
    assert admin.delete(f"/api/v1/bundles/signers/{far}").status_code == 404
    assert bring_in(trainer, content).status_code == 409
    assert stat.S_IMODE(signing.key_path(here.settings.home).stat().st_mode) == 0o600


def test_the_same_key_gets_the_same_answer_also_when_the_upload_is_used_up(here: Site, far_home: Path, contents: dict[str, bytes]) -> None:
    content, admin = bundles.made(far_home, contents), here.client("admin")
    wish, key = {"upload_id": send(admin, content), "signer": fingerprint(far_home)}, {"Idempotency-Key": "bundle-1"}
    first = admin.post("/api/v1/bundles", json=wish, headers=key)
    job = finished(admin, first)
    assert (job["state"], admin.get(f"/api/v1/uploads/{wish['upload_id']}").status_code) == ("COMPLETED", 404)
    again = admin.post("/api/v1/bundles", json=wish, headers=key)
    assert (again.status_code, again.json(), again.headers["Idempotency-Replayed"]) == (201, first.json(), "true")
    assert gives_back(AttemptDirectory.of(here.settings.home, job["id"], 1))
    admin.delete(f"/api/v1/bundles/signers/{fingerprint(far_home)}").raise_for_status()


def _path(path: str) -> Change:
    def change(said: dict[str, Any]) -> None:
        said["model"]["files"][0]["path"] = path
        said["model"]["commit_id"] = commit_id(map(FileEntry.model_validate, said["model"]["files"]))

    return change


def _set(**values: Any) -> Change:
    return lambda said: said["model"].update(values)


CHANGED: dict[str, Change] = {
    "another commit": _set(commit_id="0" * 40),
    "no files": _set(files=[]),
    "a family of no kind": _set(family="NO KIND"),
    "a number that is none": _set(metrics={"f1": "high"}),
    "a title that no database keeps": _set(title="a\0b"),
    "another git hash": lambda said: said["model"]["files"][0].update(git_sha1="0" * 40),
    "another length": lambda said: said["model"]["files"][0].update(size_bytes=3),
    "a length without end": lambda said: said["model"]["files"][0].update(size_bytes=1 << 49),
    "later than we know": lambda said: said.update(version=2),
    "another thing": lambda said: said.update(format="other"),
}
PATHS = [
    "../config.json",
    "/etc/passwd",
    "a/../../b.json",
    "C:\\x.json",
    "a\\b.json",
    "..\uff0fb.json",
    "a\u202egnp.json",
    "run.py",
    "x.pkl",
    "a\0",
]


CODES = {"NOT_A_BUNDLE", "BUNDLE_DAMAGED", "BUNDLE_SIGNATURE_WRONG", "BUNDLE_FILE_REFUSED", "MODEL_IS_PICKLE", "WEIGHTS_DAMAGED"}


def _spoilt(content: bytes) -> Iterator[tuple[str, bytes]]:
    yield "nothing", b""
    yield "words", b"this is no bundle" * 100
    yield "a zip", b"PK\3\4" + content
    yield "cut in the head", content[:300]
    yield "cut in the middle", content[: len(content) // 2]
    yield "the last block missing", content[:-512]
    yield "more behind the end", content + b"\0" * 512
    for place in (700, content.index(b"blobs/") + 600, len(content) - 1200):
        yield f"a bit at {place}", content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :]
    place = content.index(b"blobs/")
    for kind in (tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.GNUTYPE_SPARSE, tarfile.XHDTYPE, tarfile.GNUTYPE_LONGNAME):
        header = tarfile.TarInfo.frombuf(content[place : place + 512], "utf-8", "strict")
        header.type, header.linkname = kind, "/etc/passwd"
        yield f"a member of kind {kind!r}", content[:place] + header.tobuf(tarfile.GNU_FORMAT)[:512] + content[place + 512 :]
    yield "a manifest of a gigabyte", b"".join(Layout([Member("bundle.json", 1 << 30, b"")]).chunks())[:512] + b" " * 2000


def refusal_of(client: httpx.Client, answer: httpx.Response) -> str:
    """At once, by its words; or of the job that read its contents."""
    if answer.status_code == 201:
        job = finished(client, answer)
        assert job["state"] == "FAILED", job
        return str(job["error"]["code"])
    assert answer.status_code == 422, answer.text[:300]
    return str(answer.json()["code"])


def test_what_is_not_whole_right_and_harmless_is_refused_and_leaves_nothing(
    here: Site, far_home: Path, contents: dict[str, bytes], tmp_path: Path
) -> None:
    client, far = here.client("admin"), fingerprint(far_home)
    whole = bundles.made(far_home, {**contents, "merges.txt": b"fresh"})
    tried = dict(_spoilt(whole))
    tried |= {name: bundles.made(far_home, contents, change) for name, change in CHANGED.items()}
    tried |= {f"path {path!r}": bundles.made(far_home, contents, _path(path)) for path in PATHS}
    twice = {**contents, "Config.json": b"{}"}
    cut = contents["model.safetensors"][:-4]
    tried |= {
        "two names that are one": bundles.made(far_home, twice),
        "cut weights": bundles.made(far_home, {**contents, "model.safetensors": cut}),
        "signed by nobody": whole.replace(signing.public_key(far_home).encode(), signing.public_key(tmp_path).encode()),
        "deep": bundles.signed(far_home, b'{"model":' * 100_000, contents),
    }
    before, seen, jobs = state_of(here), set(), here.settings.home / "jobs"
    laid_out = set(jobs.rglob("contents/*"))
    for name, content in tried.items():
        answer = bring_in(client, content, far)
        code = refusal_of(client, answer)
        assert code in CODES, (name, answer.status_code, answer.text[:300])
        seen.add(code)
    assert (state_of(here), set(jobs.rglob("contents/*"))) == (before, laid_out)
    assert seen == CODES
    assert client.get("/api/v1/uploads").json()["items"] == []


def test_a_bundle_on_a_stick_is_read_where_it_lies(
    here: Site, roots: Path, far_home: Path, contents: dict[str, bytes], tmp_path: Path
) -> None:
    client, far = here.client("trainer"), fingerprint(far_home)
    content = bundles.made(far_home, contents)
    (roots / "بسته.kargah").write_bytes(content)
    (tmp_path / "out.kargah").write_bytes(content)
    (roots / "link.kargah").symlink_to(tmp_path / "out.kargah")
    made = client.post("/api/v1/bundles", json={"path": str(roots / "بسته.kargah"), "signer": far})
    assert finished(client, made)["state"] == "COMPLETED"
    assert (roots / "بسته.kargah").read_bytes() == content
    for elsewhere in (tmp_path / "out.kargah", roots / "link.kargah", roots / ".." / "x", roots, roots / "nothing"):
        refused = client.post("/api/v1/bundles", json={"path": str(elsewhere), "signer": far})
        assert (refused.status_code, refused.json()["code"]) == (403, "BUNDLE_PATH_NOT_ALLOWED"), elsewhere
    assert client.post("/api/v1/bundles", json={}).status_code == 422
    assert here.client("viewer").post("/api/v1/bundles", json={"path": str(roots / "بسته.kargah")}).status_code == 403


def test_killed_in_the_middle_it_is_read_anew_and_only_what_is_registered_stays(
    here: Site, roots: Path, far_home: Path, contents: dict[str, bytes]
) -> None:
    large = os.urandom(96 << 20)
    path = roots / "large.kargah"
    path.write_bytes(bundles.made(far_home, {**contents, "notes.txt": large}))
    admin = here.client("admin")
    begun = admin.post("/api/v1/bundles", json={"path": str(path), "signer": fingerprint(far_home)})
    first = AttemptDirectory.of(here.settings.home, begun.json()["job"]["id"], 1)
    until = time.monotonic() + 60
    while not any(lies.stat().st_size > 1 << 20 for lies in first.outputs.rglob("*") if lies.is_file()):
        assert time.monotonic() < until, admin.get(f"/api/v1/jobs/{begun.json()['job']['id']}").json()
    [worker] = [one for one in psutil.process_iter(["cmdline"]) if str(first.path) in (one.info["cmdline"] or [])]
    worker.kill()
    job = finished(admin, begun)
    assert (job["state"], job["attempt"]) == ("COMPLETED", 2)
    assert (here.settings.home / "blobs").is_dir() and hashlib.sha256(large).hexdigest() in {lies.name for lies in blobs_of(here)}
    assert all(gives_back(AttemptDirectory.of(here.settings.home, job["id"], number)) for number in (1, 2))
    admin.delete(f"/api/v1/bundles/signers/{fingerprint(far_home)}").raise_for_status()
    path.unlink()


def gives_back(attempt: AttemptDirectory) -> bool:
    """Whether, once it is closed, it holds nothing any more: links to what is kept would hold its room for ever."""
    until = time.monotonic() + 60
    while attempt.outputs.exists() or attempt.inputs.exists():
        if time.monotonic() > until:
            return False
        time.sleep(0.05)
    return True


def blobs_of(site: Site) -> list[Path]:
    return [path for path in (site.settings.home / "blobs").rglob("*") if path.is_file()]


def test_a_packed_model_folder_on_a_stick_is_read_too(here: Site, roots: Path, tmp_path: Path) -> None:
    packing.pack(make_folder(tmp_path / "مدل"), roots / "مدل.zip")
    made = here.client("trainer").post("/api/v1/models/import", json={"folder": str(roots / "مدل.zip")})
    assert (made.status_code, made.json()["title"]) == (201, "مدل"), made.text
    (roots / "bad.zip").write_bytes(b"PK\3\4")
    refused = here.client("trainer").post("/api/v1/models/import", json={"folder": str(roots / "bad.zip")})
    assert (refused.status_code, refused.json()["code"]) == (400, "BAD_UPLOAD")


def test_by_the_page_the_signer_is_confirmed_without_sending_again(here: Site, far_home: Path, contents: dict[str, bytes]) -> None:
    browser, far = here.browser("trainer"), fingerprint(far_home)
    before = here.client("trainer").get("/api/v1/uploads").json()["items"]
    page = browser.get("/models/bundles").text
    assert fingerprint(here.settings.home) in page
    csrf = page.partition('name="_csrf" value="')[2].partition('"')[0]
    file = ("file.kargah", bundles.made(far_home, {**contents, "merges.txt": b"by the page"}))
    asked = browser.post("/models/bundles/import", data={"_csrf": csrf}, files={"file": file})
    assert asked.status_code == 409
    assert far in asked.text
    upload = asked.text.partition('name="upload_id" value="')[2].partition('"')[0]
    done = browser.post("/models/bundles/confirm", data={"_csrf": csrf, "upload_id": upload, "signer": far})
    assert done.status_code == 303
    until = time.monotonic() + 120
    address = ""
    while not address:
        assert time.monotonic() < until
        shown = browser.get(done.headers["location"]).text.partition('id="imports"')[2].partition("</li>")[0]
        address = next(iter(re.findall(r'href="(/models/mdl_\w+)"', shown)), "")
    model = browser.get(address)
    assert far in model.text, "where it is from stands on its page"
    spoilt = browser.post("/models/bundles/import", data={"_csrf": csrf}, files={"file": ("x.kargah", b"spoilt")})
    assert spoilt.status_code == 422
    assert 'id="file-error"' in spoilt.text
    assert here.client("trainer").get("/api/v1/uploads").json()["items"] == before


def test_the_page_lists_another_kargah_and_has_what_is_chosen_fetched(here: Site, contents: dict[str, bytes]) -> None:
    assert (
        bring_in(here.client("trainer"), bundles.made(here.settings.home, {**contents, "merges.txt": b"to be fetched"})).status_code == 201
    )
    browser = here.browser("trainer")
    csrf = browser.get("/models/bundles").text.partition('name="_csrf" value="')[2].partition('"')[0]
    asked = {"_csrf": csrf, "url": here.url, "token": here.tokens["trainer"]}
    listed = browser.post("/models/bundles/peer", data=asked)
    assert (listed.status_code, "مدل دور" in listed.text) == (200, True)
    version = listed.text.partition('name="id" value="')[2].partition('"')[0]
    wrong = browser.post("/models/bundles/peer", data={**asked, "token": "wrong"})
    assert (wrong.status_code, 'id="url-error"' in wrong.text) == (502, True)
    assert browser.post("/models/bundles/peer", data={**asked, "token": ""}).status_code == 422
    for hours, field in ((("22:00", ""), "window_end"), (("25:00", "06:00"), "window_start")):
        for address, besides in (("peer", {}), ("peer/import", {"kind": "model", "id": version})):
            written = {**asked, **besides, "window_start": hours[0], "window_end": hours[1]}
            refused = browser.post(f"/models/bundles/{address}", data=written)
            assert (refused.status_code, f'id="{field}-error"' in refused.text) == (422, True), (hours, address)
    nights = {"window_start": "22:00", "window_end": "۰۶:۰۰"}
    shown = browser.post("/models/bundles/peer", data={**asked, **nights}).text.partition('id="peer"')[2].partition("</section>")[0]
    assert shown.count('name="window_end" value="۰۶:۰۰"') == shown.count("<form") > 0, "each button takes them along"
    begun = browser.post("/models/bundles/peer/import", data={**asked, **nights, "kind": "model", "id": version})
    assert begun.status_code == 303, begun.text
    [made] = [one for one in here.client("trainer").get("/api/v1/downloads").json()["items"] if one["repository"] == version]
    assert made["job"]["terms"]["window"] == {"start": "22:00:00", "end": "06:00:00", "zone": "UTC"}
    secrets = [path for path in (here.settings.home / "secrets").iterdir() if path.name.startswith("peer_")]
    assert [stat.S_IMODE(path.stat().st_mode) for path in secrets] == [0o600]
    jobs = here.client("trainer").get("/api/v1/jobs").text
    assert (version in jobs or "مدل دور" in jobs, here.tokens["trainer"] in jobs) == (True, False)


def test_a_disk_that_fills_while_it_is_kept_makes_the_import_wait(here: Site, far_home: Path, contents: dict[str, bytes]) -> None:
    content = bundles.made(far_home, {**contents, "merges.txt": b"no room for this", "vocab.txt": b"nor for that"})
    upload, before = send(here.client("trainer"), content), state_of(here)
    renamed: list[Path] = []

    def full(deed: str, path: Path, target: Path | None) -> None:
        if deed == "rename" and target is not None and target.parent.parent.name == "blobs":
            renamed.append(target)
            if len(renamed) == 2:
                raise OSError(errno.ENOSPC, "no space left on device")

    wish = {"upload_id": upload, "signer": fingerprint(far_home)}
    with files.watched(full):
        job = finished(here.client("trainer"), here.client("trainer").post("/api/v1/bundles", json=wish))
    assert (job["state"], len(renamed) > 3) == ("COMPLETED", True), "what could not be kept was kept once there was room"
    assert state_of(here)[1] == before[1] + 1, "and registered once"


def test_no_room_is_said_before_anything_is_kept(make_site: Any, far_home: Path, contents: dict[str, bytes], tmp_path: Path) -> None:
    small: Site = make_site(user_quota_bytes=6000, import_roots=[tmp_path])
    small.register("admin")
    assert isinstance(small.settings, Settings)
    (tmp_path / "large.kargah").write_bytes(bundles.made(far_home, {**contents, "vocab.txt": b"x" * 10_000}))
    wish = {"path": str(tmp_path / "large.kargah"), "signer": fingerprint(far_home)}
    refused = small.client("admin").post("/api/v1/bundles", json=wish)
    assert (refused.status_code, refused.json()["code"]) == (413, "QUOTA_EXCEEDED")
    assert state_of(small)[1:] == (0, 0)
