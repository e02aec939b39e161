"""A disk of its own, as small as a test wants it, that can be filled to the last byte and emptied again."""

import contextlib
import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from kargah.kit import files


@dataclass
class SmallDisk:
    """``filler`` is the file that takes the room."""

    path: Path

    @property
    def filler(self) -> Path:
        return self.path / "filler"

    def fill(self, left_bytes: int = 0) -> None:
        """All but a little of what is free now; asked again, what was given back meanwhile too."""
        over_bytes = files.free_bytes(self.path) - left_bytes
        if over_bytes > 0:
            with contextlib.suppress(OSError), self.filler.open("ab", buffering=0) as file:
                while over_bytes > 0:
                    over_bytes -= file.write(b"\0" * min(over_bytes, files.CHUNK_BYTES))

    def make_room(self, some_bytes: int | None = None) -> None:
        """All of it, or only some."""
        if some_bytes is None:
            self.filler.unlink(missing_ok=True)
        else:
            os.truncate(self.filler, max(0, self.filler.stat().st_size - some_bytes))


@contextlib.contextmanager
def small_disk(path: Path, size_mib: int) -> Iterator[SmallDisk]:
    """Skips where nobody may mount one: no package gives that right."""
    path.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size_mib}m", "tmpfs", str(path)], capture_output=True, check=False).returncode:
        pytest.skip("mounting a small disk is not allowed here")
    try:
        yield SmallDisk(path)
    finally:
        subprocess.run(["umount", "-l", str(path)], check=True)
