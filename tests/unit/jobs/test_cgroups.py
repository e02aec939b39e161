"""Where this machine lets us make control groups, the kernel ends what grows beyond its limit, and its group goes afterwards."""

import signal
import subprocess
import sys

from kargah.jobs import cgroups

MIB = 1 << 20
GROWS = "import sys; sys.stdin.readline(); kept = bytearray(400 << 20); kept[::4096] = b'x' * len(kept[::4096]); print(len(kept))"


def grown(limit_bytes: int) -> tuple[bool, int]:
    process = subprocess.Popen([sys.executable, "-c", GROWS], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)
    confined = cgroups.confine(process.pid, "test", limit_bytes)
    process.communicate(b"\n")
    return confined, process.returncode


def test_what_grows_beyond_its_limit_is_ended_by_the_kernel_where_groups_can_be_made() -> None:
    confined, status = grown(128 * MIB)
    assert status == (-signal.SIGKILL if confined else 0)
    assert confined == (cgroups._parent() is not None)
    assert (cgroups.overrun("test") or 0) >= 128 * MIB * confined


def test_what_stays_below_its_limit_is_left_alone_and_its_group_goes() -> None:
    confined, status = grown(1024 * MIB)
    assert status == 0 and cgroups.overrun("test") is None
    if confined:
        parent = cgroups._parent()
        assert parent is not None and list(parent.glob("kargah-*"))
        cgroups._sweep(parent)
        assert not list(parent.glob("kargah-test"))


def test_a_process_that_is_gone_is_not_confined() -> None:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    assert not cgroups.confine(process.pid, "gone", 128 * MIB)
