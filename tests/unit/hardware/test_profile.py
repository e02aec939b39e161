"""What the machine is said to have is what the process may use."""

import os
from pathlib import Path

import pytest

from kargah.hardware import profile


def test_a_quota_of_the_control_group_limits_the_cores(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    quota = tmp_path / "cpu.max"
    monkeypatch.setattr(profile, "CPU_QUOTA", quota)
    everything = len(os.sched_getaffinity(0))
    for written, cores in (("50000 100000", 1), ("max 100000", everything), ("9900000 100000", everything), ("nonsense", everything)):
        quota.write_text(written)
        assert profile.usable_cores() == cores


def test_figures_fit_together(tmp_path: Path) -> None:
    found = profile.profile_of(tmp_path)
    assert 0 < found.free_memory_bytes <= found.memory_bytes
    assert 0 < found.free_disk_bytes <= found.disk_bytes
    assert found.cores >= 1 and found.host
