"""What the machine is said to have is what the process may use."""

import os
from pathlib import Path

import pytest

from kargah.hardware import disks, gpus, processor, profile
from kargah.kit import limits

GIB = 1 << 30


@pytest.fixture
def groups(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A tree of control groups that this process believes to be its own."""
    monkeypatch.setattr(limits, "ROOT", tmp_path / "cgroup")
    monkeypatch.setattr(limits, "OWN", tmp_path / "own")
    return tmp_path


def write(path: Path, content: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content)


def test_a_quota_of_the_control_group_limits_the_cores(groups: Path) -> None:
    everything = len(os.sched_getaffinity(0))
    write(groups / "own", "0::/\n")
    for written, cores in (("50000 100000", 1), ("max 100000", everything), ("9900000 100000", everything), ("nonsense", everything)):
        write(groups / "cgroup" / "cpu.max", written)
        assert profile.usable_cores() == cores


def test_the_tightest_limit_on_the_way_up_counts(groups: Path) -> None:
    write(groups / "own", "0::/system.slice/kargah.service\n")
    write(groups / "cgroup/system.slice/cpu.max", "150000 100000")
    write(groups / "cgroup/system.slice/kargah.service/cpu.max", "800000 100000")
    write(groups / "cgroup/system.slice/memory.max", str(3 * GIB))
    write(groups / "cgroup/system.slice/kargah.service/memory.max", "max")
    assert limits.cores() == 1.5
    assert limits.memory_bytes() == 3 * GIB


def test_version_one_of_control_groups_is_read_as_well(groups: Path) -> None:
    write(groups / "own", "4:memory:/docker/abc\n2:cpu,cpuacct:/docker/abc\n1:name=systemd:/\n")
    write(groups / "cgroup/cpu,cpuacct/docker/abc/cpu.cfs_quota_us", "250000")
    write(groups / "cgroup/cpu,cpuacct/docker/abc/cpu.cfs_period_us", "100000")
    write(groups / "cgroup/cpu,cpuacct/cpu.cfs_quota_us", "-1")
    write(groups / "cgroup/memory/docker/abc/memory.limit_in_bytes", str(2 * GIB))
    write(groups / "cgroup/memory/docker/abc/memory.usage_in_bytes", str(GIB))
    write(groups / "cgroup/memory/docker/abc/memory.stat", f"total_inactive_file {GIB // 2}\n")
    write(groups / "cgroup/memory/memory.limit_in_bytes", "9223372036854771712")
    assert limits.cores() == 2.5
    assert limits.memory_bytes() == 2 * GIB
    assert limits.memory_used_bytes() == GIB // 2


def test_jobs_get_no_more_memory_than_the_container_has(groups: Path) -> None:
    write(groups / "own", "0::/\n")
    write(groups / "cgroup/memory.max", str(GIB))
    assert profile.memory_for_jobs_bytes() == int(0.9 * GIB)


def test_figures_fit_together(tmp_path: Path) -> None:
    found = profile.machine(tmp_path)
    assert 0 < found.memory.free_bytes <= found.memory.usable_bytes <= found.memory.total_bytes
    assert 0 < found.disk.free_bytes <= found.disk.size_bytes
    assert 1 <= found.cpu.usable <= found.cpu.threads
    assert found.cpu.name and found.host
    assert profile.fingerprint(found) == profile.fingerprint(profile.machine(tmp_path))


def test_a_machine_with_other_parts_is_another_machine(tmp_path: Path) -> None:
    found = profile.machine(tmp_path)
    cpu = found.cpu.model_copy(update={"instruction_sets": [*found.cpu.instruction_sets, "amx_bf16"]})
    assert profile.fingerprint(found.model_copy(update={"cpu": cpu})) != profile.fingerprint(found)
    assert profile.fingerprint(found.model_copy(update={"torch": "9.9"})) != profile.fingerprint(found)
    busier = found.cpu.model_copy(update={"load": found.cpu.load + 5})
    assert profile.fingerprint(found.model_copy(update={"cpu": busier})) == profile.fingerprint(found)


@pytest.mark.parametrize(
    ("written", "sets"),
    [
        ("model name\t: Xeon\nflags\t\t: sse avx2 amx_bf16 avx512f\n\nmodel name\t: other\n", ("avx2", "avx512f", "amx_bf16")),
        ("BogoMIPS\t: 50\nFeatures\t: fp asimd bf16 sve\n\n", ("asimd", "bf16", "sve")),
    ],
)
def test_the_instruction_sets_that_count_are_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, written: str, sets: tuple[str, ...]
) -> None:
    monkeypatch.setattr(processor, "CPUINFO", tmp_path / "cpuinfo")
    (tmp_path / "cpuinfo").write_text(written)
    assert processor.found().sets == sets


def test_a_folder_in_memory_is_no_disk() -> None:
    if not Path("/dev/shm").is_dir():
        pytest.skip("no file system in memory here")
    assert disks.disk_of(Path("/dev/shm")).kind == "memory"


def test_cards_are_told_by_their_command_where_the_library_is_absent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    command = tmp_path / "nvidia-smi"
    command.write_text("#!/bin/sh\necho 'GPU-1, NVIDIA H100 80GB HBM3, 81559, 80000, 570.1'\necho 'GPU-2, lost, [N/A], [N/A], 570.1'\n")
    command.chmod(0o755)
    monkeypatch.setitem(__import__("sys").modules, "pynvml", None)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert gpus.found() == [gpus.Gpu("GPU-1", "NVIDIA H100 80GB HBM3", 81559 << 20, 80000 << 20, "570.1")]
    command.write_text("#!/bin/sh\necho 'no driver' >&2\nexit 9\n")
    assert gpus.found() == []
