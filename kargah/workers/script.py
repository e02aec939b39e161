"""Run a person's own Python file: ``python -m kargah.workers.script ATTEMPT_DIR``.

The file runs in a process of its own beside this one, confined as far as the machine allows (workers.confining). What it says is
checked line by line and told on as our events; checkpoints and outputs are taken over from its folder. What is wanted is passed
on to it, and a script that does not heed it is ended.
"""

import os
import shutil
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from kargah.contract import control
from kargah.contract.control import Want
from kargah.contract.plans import Plan, ScriptPlan
from kargah.contract.results import OutputFile, ScriptResult
from kargah.contract.scripts import (
    LONGEST_LINE_BYTES,
    About,
    AnySaid,
    Folders,
    InputTold,
    Said,
    SaidBegin,
    SaidHeard,
    SaidLog,
    SaidMetrics,
    SaidProgress,
    SaidSaved,
)
from kargah.kit import files
from kargah.kit.clock import iso, utc_now
from kargah.kit.errors import KargahError
from kargah.workers import confining
from kargah.workers.edge import Attempt, run_attempt

MANIFEST = "state.json"
#: Where a script's own files lie in a checkpoint, whatever they are called.
_FILES = "files"
_LOOK_SECONDS = 0.05
#: How long a script may go on once it is told. A stop is over within five seconds, for it is pressed from outside as well.
_GRACE_SECONDS = {Want.STOP: 1.2, Want.PAUSE: 60.0, Want.TERMINATE: 15.0}
_KEPT_CHECKPOINTS = 2
_MOST_FILES = 2000
_MOST_REFUSALS = 20
_TAIL_BYTES, _TAIL_LINES = 8 << 10, 30


class ScriptFailed(KargahError):
    """``status``: what it ended with."""

    code = "SCRIPT_FAILED"


class ScriptKilled(KargahError):
    """``signal``: the number of what ended it."""

    code = "SCRIPT_KILLED"


class ScriptLeftTooMuch(KargahError):
    """``reason``: of outputs or of a checkpoint: files, size_bytes."""

    code = "SCRIPT_LEFT_TOO_MUCH"


def run_script(plan: Plan, attempt: Attempt) -> dict[str, Any]:
    """Return the ScriptResult as JSON. Raises ScriptFailed, ScriptKilled, ScriptLeftTooMuch."""
    assert isinstance(plan, ScriptPlan)
    folders = Folders(attempt.directory.path)
    step = _lay_out(plan, attempt, folders)
    confinement, in_vain = confining.best(folders, attempt.directory.home, plan.user)
    for name in in_vain:
        attempt.tell.log(f"script.in_vain.{name}", "warning", user=plan.user or "")
    attempt.tell.log(f"script.confined.{confinement.name}", "warning" if confinement.name == "none" else "info", user=plan.user or "")
    relay = Relay(plan, attempt, folders)
    relay.begin(None)
    if step is not None or plan.attempt > 1:
        attempt.tell.step = step or 0
        attempt.tell("Resumed", from_step=step or 0, exact=False)
    began_bytes = attempt.directory.log.stat().st_size
    with confining.adopting():
        process = confinement.start([str(folders.script)], plan.output_limit_bytes)
        status = _followed(process, relay, attempt, folders)
    if status != 0:
        _tell_tail(attempt, began_bytes)
        raise ScriptFailed(status=status) if 0 < status < 128 else ScriptKilled(signal=-status if status < 0 else status - 128)
    kept = _taken(folders.outputs, attempt.directory.outputs, plan.output_limit_bytes)
    return ScriptResult(files=kept, step=attempt.tell.step).model_dump(mode="json")


def _lay_out(plan: ScriptPlan, attempt: Attempt, folders: Folders) -> int | None:
    """Make all that a script may see; return the step of the checkpoint that it goes on from."""
    for folder in (folders.told, folders.inputs, folders.checkpoint, folders.saving, folders.outputs):
        folder.mkdir(parents=True, exist_ok=True)
    folders.said.touch()
    shutil.copyfile(folders.inputs / "script" / "main.py", folders.script)
    step = _last_checkpoint(attempt.directory.checkpoints, folders.checkpoint)
    inputs = [InputTold(folder=one.folder, title=one.title, version_id=one.version_id) for one in plan.datasets]
    told = About(job_id=plan.job_id, attempt=plan.attempt, threads=plan.threads, parameters=plan.parameters, inputs=inputs)
    files.write_json(folders.about, told.model_copy(update={"checkpoint_step": step}).model_dump(mode="json"))
    return step


