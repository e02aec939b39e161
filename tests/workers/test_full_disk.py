"""A real training on a disk that is really full: it waits with its work intact and goes on when there is room."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from attempts import Job, events_of, of_kind, start
from samples import table
from support.disks import SmallDisk, small_disk
from test_training import counted_steps

LEFT_BYTES = 48 << 10


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[SmallDisk]:
    with small_disk(tmp_path / "disk", 24) as disk:
        yield disk


def test_a_training_on_a_full_disk_waits_and_goes_on_with_every_step_once(disk: SmallDisk) -> None:
    spec = {"epochs": 10, "batch_size": 8, "checkpoint_seconds": 3600, "checkpoint_steps": 5, "baselines": False, "hidden_size": 128}
    directory = Job(disk.path, "tabular", table(160), spec=spec).lay_out()
    disk.fill(LEFT_BYTES)
    process = start(directory)
    while not any(event.code == "train.disk_full" for event in of_kind(events_of(directory), "Logged")):
        assert process.poll() is None, directory.log.read_text()
        time.sleep(0.05)
    assert not of_kind(events_of(directory), "Saved")
    disk.make_room()
    assert process.wait(timeout=240) == 0
    events = events_of(directory)
    assert events[-1].kind == "Finished"
    assert [step for step, _ in counted_steps([events])] == list(range(1, len(counted_steps([events])) + 1))
    assert of_kind(events, "Saved")
    assert [event.code for event in of_kind(events, "Logged")][-1] == "train.disk_has_room"
