"""The evidence for or against the memory when a worker was killed."""

from pathlib import Path

import pytest

from kargah.contract import memory
from kargah.contract.memory import Sample, Trace

GIB = 1 << 30


def sample(available_bytes: int, oom_kills: int | None = None) -> Sample:
    kills = memory.oom_kills() if oom_kills is None else oom_kills
    return Sample(seconds=1, used_bytes=6 * GIB, available_bytes=available_bytes, total_bytes=16 * GIB, oom_kills=kills)


def test_a_worker_notes_what_it_uses_and_what_there_is(tmp_path: Path) -> None:
    Trace(tmp_path / "memory.jsonl").look()
    (noted,) = memory.read(tmp_path / "memory.jsonl")
    assert 0 < noted.used_bytes < noted.total_bytes
    assert 0 < noted.available_bytes <= noted.total_bytes


@pytest.mark.parametrize(
    ("available_bytes", "kills_since", "verdict"),
    [
        ([], 0, False),
        ([8 * GIB], 0, False),
        ([8 * GIB, GIB // 4], 0, True),
        ([GIB // 4, 8 * GIB], 0, False),
        ([8 * GIB], 1, True),
    ],
)
def test_the_kernels_word_or_an_empty_machine_just_before_the_end_speaks_for_the_memory(
    available_bytes: list[int], kills_since: int, verdict: bool
) -> None:
    then = memory.oom_kills() - kills_since  # the machine's own count, which other tests move
    assert memory.ran_out([sample(available, then) for available in available_bytes]) is verdict


def test_a_torn_last_line_is_left_out(tmp_path: Path) -> None:
    path = tmp_path / "memory.jsonl"
    path.write_text(sample(GIB).model_dump_json() + "\n" + sample(GIB).model_dump_json()[:20])
    assert len(memory.read(path)) == 1
