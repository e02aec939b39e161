"""Room set aside on the disk of SQLite's file: on a full disk it is given up, and the database can still be written.

Without it nothing that happens on a full disk could be written down: no pause, no notice, and no deletion that would make room.
"""

import os
from pathlib import Path

from kargah.kit import files
from kargah.store.database import Database

SIZE_BYTES = 8 << 20
#: With less free than this nothing is set aside: whoever fills the disk at this moment would only have to wait for it again.
FREE_BYTES = 64 << 20


class Ballast:
    """Of one database; PostgreSQL looks after its own."""

    def __init__(self, database: Database) -> None:
        place = database.engine.url.database if database.is_sqlite else None
        self._path = Path(f"{place}.ballast") if place else None

    def set_aside(self) -> None:
        """Where there is room to spare, and it is not there already."""
        if self._path is None or self._path.exists() or files.free_bytes(self._path.parent) < SIZE_BYTES + FREE_BYTES:
            return
        try:
            files.write_bytes(self._path, os.urandom(SIZE_BYTES))  # nothing that a file system could make smaller
        except OSError as error:
            if not files.is_full(error):
                raise

    def give_up(self) -> None:
        if self._path is not None:
            self._path.unlink(missing_ok=True)
