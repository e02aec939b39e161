"""Model folders in and out by HTTP."""

import hashlib
import io
import json
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path

from support.sites import Site


def tiny_weights() -> bytes:
    header = json.dumps({"weight": {"dtype": "F32", "shape": [2, 2], "data_offsets": [0, 16]}}).encode()
    return struct.pack("<Q", len(header)) + header + struct.pack("<4f", 1, 2, 3, 4)


CONFIG = b'{"model_type": "bert", "architectures": ["BertModel"]}'
FILES = {"config.json": CONFIG, "model.safetensors": tiny_weights(), "README.md": "مدل".encode()}


def zipped(files: dict[str, bytes]) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return packed.getvalue()


def upload(site: Site, files: dict[str, bytes], who: str = "trainer") -> "tuple[int, dict[str, object]]":
    answer = site.client(who).post("/api/v1/models/upload", files={"file": ("مدل.zip", zipped(files))}, data={"title": "پایه"})
    return answer.status_code, answer.json()


def test_a_zipped_folder_comes_in_and_goes_out_again_whole(site: Site) -> None:
    status, model = upload(site, {f"folder/{name}": content for name, content in FILES.items()})
    assert (status, model["title"]) == (201, "پایه")
    version = model["versions"][0]  # type: ignore[index]
    assert (version["family"], version["parameters"]) == ("base", 4)
    viewer = site.client("viewer")
    packed = viewer.get(f"/api/v1/models/{version['id']}/zip")
    with zipfile.ZipFile(io.BytesIO(packed.content)) as archive:
        assert {name: archive.read(name) for name in archive.namelist()} == FILES
    one = viewer.get(f"/api/v1/models/{version['id']}/files/model.safetensors")
    hashes = {file["path"]: file["sha256"] for file in version["files"]}
    assert hashlib.sha256(one.content).hexdigest() == hashes["model.safetensors"]
    part = viewer.get(f"/api/v1/models/{version['id']}/files/model.safetensors", headers={"Range": "bytes=0-7"})
    assert (part.status_code, part.content) == (206, one.content[:8])
    assert viewer.get(f"/api/v1/models/{version['id']}/files/nothing").status_code == 404
    for path in ("zip", "files/model.safetensors", "version"):
        assert site.client("stranger").get(f"/api/v1/models/{version['id']}/{path}").status_code == 404
    refused = viewer.post(f"/api/v1/models/{version['id']}/predict", json={"inputs": ["سلام"]})
    assert (refused.status_code, refused.json()["code"]) == (422, "MODEL_NOT_SERVABLE")


def test_a_pickle_is_refused_with_the_reason(site: Site) -> None:
    status, problem = upload(site, {"config.json": FILES["config.json"], "pytorch_model.bin": b"\x80\x04."})
    assert (status, problem["code"]) == (422, "MODEL_IS_PICKLE")


def test_a_zip_that_reaches_out_or_swells_is_refused_and_leaves_nothing(make_site: Callable[..., Site]) -> None:
    site = make_site(upload_limit_bytes=200_000)
    site.register("admin")
    for name in ("../escape.json", "/etc/escape.json", "a/../../escape.json", "a\\..\\escape.json"):
        status, problem = upload(site, {name: b"{}", **FILES}, "admin")
        assert (status, problem["code"]) == (422, "UNSAFE_PATH"), name
    status, problem = upload(site, {"model.safetensors": b"\0" * 5_000_000}, "admin")
    assert (status, problem["code"]) == (413, "TOO_LARGE")
    status, problem = upload(site, {f"{number}.json": b"{}" for number in range(1200)}, "admin")
    assert (status, problem["code"]) == (400, "BAD_UPLOAD")
    assert list((site.settings.home / "blobs" / "incoming").iterdir()) == []
    assert not list(site.settings.home.parent.glob("**/escape.json"))
    assert site.client("admin").get("/api/v1/models").json()["items"] == []


def test_a_folder_is_imported_only_from_under_the_roots(make_site: Callable[..., Site], tmp_path: Path) -> None:
    root, outside = tmp_path / "roots" / "model", tmp_path / "elsewhere"
    for folder in (root, outside):
        folder.mkdir(parents=True)
        for name, content in FILES.items():
            (folder / name).write_bytes(content)
    (root.parent / "link").symlink_to(outside)
    site = make_site(import_roots=[str(root.parent)])
    site.register("admin")
    client = site.client("admin")
    assert client.post("/api/v1/models/import", json={"folder": str(root)}).json()["title"] == "model"
    for folder in (outside, root.parent / "link", root / ".." / ".." / "elsewhere", tmp_path / "nothing"):
        refused = client.post("/api/v1/models/import", json={"folder": str(folder)})
        assert (refused.status_code, refused.json()["code"]) == (403, "PATH_NOT_ALLOWED")


def kept(site: Site) -> set[str]:
    return {path.name for path in (site.settings.home / "blobs").rglob("*") if path.is_file()}


def test_what_a_refused_request_had_brought_is_gone_before_the_answer(site: Site) -> None:
    client, key = site.client("trainer"), {"Idempotency-Key": "brought-twice"}

    def send(content: bytes) -> int:
        return client.put("/api/v1/datasets?filename=a.csv", content=content, headers=key).status_code

    assert send(b"x,y\n1,2\n") == 201
    before = kept(site)
    assert send(b"x,y\n3,4\n") == 422
    assert kept(site) == before
    assert send(b"x,y\n1,2\n") == 201, "the same bytes again are refused nothing, and what uses them keeps them"
    pickled = client.post(
        "/api/assets/upload/models", files={"file": ("m.zip", zipped({"config.json": CONFIG, "pytorch_model.bin": b"x"}))}
    )
    assert pickled.status_code == 422
    assert kept(site) - before <= {f"{name}.pin" for name in before}


def test_a_quota_holds_for_what_a_zip_unpacks_to_and_for_folders_of_the_server(make_site: Callable[..., Site], tmp_path: Path) -> None:
    site = make_site(user_quota_bytes=20_000, import_roots=[tmp_path])
    site.register("admin")
    large = {**FILES, "tokenizer.json": b"{" + b" " * 50_000 + b"}"}
    before = kept(site)
    status, said = upload(site, large, "admin")
    assert (status, said["code"]) == (413, "QUOTA_EXCEEDED")
    folder = tmp_path / "model"
    folder.mkdir()
    for name, content in large.items():
        (folder / name).write_bytes(content)
    asked = site.client("admin").post("/api/v1/models/import", json={"folder": str(folder)})
    assert (asked.status_code, asked.json()["code"]) == (413, "QUOTA_EXCEEDED")
    assert kept(site) == before
