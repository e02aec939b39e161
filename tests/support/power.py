"""Power cuts: what a disk may hold when the power goes between any two deeds on it; and a disk that fails at the N-th deed.

Watches kit.files. For each moment there are three disks: all that was done; only what was synced (contents by fsync, names by
the fsync of their directory); and all that was done, with files that were never synced cut in the middle.
"""

import errno
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

from kargah.kit import files


class Blackouts:
    """Use as the watcher; ``at_end`` adds the moment after the last deed."""

    def __init__(self, root: Path, disks: Path) -> None:
        self._root, self._disks = root, disks
        self._synced: dict[int, bytes] = {}
        self._names: dict[int, dict[str, int]] = {}
        self._pending: tuple[str, Path] | None = None
        self.moments = 0
        for folder in [root, *(path for path in root.rglob("*") if path.is_dir())]:
            self._sync_names(folder)
        for path in root.rglob("*"):
            if path.is_file():
                self._synced[path.stat().st_ino] = path.read_bytes()

    def __call__(self, deed: str, path: Path, target: Path | None) -> None:
        self._apply()
        self._photograph()
        self._pending = (deed, path)

    def at_end(self) -> None:
        self._apply()
        self._pending = None
        self._photograph()

    def disks(self) -> Iterator[Path]:
        yield from sorted(self._disks.iterdir())

    def last_synced(self) -> Path:
        return self._disks / f"{self.moments:03d}-synced"

    def _apply(self) -> None:
        if self._pending is None:
            return
        deed, path = self._pending
        if deed == "fsync":
            self._synced[path.stat().st_ino] = path.read_bytes() if path.exists() else b""
        elif deed == "fsync_directory":
            self._sync_names(path)

    def _sync_names(self, folder: Path) -> None:
        self._names[folder.stat().st_ino] = {path.name: path.stat().st_ino for path in folder.iterdir()}
        for path in folder.iterdir():
            if path.is_dir():  # a fresh folder is empty on the disk until it is synced itself
                self._names.setdefault(path.stat().st_ino, {})

    def _photograph(self) -> None:
        self.moments += 1
        shutil.copytree(self._root, self._disks / f"{self.moments:03d}-done")
        self._cut(shutil.copytree(self._root, self._disks / f"{self.moments:03d}-cut"))
        self._write(self._root.stat().st_ino, self._disks / f"{self.moments:03d}-synced")

    def _cut(self, disk: Path) -> None:
        for path in self._root.rglob("*"):
            if path.is_file() and self._synced.get(path.stat().st_ino) != path.read_bytes():
                copy = disk / path.relative_to(self._root)
                copy.chmod(0o644)
                copy.write_bytes(path.read_bytes()[: path.stat().st_size // 2])

    def _write(self, folder: int, disk: Path) -> None:
        disk.mkdir(parents=True)
        for name, inode in self._names.get(folder, {}).items():
            if inode in self._synced:
                (disk / name).write_bytes(self._synced[inode])
            elif inode in self._names:
                self._write(inode, disk / name)
            else:
                (disk / name).write_bytes(b"")


def failing_at(number: int, counted: list[str]) -> files.Watcher:
    """No room at the N-th deed (from 0), and at that one only; ``counted`` grows by each."""

    def watch(deed: str, path: Path, _: Path | None) -> None:
        counted.append(deed)
        if len(counted) == number + 1:
            raise OSError(errno.ENOSPC, "No space left on device", str(path))

    return watch


def each_failing(act: Callable[[], None]) -> Iterator[int]:
    """Do ``act`` with the first deed failing, then the second … until it has fewer deeds; yields after each failure."""
    number = 0
    while True:
        counted: list[str] = []
        try:
            with files.watched(failing_at(number, counted)):
                act()
        except OSError as error:
            assert files.is_full(error)
            yield number
        else:
            assert len(counted) <= number, "a failure that nobody noticed"
            return
        number += 1
