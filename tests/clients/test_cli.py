"""The terminal as people and scripts use it: as a process of its own, by its output and its exit status."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from support.server import EMAIL, PASSWORD, Server

TEXTS = [("truly quite bad", "bad"), ("really very good", "good")]
REVIEWS = "text,label\n" + "".join(f"{TEXTS[n % 2][0]} {n},{TEXTS[n % 2][1]}\n" for n in range(40))


def kargah(folder: Path, *arguments: str, password: str = "", language: str = "en") -> "subprocess.CompletedProcess[str]":
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("KARGAH_", "XDG_", "COLUMNS"))}
    environment |= {"XDG_CONFIG_HOME": str(folder / "config"), "HOME": str(folder), "OMP_NUM_THREADS": "1"}
    environment |= {"KARGAH_PASSWORD": password} if password else {}
    command = [sys.executable, "-m", "kargah", "--language", language, *arguments]
    return subprocess.run(command, cwd=folder, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)


def done(folder: Path, *arguments: str, **options: str) -> str:
    ended = kargah(folder, *arguments, **options)
    assert ended.returncode == 0, ended.stderr + ended.stdout
    return ended.stdout


def refused(folder: Path, status: int, *arguments: str) -> str:
    """One sentence on stderr, the exit status that scripts rely on, never a traceback."""
    ended = kargah(folder, *arguments)
    assert ended.returncode == status, ended.stderr + ended.stdout
    assert "Traceback" not in ended.stderr
    return ended.stderr


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with reviews.csv and the model that quick-train made of it."""
    folder = tmp_path_factory.mktemp("quick")
    (folder / "reviews.csv").write_text(REVIEWS)
    said = done(folder, "quick-train", "reviews.csv", "--epochs", "2", "--batch-size", "8", "--learning-rate", "0.01")
    assert "95% interval" in said
    assert "majority" in said
    return folder


def test_quick_train_makes_a_model_folder_without_a_server(trained: Path) -> None:
    assert json.loads((trained / "reviews-model" / "kargah.json").read_text())["recipe"] == "text-classification"
    assert len(list((trained / "reviews-model-others").iterdir())) == 2
    assert not list(trained.glob("*.part"))


def test_predict_asks_a_folder(trained: Path) -> None:
    outputs = json.loads(done(trained, "predict", "reviews-model", "really very good", "truly quite bad", "--json"))
    assert [output["label"] for output in outputs] == ["good", "bad"]


def test_a_model_folder_is_never_overwritten(trained: Path) -> None:
    before = (trained / "reviews-model" / "kargah.json").read_bytes()
    assert "reviews-model" in refused(trained, 2, "quick-train", "reviews.csv")
    assert (trained / "reviews-model" / "kargah.json").read_bytes() == before


def test_a_dry_run_of_a_plan_says_so_and_makes_no_model(trained: Path) -> None:
    plan = "datasets: [reviews.csv]\nrecipe: text-classification\nspec: {epochs: 2, columns: {text: text, label: label}}\noutput: dry\n"
    (trained / "plan.yaml").write_text(plan)
    assert "dry run" in done(trained, "train", "plan.yaml", "--dry-run")
    assert not (trained / "dry").exists()


WRONG_PLANS = {
    "datasets: []": "datasets",
    "datasets: [reviews.csv]\nepoch: 3": "epoch",
    "datasets: [a\n": "2:1",
    "datasets: [none.csv]": "none.csv",
    "datasets: [reviews.csv]\nspec: {epochs: many}": "spec.epochs",
    "datasets: [reviews.csv]\nspec: {columns: {label: nothing}}": "nothing",
    "datasets: [reviews.csv]\nrecipe: magic": "magic",
}


@pytest.mark.parametrize("plan", WRONG_PLANS)
def test_a_wrong_plan_is_refused_by_its_place(trained: Path, plan: str) -> None:
    (trained / "wrong.yaml").write_text(plan)
    assert WRONG_PLANS[plan] in refused(trained, 2, "train", "wrong.yaml", "--output", "wrong")
    assert not (trained / "wrong").exists()


def test_data_that_is_no_table_is_refused_in_both_languages(tmp_path: Path) -> None:
    (tmp_path / "empty.csv").write_bytes(b"")
    english = kargah(tmp_path, "quick-train", "empty.csv")
    persian = kargah(tmp_path, "quick-train", "empty.csv", language="fa")
    assert english.returncode == persian.returncode == 1
    assert english.stderr != persian.stderr
    assert any("\u0600" <= letter <= "\u06ff" for letter in persian.stderr)


