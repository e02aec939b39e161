"""A person's own file beside our worker: what it says, what is kept of it, and how it is made to end."""

import json
import os
import pwd
import shutil
import signal
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from attempts import events_of, of_kind

from kargah.contract import control
from kargah.contract.attempt import AttemptDirectory
from kargah.contract.control import Want
from kargah.contract.events import LAST_WORDS
from kargah.contract.process import environment, start_worker
from kargah.contract.scripts import Folders
from kargah.jobs import processes
from kargah.kit import files
from kargah.workers import confining

COUNTS = """
import json, time
from kargah.client import run
before = run.last_checkpoint()
step = json.loads((before[1] / "state.json").read_text())["step"] if before else 0
run.begin(total_steps=run.parameters()["steps"])
while step < run.parameters()["steps"] and not run.should_stop():
    step += 1
    run.metrics(step, loss=1 / step)
    time.sleep(run.parameters().get("pause", 0))
    if step % 5 == 0:
        with run.save_checkpoint(step) as folder:
            (folder / "state.json").write_text(json.dumps({"step": step}))
if step == run.parameters()["steps"]:
    run.measured(step, accuracy=0.5)
    run.log("تمام شد")
    (run.outputs() / "sub").mkdir()
    (run.outputs() / "sub" / "result.txt").write_text(str(step))
"""


class Script:
    """One job of a custom script; each ``start`` is its next attempt."""

    user: str | None = None

    def __init__(self, home: Path, source: str, **parameters: Any) -> None:
        self.home, self.source, self.parameters, self.attempts = home, source, parameters, 0

    def lay_out(self) -> AttemptDirectory:
        self.attempts += 1
        directory = AttemptDirectory.of(self.home, "job_1", self.attempts)
        for folder in (directory.inputs / "script", directory.outputs, directory.checkpoints):
            folder.mkdir(parents=True, exist_ok=True)
        (directory.inputs / "script" / "main.py").write_text(self.source, encoding="utf-8")
        plan = {"kind": "script", "job_id": "job_1", "attempt": self.attempts, "title": "s", "filename": "s.py", "sha256": "0" * 64}
        files.write_json(directory.plan, {**plan, "parameters": self.parameters, "output_limit_bytes": 1_000_000, "user": self.user})
        return directory

    def start(self) -> "tuple[AttemptDirectory, subprocess.Popen[bytes]]":
        directory = self.lay_out()
        return directory, start_worker("kargah.workers.script", directory, threads=1)

    def run(self) -> AttemptDirectory:
        directory, process = self.start()
        assert process.wait(timeout=120) == 0
        return directory


def until(directory: AttemptDirectory, is_so: Callable[[list[Any]], bool]) -> None:
    for _ in range(6000):
        events = events_of(directory)
        if is_so(events):
            return
        assert not any(event.kind in LAST_WORDS for event in events), events[-1]
        time.sleep(0.01)
    raise AssertionError("it did not come so far")


def has_step(number: int) -> Callable[[list[Any]], bool]:
    return lambda events: any(event.kind == "Step" and event.step >= number for event in events)


def logged(directory: AttemptDirectory, code: str) -> list[dict[str, Any]]:
    return [event.params for event in of_kind(events_of(directory), "Logged") if event.code == code]


def test_what_a_script_says_becomes_our_events_and_what_it_leaves_is_kept(tmp_path: Path) -> None:
    directory = Script(tmp_path, COUNTS, steps=10).run()
    events = events_of(directory)
    assert [event.step for event in of_kind(events, "Step")] == list(range(1, 11))
    assert of_kind(events, "Running")[-1].total_steps == 10
    assert [event.step for event in of_kind(events, "Saved")] == [5, 10]
    assert of_kind(events, "Evaluated")[0].metrics == {"accuracy": 0.5}
    assert logged(directory, "script.said") == [{"text": "تمام شد"}]
    assert events[-1].kind == "Finished"
    kept = events[-1].result["files"]
    assert [file["path"] for file in kept] == ["sub/result.txt"]
    assert files.digest_of(directory.outputs / "sub" / "result.txt").sha256 == kept[0]["sha256"]


