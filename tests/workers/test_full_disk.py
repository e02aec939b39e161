"""A real training on a disk that is really full: it waits with its work intact and goes on when there is room."""

import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from attempts import Job, events_of, of_kind, start
from samples import table
from test_training import counted_steps

LEFT_BYTES = 48 << 10


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    disk = tmp_path / "disk"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", str(disk)], capture_output=True, check=False).returncode:
        pytest.skip("mounting a small disk is not allowed here")
    yield disk
    subprocess.run(["umount", "-l", str(disk)], check=True)


def test_a_training_on_a_full_disk_waits_and_goes_on_with_every_step_once(small_disk: Path) -> None:
    spec = {"epochs": 10, "batch_size": 8, "checkpoint_seconds": 3600, "checkpoint_steps": 5, "baselines": False, "hidden_size": 128}
    directory = Job(small_disk, "tabular", table(160), spec=spec).lay_out()
    filler = small_disk / "filler"
    filler.write_bytes(b"")
    free_bytes = os.statvfs(small_disk).f_bavail * os.statvfs(small_disk).f_frsize
    with filler.open("wb") as file:
        file.write(b"\0" * (free_bytes - LEFT_BYTES))
    process = start(directory)
    while not any(event.code == "train.disk_full" for event in of_kind(events_of(directory), "Logged")):
        assert process.poll() is None, directory.log.read_text()
        time.sleep(0.05)
    assert not of_kind(events_of(directory), "Saved")
    filler.unlink()
    assert process.wait(timeout=240) == 0
    events = events_of(directory)
    assert events[-1].kind == "Finished"
    assert [step for step, _ in counted_steps([events])] == list(range(1, len(counted_steps([events])) + 1))
    assert of_kind(events, "Saved")
    assert [event.code for event in of_kind(events, "Logged")][-1] == "train.disk_has_room"
