"""Where a person's own code runs: in a bubblewrap without network and without the home of Kargah, as a user of its own, or, where
neither can be had, with all that the worker itself may do. Which of them works here is found by trying.
"""

import ctypes
import json
import os
import pwd
import shutil
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from kargah.contract.process import PACKAGE_ROOT, THREAD_VARIABLES
from kargah.contract.scripts import FOLDER_VARIABLE, Folders

#: All that a script gets of the worker's environment, which has no secrets either.
_PASSED_ON = (
    "PATH", "LANG", "LC_ALL", "TZ", "LD_LIBRARY_PATH", "LD_PRELOAD", "PYTHONPATH", "PYTHONHASHSEED", "PYTHONUNBUFFERED",
    "PYTHONIOENCODING", "HF_HUB_OFFLINE", "CUDA_VISIBLE_DEVICES", "TOKENIZERS_PARALLELISM", *THREAD_VARIABLES,
)  # fmt: skip
_TRIAL_SECONDS = 20.0
#: Reads what it is told, writes where it may, and must not be able to read what is the server's own.
_TRIAL = """
import os, sys
import kargah.kit
about, work, *hidden = sys.argv[1:]
open(about).close()
open(os.path.join(work, ".trial"), "w").close()
os.unlink(os.path.join(work, ".trial"))
for path in hidden:
    way = os.path.isdir(path) and os.path.basename(path) != "jobs" and os.access(path, os.X_OK)
    if way or os.access(path, os.R_OK):
        sys.exit(1)
"""
_PR_SET_CHILD_SUBREAPER = 36
#: Emptied for a script; what it needs of them is put back.
_EMPTIED = ("/tmp", "/var/tmp", "/run", "/home", "/root", "/mnt", "/media", "/srv")  # noqa: S108 - nothing is written there


@dataclass(frozen=True)
class Confinement:
    """``name``: bubblewrap, user or none. ``before``: what stands before the command; ``uid``, ``gid``: whom it runs as."""

    name: str
    folders: Folders
    before: Sequence[str] = ()
    uid: int | None = None
    gid: int | None = None

    def start(self, arguments: Sequence[str], file_bytes: int, output: int | None = None) -> "subprocess.Popen[bytes]":
        """Run this Python with ``arguments``, what it prints going where the worker's goes, or to ``output``.

        In the worker's own process group, so that who ends that ends it.
        """
        wish = {
            "command": [*self.before, sys.executable, *arguments], "environment": environment(self.folders), "parent": os.getpid(),
            "folder": str(self.folders.work), "file_bytes": file_bytes, "uid": self.uid, "gid": self.gid,
        }  # fmt: skip
        command = [sys.executable, "-m", "kargah.workers.confined", json.dumps(wish)]
        return subprocess.Popen(command, stdin=subprocess.DEVNULL, cwd=self.folders.path, stdout=output, stderr=output)

    def works(self, hidden: Sequence[Path]) -> bool:
        """Whether a script would get what it needs, and nothing of ``hidden``."""
        trial = [*("-c", _TRIAL), str(self.folders.about), str(self.folders.work), *map(str, hidden)]
        process = self.start(trial, 1 << 20, subprocess.DEVNULL)
        try:
            return process.wait(_TRIAL_SECONDS) == 0
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            return False


def best(folders: Folders, home: Path, user: str | None) -> tuple[Confinement, list[str]]:
    """The strictest that works here, and the names of those that were tried in vain. ``home`` of Kargah is what must not be read."""
    hidden = [home / name for name in ("kargah.db", "kargah.db-wal", "secrets", "kargah.toml", "blobs")]
    in_vain: list[str] = []
    bubblewrap = shutil.which("bwrap")
    if bubblewrap is not None:
        found = Confinement("bubblewrap", folders, [bubblewrap, *_bubble(folders, home)])
        if found.works(hidden):
            return found, in_vain
        in_vain.append(found.name)
    if user is not None:
        other = _as_user(folders, home, user)
        if other is not None and other.works([*hidden, home / "jobs", *_beside(folders)]):
            return other, in_vain
        in_vain.append("user")
    return Confinement("none", folders), in_vain


def _as_user(folders: Folders, home: Path, user: str) -> Confinement | None:
    """Everything in the home but the way to this attempt is closed to others, and the folders that are for the script opened to them."""
    try:
        entry = pwd.getpwnam(user)
    except KeyError:
        return None
    if os.geteuid() != 0 or entry.pw_uid == 0:
        return None
    told = {folders.told, folders.inputs, folders.checkpoint, folders.work}
    place = home.resolve()
    for name in (*folders.path.relative_to(place).parts, ""):
        for path in place.iterdir():
            if path.name != name and path not in told and not path.is_symlink():
                _change(path, 0, 0o077)
        _change(place, 0o011, 0o066)
        place = place / name
    for path in (path for folder in told - {folders.work} for path in (folder, *folder.rglob("*"))):
        _change(path, 0o055 if path.is_dir() else 0o044, 0)
    for path in (folders.work, *folders.work.rglob("*")):
        os.chown(path, entry.pw_uid, entry.pw_gid)
    folders.work.chmod(0o700)
    return Confinement("user", folders, uid=entry.pw_uid, gid=entry.pw_gid)


def _change(path: Path, more: int, less: int) -> None:
    """Bits of the mode; what has gone meanwhile needs none."""
    with suppress(FileNotFoundError):
        mode = stat.S_IMODE(path.stat().st_mode)
        if mode != (mode | more) & ~less:
            path.chmod((mode | more) & ~less)


def _beside(folders: Folders) -> list[Path]:
    """What else lies in the directory of an attempt."""
    return [folders.path / name for name in ("plan.json", "events.jsonl", "worker.log", "control.json")]


def _bubble(folders: Folders, home: Path) -> list[str]:
    """Later ones lie over earlier ones."""
    emptied = dict.fromkeys(str(Path(path).resolve()) for path in (*_EMPTIED, Path.home(), home) if Path(path).is_dir())
    read = dict.fromkeys([sys.prefix, sys.base_prefix, str(PACKAGE_ROOT), *map(str, (folders.told, folders.inputs, folders.checkpoint))])
    devices = [part for path in sorted(Path("/dev").glob("nvidia*")) for part in ("--dev-bind", str(path), str(path))]
    return [
        *("--unshare-all", "--die-with-parent", "--ro-bind", "/", "/", "--dev", "/dev", "--proc", "/proc"),
        *devices,
        *(part for path in emptied for part in ("--tmpfs", path)),
        *(part for path in read for part in ("--ro-bind", path, path)),
        *("--bind", str(folders.work), str(folders.work), "--chdir", str(folders.work), "--"),
    ]


def environment(folders: Folders) -> dict[str, str]:
    passed = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
    return {**passed, "HOME": str(folders.work), "TMPDIR": str(folders.work), FOLDER_VARIABLE: str(folders.path)}


@contextmanager
def adopting() -> Iterator[None]:
    """Whatever is started inside, and whatever that starts, has ended at the end, however it detached itself: it becomes our child."""
    system = ctypes.CDLL(None, use_errno=True)
    system.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    try:
        yield
    finally:
        while left := _children():
            for child in left:
                with suppress(ProcessLookupError, ChildProcessError):
                    os.kill(child, signal.SIGKILL)
                    os.waitpid(child, 0)
        system.prctl(_PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0)


def _children() -> list[int]:
    found: list[int] = []
    for task in Path("/proc/self/task").glob("*/children"):
        with suppress(OSError):  # a thread that has ended meanwhile
            found += map(int, task.read_text().split())
    return found