def test_a_pause_is_seen_by_the_script_and_the_next_attempt_goes_on_from_its_checkpoint(tmp_path: Path) -> None:
    script = Script(tmp_path, COUNTS, steps=40, pause=0.02)
    directory, process = script.start()
    until(directory, has_step(7))
    control.write(directory.control, Want.PAUSE)
    assert process.wait(timeout=60) == 0
    assert events_of(directory)[-1].kind == "Paused"
    again = script.run()
    resumed = of_kind(events_of(again), "Resumed")[0]
    assert resumed.from_step >= 5
    assert of_kind(events_of(again), "Step")[0].step == resumed.from_step + 1
    assert events_of(again)[-1].kind == "Finished"


def test_a_script_whose_worker_is_killed_dies_with_it_and_goes_on_from_the_last_whole_checkpoint(tmp_path: Path) -> None:
    script = Script(tmp_path, COUNTS, steps=500, pause=0.02)
    directory, process = script.start()
    until(directory, lambda events: bool(of_kind(events, "Saved")))
    os.killpg(process.pid, signal.SIGKILL)
    process.wait(timeout=30)
    for _ in range(3000):
        if processes.find_by_argument(Folders(directory.path).script) is None:
            break
        time.sleep(0.01)
    else:
        raise AssertionError("the script outlived its worker")
    newest = max(directory.checkpoints.glob("step-*"))
    (newest.with_name("step-00009000")).mkdir()
    (newest.with_name("step-00009000") / "state.json").write_text("{}")
    script.parameters = {"steps": int(newest.name[5:]) + 1}
    again = script.run()
    assert of_kind(events_of(again), "Resumed")[0].from_step == int(newest.name[5:])
    assert len(of_kind(events_of(again), "Step")) == 1


@pytest.mark.parametrize("source", ["while True: pass", "import signal\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\nwhile True: pass"])
def test_a_script_that_heeds_nothing_is_ended_by_a_stop(source: str, tmp_path: Path) -> None:
    directory, process = Script(tmp_path, f"from kargah.client import run\nrun.metrics(1, loss=1)\n{source}").start()
    until(directory, has_step(1))
    control.write(directory.control, Want.STOP)
    assert process.wait(timeout=60) == 0
    assert events_of(directory)[-1].kind == "Stopped"


def test_a_script_that_breaks_leaves_its_traceback_in_the_log(tmp_path: Path) -> None:
    directory = Script(tmp_path, "def f():\n    raise ValueError('این مقدار نه')\nf()").run()
    last = events_of(directory)[-1]
    assert (last.kind, last.code, last.params, last.evidence) == ("Failed", "SCRIPT_FAILED", {"status": 1}, None)
    told = logged(directory, "script.last_words")[0]["text"]
    assert told.startswith("Traceback")
    assert "ValueError: این مقدار نه" in told