def _followed(process: "subprocess.Popen[bytes]", relay: "Relay", attempt: Attempt, folders: Folders) -> int:
    """Until it has ended; its exit status. Raises what was wanted when it ended for that."""
    told, until = Want.RUN, 0.0
    while (status := process.poll()) is None:
        relay.carry()
        wanted = attempt.wants.want()
        if wanted is not told and wanted in _GRACE_SECONDS:
            told, until = wanted, time.monotonic() + _GRACE_SECONDS[wanted]
            control.write(folders.control, wanted)
        if told is not Want.RUN and time.monotonic() > until:
            attempt.tell.log("script.not_heeded", "warning")
            process.kill()
            process.wait()
        time.sleep(_LOOK_SECONDS)
    relay.carry()
    if told is not Want.RUN and (status != 0 or relay.heard):
        attempt.wants.check()
    return status


class Relay:
    """Tells on what the script says. What is no word of its language is told of, some times, and dropped."""

    def __init__(self, plan: ScriptPlan, attempt: Attempt, folders: Folders) -> None:
        self._plan, self._attempt, self._folders = plan, attempt, folders
        # Opened before the script begins: whatever it puts in this place later is not what is read.
        self._lines = os.open(folders.said, os.O_RDONLY | os.O_NOFOLLOW)
        self._rest = b""
        self._refused = 0
        self.heard = False

    def begin(self, total_steps: int | None) -> None:
        choices = [
            {"name": name, "value": value, "source": "chosen", "why": "why.chosen"} for name, value in sorted(self._plan.parameters.items())
        ]
        self._attempt.tell("Running", total_steps=total_steps, choices=choices)

    def carry(self) -> None:
        """All whole lines that are new."""
        while content := os.read(self._lines, 1 << 20):
            *lines, self._rest = (self._rest + content).split(b"\n")
            for line in lines:
                self._tell(line)
            if len(self._rest) > LONGEST_LINE_BYTES:
                self._rest = b""
                self._refuse("length")

    def _tell(self, line: bytes) -> None:
        try:
            said = AnySaid.validate_json(line[: LONGEST_LINE_BYTES + 1])
        except ValidationError as error:
            self._refuse(str(error.errors(include_url=False)[0]["msg"])[:200])
        else:
            self._do(said)

    def _do(self, said: Said) -> None:
        tell = self._attempt.tell
        if isinstance(said, SaidLog):
            tell.log("script.said", said.level, text=said.text)
        elif isinstance(said, SaidBegin):
            self.begin(said.total_steps)
        elif isinstance(said, SaidProgress):
            tell("Progress", done=said.done, total=said.total, unit=said.unit)
        elif isinstance(said, SaidSaved):
            _keep(self._plan, self._attempt, self._folders, said)
        elif isinstance(said, SaidHeard):
            self.heard = True
        elif isinstance(said, SaidMetrics):
            tell.step = max(tell.step, said.step)
            kind, also = ("Step", {}) if said.split is None else ("Evaluated", {"split": said.split})
            tell(kind, step=said.step, epoch=said.epoch, metrics=said.metrics, **also)

    def _refuse(self, reason: str) -> None:
        self._refused += 1
        if self._refused <= _MOST_REFUSALS:
            self._attempt.tell.log("script.line_refused", "warning", reason=reason)


