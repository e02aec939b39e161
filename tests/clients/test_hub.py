"""The real clients of the big hub, unmodified, with HF_ENDPOINT=http://host/hub: each program runs in a process of its own."""

import hashlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support.server import JOB_SECONDS, Server

from kargah.client import Kargah

Run = Callable[..., Any]
SAMPLE = Path(__file__).parents[2] / "kargah" / "recipes" / "tabular" / "samples" / "line.csv"
SAY = "\nimport json as _json, sys as _sys\n_sys.stdout.write('\\n' + _json.dumps(said, ensure_ascii=False, default=str))\n"

FILES = """
import os
from huggingface_hub import HfApi, hf_hub_download, hf_hub_url, snapshot_download
from huggingface_hub.file_download import http_get
from huggingface_hub.utils import build_hf_headers

api, folder = HfApi(), os.environ["FOLDER"]
me = api.whoami()["name"]
repo = api.create_repo("my-files", exist_ok=True).repo_id
again = api.create_repo(repo, exist_ok=True).repo_id
first = api.upload_file(path_or_fileobj="سلام".encode(), path_in_repo="یادداشت.txt", repo_id=repo)
second = api.upload_folder(folder_path=folder, repo_id=repo)
same = api.upload_folder(folder_path=folder, repo_id=repo)
api.delete_file("old.txt", repo)
info = api.model_info(repo, files_metadata=True)
local = snapshot_download(repo, local_dir=os.path.join(os.environ["HF_HOME"], "taken"))
cached = snapshot_download(repo)
whole = open(os.path.join(folder, "پوشه/وزن.bytes"), "rb").read()
with open(os.path.join(os.environ["HF_HOME"], "part"), "wb+") as part:
    part.write(whole[:1_000_000])
    http_get(hf_hub_url(repo, "پوشه/وزن.bytes"), part, resume_size=1_000_000, headers=build_hf_headers(), expected_size=len(whole))
    part.seek(0)
    resumed = part.read() == whole
checked = api.verify_repo_checksums(repo, local_dir=local)
said = {
    "me": me, "repo": repo, "again": again, "same": same.oid == second.oid, "files": api.list_repo_files(repo),
    "sizes": {file.rfilename: file.size for file in info.siblings}, "sha": info.sha,
    "text": open(hf_hub_download(repo, "یادداشت.txt")).read(),
    "older": open(hf_hub_download(repo, "یادداشت.txt", revision=first.oid)).read(),
    "taken": sorted(os.path.relpath(os.path.join(place, name), local) for place, _, names in os.walk(local) for name in names
                    if ".cache" not in place),
    "same_bytes": open(os.path.join(cached, "پوشه/وزن.bytes"), "rb").read() == whole, "resumed": resumed,
    "checked": checked.checked_count, "wrong": [*checked.mismatches, *checked.missing_paths],
    "paths": [entry.path for entry in api.get_paths_info(repo, ["پوشه", "nix", "یادداشت.txt"])],
    "exists": [api.file_exists(repo, "یادداشت.txt"), api.file_exists(repo, "nix"), api.repo_exists(repo), api.repo_exists(f"{me}/nix"),
               api.revision_exists(repo, "main"), api.revision_exists(repo, "nix")],
    "listed": repo in [model.id for model in api.list_models(search="files", author=me)],
    "refs": api.list_repo_refs(repo).branches[0].target_commit, "commits": [commit.title for commit in api.list_repo_commits(repo)],
}
"""

LARGE = """
import os
from huggingface_hub import HfApi, hf_hub_download

api, path = HfApi(), os.environ["LARGE"]
repo = api.create_repo("large-files").repo_id
pushed = api.upload_file(path_or_fileobj=path, path_in_repo="large.onnx", repo_id=repo)
[told] = api.get_paths_info(repo, ["large.onnx"])
said = {"repo": repo, "sha256": told.lfs.sha256, "size": told.size, "back": os.path.getsize(hf_hub_download(repo, "large.onnx"))}
"""