def test_what_is_no_word_of_ours_is_left_out_and_links_are_not_followed(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("hidden")
    source = f"""
import os
from kargah.client import run
run.metrics(1, loss=1.0)
said = os.path.join(os.environ["KARGAH_RUN_FOLDER"], "work", "said.jsonl")
with open(said, "a") as file:
    file.write('{{"kind": "Finished", "result": {{}}}}\\nnonsense\\n{{"kind":"saved","step":1,"folder":"../../x"}}\\n')
os.symlink({str(secret)!r}, run.outputs() / "link")
os.symlink("/etc", run.outputs() / "folder")
os.mkfifo(run.outputs() / "pipe")
(run.outputs() / "real").write_text("ok")
run.metrics(2, loss=float("nan"))
"""
    directory = Script(tmp_path / "home", source).run()
    events = events_of(directory)
    assert len(logged(directory, "script.line_refused")) == 3
    assert [event.kind for event in events].count("Finished") == 1
    assert [file["path"] for file in events[-1].result["files"]] == ["real"]
    assert of_kind(events, "Step")[1].metrics == {"loss": None}


def test_a_script_gets_none_of_the_variables_that_its_worker_was_started_beside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KARGAH_DATABASE_URL", "postgresql://secret")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    source = "import json, os\nfrom kargah.client import run\n(run.outputs() / 'env').write_text(json.dumps(dict(os.environ)))"
    directory = Script(tmp_path, source).run()
    seen = json.loads((directory.outputs / "env").read_text())
    assert "secret" not in json.dumps(seen)
    assert not [name for name in seen if name.startswith("KARGAH_") and name != "KARGAH_RUN_FOLDER"]


def test_outputs_beyond_the_limit_are_refused_by_their_size(tmp_path: Path) -> None:
    source = "from kargah.client import run\nfor n in range(3): (run.outputs() / str(n)).write_bytes(bytes(400_000))"
    last = events_of(Script(tmp_path, source).run())[-1]
    assert (last.kind, last.code) == ("Failed", "SCRIPT_LEFT_TOO_MUCH")


def test_how_far_a_script_is_confined_is_said_and_where_it_is_the_rest_of_the_home_is_out_of_its_sight(tmp_path: Path) -> None:
    (tmp_path / "secrets").mkdir(mode=0o700)
    (tmp_path / "secrets" / "secret_key").write_text("hidden")
    source = f"""
from pathlib import Path
from kargah.client import run
seen = Path({str(tmp_path / "secrets" / "secret_key")!r})
(run.outputs() / "seen").write_text(str(seen.exists()))
"""
    directory = Script(tmp_path, source).run()
    said = [event.code for event in of_kind(events_of(directory), "Logged") if event.code.startswith("script.confined.")]
    assert len(said) == 1
    free = said == ["script.confined.none"]
    assert (directory.outputs / "seen").read_text() == str(free)


def test_a_user_who_can_read_what_is_the_servers_own_confines_nothing(tmp_path: Path) -> None:
    """The trial decides, whatever the settings say: here the database may be read by everybody."""
    directory = Script(tmp_path, "").lay_out()
    folders = Folders(directory.path)
    for folder in (folders.told, folders.checkpoint, folders.outputs):
        folder.mkdir(parents=True)
    files.write_json(folders.about, {})
    (tmp_path / "kargah.db").write_text("all of it")
    assert not confining.Confinement("user", folders).works([tmp_path / "kargah.db"])
    assert confining.Confinement("user", folders).works([tmp_path / "absent"])


def test_outside_of_kargah_the_words_say_so() -> None:
    done = subprocess.run(
        [sys.executable, "-c", "from kargah.client import run; run.parameters()"], capture_output=True, text=True, timeout=120
    )
    assert "NOT_A_RUN" in done.stderr


LOOKS_AROUND = """
import json, os, resource, signal, subprocess
from pathlib import Path
from kargah.client import run

def tried(action):
    try:
        action()
        return "done"
    except OSError as error:
        return type(error).__name__

home, attempt = Path(run.parameters()["place"]), Path(os.environ["KARGAH_RUN_FOLDER"])
hidden = ("kargah.db", "secrets/secret_key", "blobs/aa/aab", "jobs/job_2/attempts/1/inputs/rows", "jobs/job_1/checkpoints/step")
found = {path: tried(lambda: (home / path).read_bytes()) for path in hidden}
found |= {f"{path}/": tried(lambda: os.listdir(home / path)) for path in ("", "jobs", "secrets", "blobs")}
found |= {path: tried(lambda: (attempt / path).read_bytes()) for path in ("plan.json", "events.jsonl", "worker.log")}
found |= {f"change {path}": tried(lambda: (attempt / path).open("a")) for path in ("told/run.json", "inputs/rows", "new")}
found["read inputs"] = (attempt / "inputs" / "rows").read_text()
found["signal"] = tried(lambda: os.kill(run.parameters()["pid"], signal.SIGTERM))
found["signal the worker"] = tried(lambda: os.kill(os.getppid(), signal.SIGTERM))
found["root"] = tried(lambda: os.setuid(0))
found["too large"] = tried(lambda: (attempt / "work" / "large").write_bytes(bytes(2_000_000)))
found |= {"who": [os.getuid(), os.geteuid(), os.getgid(), os.getgroups()], "processes": resource.getrlimit(resource.RLIMIT_NPROC)[0]}
found["left"] = subprocess.Popen(["/bin/sleep", "600"], start_new_session=True).pid
run.metrics(1, loss=0.5)
with run.save_checkpoint(1) as folder:
    (folder / "state.json").write_text("{}")
(run.outputs() / "found").write_text(json.dumps(found))
"""


@pytest.fixture
def open_home() -> Iterator[Path]:
    """A home that lies open, as a usual umask leaves one, where another user could come to it (pytest's own folders are root's alone)."""
    folder = Path(tempfile.mkdtemp(prefix="kargah-home-"))
    folder.chmod(0o755)
    for path in ("kargah.db", "secrets/secret_key", "blobs/aa/aab", "jobs/job_2/attempts/1/inputs/rows", "jobs/job_1/checkpoints/step"):
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text("hidden")
    yield folder
    shutil.rmtree(folder)


def python_for_all() -> str | None:
    """Ours, or the system's of the same version, whichever any user can start."""
    for path in (Path(sys.executable).resolve(), Path(f"/usr/bin/python3.{sys.version_info.minor}")):
        if path.is_file() and all(folder.stat().st_mode & 0o001 for folder in (path, *path.parents)):
            return str(path)
    return None


def test_a_script_of_another_user_reads_and_ends_nothing_that_is_not_its_own(open_home: Path) -> None:
    """The real thing: without bubblewrap, as nobody. Only root can become another user."""
    python = python_for_all()
    if os.geteuid() != 0 or python is None:
        pytest.skip("NOT TESTED: custom scripts under a user of their own; that takes root, and a Python that every user can start")
    script = Script(open_home, LOOKS_AROUND, place=str(open_home), pid=os.getpid())
    script.user = "nobody"
    directory = script.lay_out()
    (directory.inputs / "rows").write_text("مال او")
    variables = {**environment(1), "PATH": "/nonexistent"}
    variables["PYTHONPATH"] += os.pathsep + sysconfig.get_path("purelib")
    worker = [python, "-m", "kargah.workers.script", str(directory.path)]
    with directory.log.open("ab") as log:
        assert subprocess.run(worker, env=variables, stdout=log, stderr=log, timeout=120, check=False).returncode == 0
    assert events_of(directory)[-1].kind == "Finished", directory.log.read_text()
    assert logged(directory, "script.confined.user") == [{"user": "nobody"}]
    found = json.loads((directory.outputs / "found").read_text())
    nobody = pwd.getpwnam("nobody")
    assert found.pop("who") == [nobody.pw_uid, nobody.pw_uid, nobody.pw_gid, []]
    assert (found.pop("read inputs"), found.pop("processes"), found.pop("too large")) == ("مال او", 1024, "OSError")
    left = found.pop("left")
    assert set(found.values()) == {"PermissionError"}, found
    assert not psutil.pid_exists(left)
    assert [event.step for event in of_kind(events_of(directory), "Saved")] == [1]


def test_a_user_that_there_is_not_is_tried_in_vain_and_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    directory = Script(tmp_path, "").lay_out()
    found, in_vain = confining.best(Folders(directory.path), tmp_path, "no-such-user")
    assert (found.name, in_vain) == ("none", ["user"])
