"""Bringing a model folder in from a disk of this machine: checked, hashed, copied into the store of files."""

from pathlib import Path

from kargah.assets import blobs
from kargah.assets import uploads as pieces
from kargah.assets.manifest import FileEntry
from kargah.kit import files
from kargah.kit.errors import Forbidden
from kargah.kit.settings import Settings
from kargah.models import folders
from kargah.models.folders import ModelFolder


class PathNotAllowed(Forbidden):
    code = "PATH_NOT_ALLOWED"


def allowed_folder(settings: Settings, given: str) -> Path:
    """``given`` must be under one of the import roots, links resolved. Raises PathNotAllowed, also for what does not exist."""
    path = Path(given).expanduser().resolve()
    if not any(path.is_relative_to(root.expanduser().resolve()) for root in settings.import_roots):
        raise PathNotAllowed(path=given)
    return path


def bring_in(settings: Settings, root: Path, room: pieces.Limits) -> tuple[ModelFolder, list[FileEntry]]:
    """Reads and copies all files that are wanted; touches no database. The folder itself is left as it is.

    Raises what ``folders.inspect`` raises, QuotaExceeded, DiskFull.
    """
    folder = folders.inspect(root)
    size_bytes = sum((root / name).stat().st_size for name in folder.paths)
    pieces.require_place(room, settings, size_bytes)
    with files.room_for(settings.home, size_bytes):
        return folder, [_kept(settings.home, root, name) for name in folder.paths]


def _kept(home: Path, root: Path, name: str) -> FileEntry:
    digest = blobs.put_file(home, root / name)
    return FileEntry(path=name, sha256=digest.sha256, git_sha1=digest.git_sha1, size_bytes=digest.size_bytes)
