"""A PostgreSQL server of Debian's, started for the tests as a user that is not root, and gone after them."""

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

BINARIES = Path("/usr/lib/postgresql")
SMALL = ("listen_addresses=", "shared_buffers=32MB", "max_connections=60")
#: For tests that never take the server away: what was committed may be gone after a crash.
FORGETFUL = ("fsync=off", "synchronous_commit=off", "full_page_writes=off")


def binaries() -> Path | None:
    """The newest version's folder."""
    found = sorted(BINARIES.glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    return found[-1].parent if found else None


@contextmanager
def server(folder: Path, durable: bool = False) -> Iterator[str]:
    """Yield the prefix of its URLs: ``prefix.format(name)`` is a database's. ``folder`` must be short: it holds the Unix socket.

    A ``durable`` one keeps what it committed when it is killed, as anyone's own does.
    """
    user = _unprivileged_user()
    shutil.chown(folder, user)
    data = folder / "data"
    _run(user, "initdb", "-D", str(data), "-U", "kargah", "--auth=trust", "--encoding=UTF8", "--locale=C.UTF-8", "--no-sync")
    options = " ".join(f"-c {setting}" for setting in (*SMALL, *(() if durable else FORGETFUL), f"unix_socket_directories={folder}"))
    _run(user, "pg_ctl", "-D", str(data), "-w", "-l", str(folder / "log"), "-o", options, "start")
    try:
        yield f"postgresql://kargah@/{{}}?host={folder}"
    finally:
        _run(user, "pg_ctl", "-D", str(data), "-m", "immediate", "stop")


@contextmanager
def temporary_folder() -> Iterator[Path]:
    """Short and open to others, as pytest's own is not."""
    folder = Path(tempfile.mkdtemp(prefix="kpg-"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _unprivileged_user() -> str:
    if os.getuid() != 0:
        return pwd.getpwuid(os.getuid()).pw_name
    names = {entry.pw_name for entry in pwd.getpwall()}
    return "postgres" if "postgres" in names else "nobody"


def _run(user: str, name: str, *arguments: str) -> None:
    folder = binaries()
    assert folder is not None
    switch = {"user": user, "group": pwd.getpwnam(user).pw_gid, "extra_groups": []} if os.getuid() == 0 else {}
    command = [str(folder / name), *arguments]
    # No pipe: the server would inherit it from pg_ctl and hold it open.
    done = subprocess.run(command, cwd="/", stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, **switch)
    assert done.returncode == 0, f"{command} ended with {done.returncode}"
