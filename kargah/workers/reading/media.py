"""Recordings and pictures of a zip: named by a column of its manifest, or by the folders that they lie in."""

import zipfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Any

from kargah.recipes.columns import ColumnKind
from kargah.workers.reading import containers
from kargah.workers.reading.batch import Row
from kargah.workers.reading.containers import Contents
from kargah.workers.reading.errors import MediaMissing

_SAMPLE = 50


class FolderTable:
    """Without a manifest: a row a file, and the folder's name as its label where there are several folders."""

    delimiter, encoding, format = None, "utf-8", "folder"

    def __init__(self, archive: Path, media: Sequence[str]) -> None:
        self._media = sorted(media)
        self._has_labels = len({PurePosixPath(name).parent for name in media}) > 1
        self.names = ["file", "label"] if self._has_labels else ["file"]
        self.size_bytes = archive.stat().st_size
        self.position: Callable[[], int] = int

    def kinds(self) -> dict[str, ColumnKind]:
        return {}

    def rows(self) -> Iterator[Row]:
        for number, name in enumerate(self._media, start=1):
            yield number, [name, PurePosixPath(name).parent.name] if self._has_labels else [name]


class Media:
    """The files of an archive, found by what a manifest calls them: a path, a path beside the manifest, or a bare name."""

    def __init__(self, archive: Path, names: Sequence[str]) -> None:
        self._archive = zipfile.ZipFile(archive)
        self._known = {name: name for name in names}
        for name in names:
            for part in _tails(name):
                if self._known.setdefault(part, name) != name:
                    self._known[part] = ""  # two files of one name: the name alone says nothing

    def kind_of(self, values: Sequence[str]) -> ColumnKind | None:
        """Of a column with such values; None unless they all are files of the archive."""
        found = [self._known.get(_clean(value)) for value in values[:_SAMPLE]]
        if not found or not all(found):
            return None
        return ColumnKind.AUDIO if containers.ending(str(found[0])) in containers.AUDIO else ColumnKind.IMAGE

    def read(self, value: str) -> dict[str, Any]:
        """{path, bytes}, as the Hugging Face libraries hold such columns. Raises MediaMissing."""
        name = self._known.get(_clean(value))
        if not name:
            raise MediaMissing(name=value[:200])
        return {"path": value, "bytes": containers.media_bytes(self._archive, name)}

    def close(self) -> None:
        self._archive.close()


@contextmanager
def media_of(contents: Contents) -> Iterator[Media | None]:
    """The recordings and pictures of an upload, open; None when it has none."""
    if contents.archive is None or not contents.media:
        yield None
        return
    media = Media(contents.archive, contents.media)
    try:
        yield media
    finally:
        media.close()


def _tails(name: str) -> Iterator[str]:
    parts = name.split("/")
    yield from ("/".join(parts[start:]) for start in range(1, len(parts)))


def _clean(value: str) -> str:
    return value.strip().replace("\\", "/").removeprefix("./")