def test_from_login_to_a_downloaded_model(server: Server, trained: Path, finished_job: dict[str, Any]) -> None:
    done(trained, "login", EMAIL, "--server", server.url, password=PASSWORD)
    kept = trained / "config" / "kargah" / "login.json"
    assert kept.stat().st_mode & 0o777 == 0o600
    dataset = json.loads(done(trained, "datasets", "add", "reviews.csv", "--json"))["id"]
    assert dataset in done(trained, "datasets", "list")
    assert "label" in done(trained, "datasets", "show", dataset)
    assert "Version 2" in done(trained, "datasets", "add", "reviews.csv", "--to", dataset)
    (trained / "remote.yaml").write_text(f"datasets: [{dataset}]\nspec: {{epochs: 1}}\ntitle: remote\n")
    assert "95% interval" in done(trained, "train", "remote.yaml", "--server", server.url)
    jobs = json.loads(done(trained, "jobs", "list", "--json"))
    newest = next(job for job in jobs if job["title"] == "remote")
    assert newest["state"] == "COMPLETED"
    version = newest["result"]["model_version_id"]
    assert "good" in done(trained, "predict", version, "really very good")
    done(trained, "models", "download", version, "-o", "model.zip")
    assert (trained / "model.zip").stat().st_size > 1000
    assert "remote" in done(trained, "models", "list")
    done(trained, "datasets", "delete", dataset)
    assert "remote" in refused(trained, 5, "datasets", "delete", dataset, "--purge")
    assert dataset in done(trained, "datasets", "restore", dataset)
    assert "remote" in done(trained, "jobs", "show", newest["id"])
    assert done(trained, "jobs", "logs", newest["id"], "--follow")
    done(trained, "logout")
    assert not kept.exists()
    refused(trained, 5, "jobs", "list", "--server", server.url)


def test_a_folder_of_the_server_is_scanned_and_all_files_are_checked_from_the_terminal(server: Server, tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    (disk / "rows.csv").write_text("a,b\n1,2\n")
    there = ("--server", server.url, "--token", server.token)
    root = json.loads(done(tmp_path, "storage", "add-root", str(disk), "--json", *there))
    assert (root["summary"]["files"], root["summary"]["tables"]) == (1, 1)
    assert "1 files, 0 models, 1 tables" in done(tmp_path, "storage", "scan", root["id"], *there)
    assert root["id"] in done(tmp_path, "storage", "roots", *there)
    assert "All files are whole" in done(tmp_path, "storage", "check", *there)


def test_no_server_and_a_refusal_have_their_own_exit_status(server: Server, tmp_path: Path, finished_job: dict[str, Any]) -> None:
    assert "127.0.0.1:9" in refused(tmp_path, 4, "jobs", "list", "--server", "http://127.0.0.1:9")
    to_server = ("--server", server.url, "--token", server.token)
    assert refused(tmp_path, 5, "jobs", "stop", finished_job["job_id"], *to_server)
    assert refused(tmp_path, 5, "jobs", "show", "job_none", *to_server)


def test_users_are_kept_without_a_server(tmp_path: Path) -> None:
    home = ("--home", str(tmp_path / "home"))
    done(tmp_path, "users", "add", "First@example.org", "--role", "viewer", *home, password="a long enough phrase")
    done(tmp_path, "users", "add", "second@example.org", *home, password="a long enough phrase")
    done(tmp_path, "users", "set-role", "second@example.org", "viewer", *home)
    done(tmp_path, "users", "block", "second@example.org", *home)
    done(tmp_path, "users", "approve", "second@example.org", *home)
    done(tmp_path, "users", "reset-password", "second@example.org", *home, password="another long phrase")
    users = {user["email"]: user for user in json.loads(done(tmp_path, "users", "list", "--json", *home))}
    assert (users["first@example.org"]["role"], users["second@example.org"]["role"]) == ("admin", "viewer")
    assert users["second@example.org"]["status"] == "active"
    refused(tmp_path, 1, "users", "set-role", "nobody@example.org", "viewer", *home)
    refused(tmp_path, 2, "users", "set-role", "second@example.org", "king", *home)


def test_the_doctor_finds_what_is_broken(server: Server, tmp_path: Path) -> None:
    findings = json.loads(done(tmp_path, "doctor", "--json", "--home", str(server.home)))
    by_check = {finding["check"]: finding["verdict"] for finding in findings}
    assert (by_check["python"], by_check["database"], by_check["agent"]) == ("good", "good", "good")
    environment = {**os.environ, "KARGAH_DATABASE_URL": "postgresql://nobody@127.0.0.1:9/none", "KARGAH_LANGUAGE": "fa"}
    command = [sys.executable, "-m", "kargah", "doctor", "--home", str(tmp_path)]
    broken = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert broken.returncode == 1
    assert "✗ پایگاه دادهٔ" in broken.stdout


def test_help_loads_nothing_heavy_and_speaks_both_languages(tmp_path: Path) -> None:
    heavy = "('torch', 'sqlalchemy', 'httpx', 'numpy')"
    code = f"import sys; from kargah.cli.main import app; print([name for name in {heavy} if name in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "[]"
    assert "quick-train" in done(tmp_path, "--help")
    assert "آموزش" in done(tmp_path, "--help", language="fa")


def test_the_terminal_lists_the_catalogue_and_says_why_it_refuses(server: Server, tmp_path: Path) -> None:
    place = ("--server", server.url, "--token", server.token)
    assert "HooshvareLab/bert-base-parsbert-uncased" in done(tmp_path, "models", "catalogue", "parsbert", *place)
    assert "not in the catalogue" in refused(tmp_path, 5, "models", "get", "nobody/nothing", *place)
