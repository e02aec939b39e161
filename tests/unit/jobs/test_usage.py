"""The memory of a running job over time, as its agent notes it."""

import os
from pathlib import Path

import pytest

from kargah.jobs import processes, usage
from kargah.jobs.states import Fence
from kargah.jobs.supervision import Held, hold
from kargah.jobs.usage import Meter, Usage


@pytest.fixture
def held(tmp_path: Path) -> Held:
    """An attempt whose process is this one."""
    one = hold(tmp_path, "job_1", "train", Fence(1, "agt_1"))
    one.directory.path.mkdir(parents=True)
    one.process = processes.identify(os.getpid())
    return one


def test_what_a_process_has_to_itself_is_noted_when_it_changes(held: Held) -> None:
    meter = Meter()
    meter.look([held])
    meter.look([held])
    [first] = usage.read(held.directory.usage)
    much = bytearray(200 << 20)
    much[::4096] = b"x" * len(much[::4096])
    meter.look([held])
    [_, second] = usage.read(held.directory.usage)
    assert second.unique_bytes - first.unique_bytes > 150 << 20
    assert second.seconds >= first.seconds > 0
    Meter().look([held])  # the agent after this one goes on with the same file
    assert usage.read(held.directory.usage)[:2] == [first, second]


def test_a_long_run_keeps_its_peak_and_its_end_in_a_bounded_file(held: Held) -> None:
    peak = 5000 << 20
    sizes = iter([peak if number == 200 else (100 + number % 7 * 10) << 20 for number in range(3000)])
    meter = Meter(lambda _: next(sizes))
    for _ in range(3000):
        meter.look([held])
    samples = usage.read(held.directory.usage)
    assert len(samples) <= usage.MOST_SAMPLES
    assert max(sample.unique_bytes for sample in samples) == peak
    assert [sample.seconds for sample in samples] == sorted(sample.seconds for sample in samples)


def test_half_a_line_of_a_full_disk_is_left_out(tmp_path: Path) -> None:
    path = tmp_path / "usage.jsonl"
    path.write_text(Usage(seconds=1, unique_bytes=2).model_dump_json() + '\n{"seconds": 2, "uni\n{"seconds":')
    assert usage.read(path) == [Usage(seconds=1, unique_bytes=2)]