MODEL = """
import os, torch
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import (AutoModelForSequenceClassification, AutoTokenizer, BertConfig, BertForSequenceClassification,
                          PreTrainedTokenizerFast, pipeline)

words = ["[UNK]", "[PAD]", "خوب", "بد", "کتاب"]
tokens = Tokenizer(models.WordLevel({word: number for number, word in enumerate(words)}, unk_token="[UNK]"))
tokens.pre_tokenizer = pre_tokenizers.Whitespace()
tokenizer = PreTrainedTokenizerFast(tokenizer_object=tokens, unk_token="[UNK]", pad_token="[PAD]")
config = BertConfig(vocab_size=5, hidden_size=8, num_hidden_layers=1, num_attention_heads=1, intermediate_size=8,
                    id2label={0: "منفی", 1: "مثبت"}, label2id={"منفی": 0, "مثبت": 1})
model = BertForSequenceClassification(config).eval()
model.push_to_hub("tiny-bert")
tokenizer.push_to_hub("tiny-bert")
repo = os.environ["ME"] + "/tiny-bert"
taken = AutoModelForSequenceClassification.from_pretrained(repo).eval()
ids = AutoTokenizer.from_pretrained(repo)("کتاب خوب", return_tensors="pt")
with torch.no_grad():
    same = torch.allclose(model(**ids).logits, taken(**ids).logits, atol=1e-6)
said = {"repo": repo, "same": same, "label": pipeline("text-classification", model=repo)("کتاب خوب")[0]["label"]}
"""

DATA = """
import os
from datasets import Dataset, DatasetDict, load_dataset
from huggingface_hub import HfApi

rows = {"متن": ["خوب", "بد", "عالی", "کند"] * 10, "برچسب": ["+", "-"] * 20}
both = DatasetDict({"train": Dataset.from_dict(rows), "test": Dataset.from_dict({key: values[:8] for key, values in rows.items()})})
repo = os.environ["ME"] + "/comments"
both.push_to_hub(repo)
both.push_to_hub(repo, commit_message="once more")
back = load_dataset(repo)
imported = load_dataset(os.environ["IMPORTED"])
said = {"repo": repo, "rows": {name: part.num_rows for name, part in back.items()}, "same": back["train"]["متن"][:] == rows["متن"],
        "imported": imported["train"].num_rows, "columns": imported["train"].column_names,
        "files": HfApi().list_repo_files(repo, repo_type="dataset")}
"""

REFUSED = """
import os
from huggingface_hub import HfApi, hf_hub_download
from huggingface_hub.utils import HfHubHTTPError, RepositoryNotFoundError

def refused(do):
    try:
        do()
    except RepositoryNotFoundError:
        return "RepositoryNotFoundError"
    except HfHubHTTPError as error:
        return str(error.response.status_code) + " " + str(error.response.headers.get("x-error-message"))
    return "let in"

repo = os.environ["REPO"]
mine, nobody, wrong, other = HfApi(), HfApi(token=False), HfApi(token="kgh_wrong"), HfApi(token=os.environ["OTHER"])
private = mine.create_repo("private-files", private=True).repo_id
mine.upload_file(path_or_fileobj=b"x", path_in_repo="a.txt", repo_id=private)
said = {
    "mine": refused(lambda: mine.hf_hub_download(private, "a.txt", local_dir=os.environ["HF_HOME"])),
    "nobody": [refused(lambda: nobody.model_info(private)), refused(lambda: nobody.list_repo_files(repo))],
    "wrong": refused(lambda: wrong.model_info(repo)),
    "other": [refused(lambda: other.model_info(private)), refused(lambda: other.model_info(repo))],
    "push": refused(lambda: other.upload_file(path_or_fileobj=b"x", path_in_repo="b.txt", repo_id=repo)),
    "pickle": refused(lambda: mine.upload_file(path_or_fileobj=b"x", path_in_repo="pytorch_model.bin", repo_id=repo)),
}
"""