def _keep(plan: ScriptPlan, attempt: Attempt, folders: Folders, said: SaidSaved) -> None:
    """Take a checkpoint out of the script's reach, name its files with their hashes, and only then give it its name."""
    checkpoints, source = attempt.directory.checkpoints, folders.saving / said.folder
    target = checkpoints / f"step-{said.step:08d}"
    temporary = target.with_name(f".{target.name}.tmp")
    shutil.rmtree(temporary, ignore_errors=True)
    files.make_folder(checkpoints)
    try:
        kept = _taken(source, temporary / _FILES, plan.output_limit_bytes)
    finally:
        shutil.rmtree(source, ignore_errors=True)
    state = {"step": said.step, "epoch": 0.0, "best_step": None, "best_value": None}
    digests = {f"{_FILES}/{file.path}": file.model_dump(exclude={"path"}) for file in kept}
    files.write_json(temporary / MANIFEST, {"state": state, "files": digests, "saved_at": iso(utc_now()), "best": False})
    files.sync_tree(temporary)
    shutil.rmtree(target, ignore_errors=True)
    files.rename(temporary, target)
    for old in sorted(checkpoints.glob("step-*"), reverse=True)[_KEPT_CHECKPOINTS:]:
        shutil.rmtree(old, ignore_errors=True)
    size_bytes = sum(file.size_bytes for file in kept)
    attempt.tell("Saved", step=said.step, path=str(target.relative_to(attempt.directory.job_path)), size_bytes=size_bytes)


def _last_checkpoint(checkpoints: Path, target: Path) -> int | None:
    """Copy the newest whole one for the script to read: a copy, since what it does to it must not matter."""
    for path in sorted(checkpoints.glob("step-*"), reverse=True):
        try:
            manifest = files.read_json(path / MANIFEST)
            whole = all(files.digest_of(path / name).sha256 == digest["sha256"] for name, digest in manifest["files"].items())
            step = int(manifest["state"]["step"])
        except (OSError, ValueError, KeyError, TypeError):
            continue
        if whole:
            shutil.rmtree(target, ignore_errors=True)
            shutil.copytree(path / _FILES, target)
            return step
    return None


def _taken(source: Path, target: Path, limit_bytes: int) -> list[OutputFile]:
    """Copy the plain files below ``source``, each with its hashes. Links and whatever else is no plain file stay behind."""
    kept: list[OutputFile] = []
    target.mkdir(parents=True, exist_ok=True)
    size_bytes = 0
    for path, descriptor in _plain_files(source):
        with os.fdopen(descriptor, "rb") as file:
            size_bytes += os.fstat(descriptor).st_size
            if size_bytes > limit_bytes or len(kept) >= _MOST_FILES:
                raise ScriptLeftTooMuch(files=_MOST_FILES, limit_bytes=limit_bytes)
            copy = target / path
            copy.parent.mkdir(parents=True, exist_ok=True)
            with copy.open("wb") as made:
                shutil.copyfileobj(file, made)
        digest = files.digest_of(copy)
        kept.append(OutputFile(path=path, sha256=digest.sha256, git_sha1=digest.git_sha1, size_bytes=digest.size_bytes))
    return kept


def _plain_files(source: Path) -> Iterator[tuple[str, int]]:
    """(path below ``source``, opened), without following any link on the way: it is the script's folder, and may change at any time."""
    for folder, _, names, inside in os.fwalk(source, follow_symlinks=False):
        for name in sorted(names):
            try:
                descriptor = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=inside)
            except OSError:
                continue
            if stat.S_ISREG(os.fstat(descriptor).st_mode) and name.isprintable():
                yield os.path.relpath(os.path.join(folder, name), source), descriptor
            else:
                os.close(descriptor)


def _tell_tail(attempt: Attempt, began_bytes: int) -> None:
    """The last lines that the script printed, its traceback among them, as a line of the log."""
    with attempt.directory.log.open("rb") as file:
        file.seek(max(began_bytes, attempt.directory.log.stat().st_size - _TAIL_BYTES))
        lines = file.read().decode("utf-8", "replace").splitlines()[-_TAIL_LINES:]
    if lines:
        attempt.tell.log("script.last_words", "error", text="\n".join(lines))


def main() -> int:
    if len(sys.argv) != 2:
        sys.stderr.write("usage: python -m kargah.workers.script ATTEMPT_DIR\n")
        return 2
    return run_attempt(Path(sys.argv[1]), run_script)


if __name__ == "__main__":
    sys.exit(main())
