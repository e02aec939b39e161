"""A folder as one file: a zip of all that is in it, the same bytes for the same content."""

import os
import zipfile
from collections.abc import Collection, Iterator
from pathlib import Path

from kargah.kit.files import CHUNK_BYTES

#: Dates are left out: a folder that was packed before an interruption must be the same file after it.
_NO_DATE = (1980, 1, 1, 0, 0, 0)


def pack(folder: Path, target: Path, only: Collection[str] | None = None) -> Path:
    """All files below ``folder``, or ``only`` these, into the zip ``target``, not compressed.

    Hidden files, and links that lead out of it, are left out.
    """
    with zipfile.ZipFile(target, "w", zipfile.ZIP_STORED) as archive:
        for path in members(folder):
            name = path.relative_to(folder).as_posix()
            if only is not None and name not in only:
                continue
            entry = zipfile.ZipInfo(name, _NO_DATE)
            with path.open("rb") as source, archive.open(entry, "w", force_zip64=path.stat().st_size >= 1 << 31) as packed:
                while chunk := source.read(CHUNK_BYTES):
                    packed.write(chunk)
    return target


def members(folder: Path) -> Iterator[Path]:
    root = folder.resolve()
    for place, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(names):
            path = Path(place) / name
            if not name.startswith(".") and path.is_file() and path.resolve().is_relative_to(root):
                yield path