@pytest.fixture
def run(server: Server, tmp_path: Path) -> Run:
    """Runs a program of a client as the admin; returns what it ``said``."""

    def running(program: str, **environment: str) -> Any:
        known = {"HF_ENDPOINT": f"{server.url}/hub", "HF_TOKEN": server.token, "HF_HOME": str(tmp_path / "hf"), "HOME": str(tmp_path)}
        quiet = {"HF_HUB_DISABLE_PROGRESS_BARS": "1", "HF_HUB_DISABLE_TELEMETRY": "1", "OMP_NUM_THREADS": "1", "PATH": os.environ["PATH"]}
        done = subprocess.run(
            [sys.executable, "-c", program + SAY], env={**known, **quiet, **environment}, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr[-4000:]
        return json.loads(done.stdout.splitlines()[-1])

    return running


@pytest.fixture(scope="module")
def me(server: Server) -> str:
    return str(server.client().get("/hub/api/whoami-v2").json()["name"])


def test_files_pushed_by_huggingface_hub_come_back_the_same(run: Run, me: str, tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    (folder / "پوشه").mkdir(parents=True)
    (folder / "پوشه" / "وزن.bytes").write_bytes(os.urandom(3_000_000))
    (folder / "old.txt").write_text("x")
    (folder / "empty.txt").write_bytes(b"")
    said = run(FILES, FOLDER=str(folder))
    files = ["empty.txt", "پوشه/وزن.bytes", "یادداشت.txt"]
    assert (said["me"], said["repo"], said["again"], said["same"]) == (me, f"{me}/my-files", f"{me}/my-files", True)
    assert (said["text"], said["older"], said["files"], said["taken"]) == ("سلام", "سلام", files, files)
    assert said["sizes"] == {"empty.txt": 0, "پوشه/وزن.bytes": 3_000_000, "یادداشت.txt": 8}
    assert (said["same_bytes"], said["resumed"], said["checked"], said["wrong"], said["listed"]) == (True, True, 3, [], True)
    assert (said["paths"], said["exists"]) == (["پوشه", "یادداشت.txt"], [True, False, True, False, True, False])
    assert said["refs"] == said["sha"]
    assert len(said["commits"]) == 3


def test_files_too_large_for_a_commit_go_by_themselves(run: Run, tmp_path: Path) -> None:
    content = os.urandom(1 << 20) * 65
    (tmp_path / "large").write_bytes(content)
    said = run(LARGE, LARGE=str(tmp_path / "large"), HF_HUB_DISABLE_XET="1")
    assert said["sha256"] == hashlib.sha256(content).hexdigest()
    assert said["size"] == said["back"] == len(content)


def test_a_model_pushed_by_transformers_loads_again_and_is_one_to_start_from(run: Run, me: str, server: Server) -> None:
    said = run(MODEL, ME=me)
    assert (said["same"], said["label"] in ("مثبت", "منفی")) == (True, True)
    with Kargah(server.url, token=server.token) as kargah:
        [model] = kargah.transport.json("GET", "/api/v1/models", params={"query": "tiny-bert", "source": "local"})["items"]
    assert {"config.json", "model.safetensors", "tokenizer.json"} <= {file["path"] for file in model["versions"][0]["files"]}


def test_data_pushed_by_datasets_loads_again_and_is_read_in_with_its_split(run: Run, me: str, server: Server) -> None:
    with Kargah(server.url, token=server.token) as kargah:
        line = kargah.datasets.upload(SAMPLE, title="خطِ راست")
        imported = next(item["id"] for item in server.client().get("/hub/api/datasets", params={"search": "خط"}).json())
        said = run(DATA, ME=me, IMPORTED=imported, HF_HUB_DISABLE_XET="1")
        assert (said["rows"], said["same"], said["imported"], said["columns"]) == ({"train": 40, "test": 8}, True, 30, ["x", "y"])
        assert imported == f"{me}/kht-rast"
        found = _imported(kargah, "comments")
        assert (found["version"]["state"], found["version"]["rows"], found["version"]["number"]) == ("READY", 48, 1)
        names = [column["name"] for column in kargah.transport.json("GET", f"/api/v1/datasets/{found['id']}")["version"]["columns"]]
        assert names == ["متن", "برچسب", "split"]
        assert line.id != found["id"]


def _imported(kargah: Kargah, title: str) -> dict[str, Any]:
    deadline = time.monotonic() + JOB_SECONDS
    while True:
        [found] = kargah.transport.json("GET", "/api/v1/datasets", params={"query": title})["items"]
        if found["version"]["state"] != "IMPORTING":
            return dict(found)
        assert time.monotonic() < deadline, found
        time.sleep(0.2)


def test_who_may_not_see_or_push_is_told_so_by_the_clients_own_errors(run: Run, me: str, server: Server) -> None:
    with Kargah(server.url, token=server.token) as kargah:
        form = {"email": "other@example.org", "password": "correct horse battery", "name": "other", "role": "viewer"}
        kargah.transport.json("POST", "/api/v1/users", json=form)
    signed = server.client(None).post("/api/auth/login", json={"email": form["email"], "password": form["password"]}).json()
    shared = server.client().post("/hub/api/repos/create", json={"name": "shared-files"}).json()["id"]
    said = run(REFUSED, REPO=shared, OTHER=signed["token"])
    assert said["mine"] == "let in"
    assert said["nobody"] == ["RepositoryNotFoundError"] * 2
    assert said["wrong"] == "401 Invalid credentials in Authorization header"
    assert said["other"] == ["RepositoryNotFoundError", "let in"]
    assert said["push"].startswith("403")
    assert said["pickle"].startswith("400") and "pickle" in said["pickle"]
