"""A worker that follows the contract to the letter and learns nothing: it counts, slowly, and saves where it is.

Its plan: ``steps``, ``step_seconds``, ``save_every``; ``deaf`` (ignores stop and SIGTERM), ``dies_at`` (in the first attempt),
``fails_at``, ``half_a_line`` (leaves one behind when it dies), ``enough`` (a file: it finishes when there is one),
``takes_bytes`` (of memory), ``leaves_child`` (starts one that leaves its process group).
"""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from kargah.contract.attempt import AttemptDirectory, hold_alive
from kargah.contract.control import ControlReader, Want
from kargah.contract.wire import EventWriter
from kargah.kit import files


def main(path: str) -> None:
    directory = AttemptDirectory(Path(path))
    lock = hold_alive(directory.alive)
    plan = files.read_json(directory.plan)
    if plan.get("deaf"):
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    taken = bytearray(b"x") * plan.get("takes_bytes", 0)
    if plan.get("leaves_child"):
        subprocess.Popen(["sleep", "600"], start_new_session=True)
    events = EventWriter(directory.events)
    events.write("Started", pid=os.getpid(), threads=plan["threads"])
    count(plan, directory, events)
    events.close()
    os.close(lock)
    del taken


def count(plan: dict, directory: AttemptDirectory, events: EventWriter) -> None:
    state = directory.checkpoints / "state.json"
    step = files.read_json(state)["step"] if state.exists() else 0
    if plan["attempt"] > 1:
        events.write("Resumed", from_step=step)
    events.write("Running", total_steps=plan["steps"], total_epochs=1.0)
    control = ControlReader(directory.control)
    enough = Path(plan["enough"]) if "enough" in plan else None
    while step < plan["steps"] and not (enough and enough.exists()):
        want = Want.RUN if plan.get("deaf") else control.want()
        if want is Want.STOP:
            return events.write("Stopped", step=step)
        if want is Want.PAUSE:
            save(state, step, events)
            return events.write("Paused", step=step)
        step += 1
        time.sleep(plan.get("step_seconds", 0.0))
        events.write("Step", step=step, epoch=step / plan["steps"], metrics={"loss": 1.0 / step})
        misbehave(plan, step, events, directory)
        if step % plan.get("save_every", 10) == 0:
            save(state, step, events)
    return events.write("Finished", result={"steps": step})


def save(state: Path, step: int, events: EventWriter) -> None:
    files.write_json(state, {"step": step})
    events.write("Saved", step=step, path="checkpoints/state.json", size_bytes=state.stat().st_size)


def misbehave(plan: dict, step: int, events: EventWriter, directory: AttemptDirectory) -> None:
    if step == plan.get("fails_at"):
        events.write("Failed", code="DISK_FULL", params={"needed_bytes": 2, "free_bytes": 1})
        sys.exit(0)
    if step == plan.get("dies_at") and plan["attempt"] == 1:
        if plan.get("half_a_line"):
            with directory.events.open("ab") as file:
                file.write(b'{"kind":"Step","step":99')
        os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    main(sys.argv[1])
