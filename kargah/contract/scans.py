"""What a scan of a root writes down: a line of JSON for each file, so that the next scan reads only what has changed."""

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from kargah.contract import hubs

_TABLES = frozenset({".csv", ".tsv", ".jsonl", ".ndjson", ".parquet", ".arrow", ".feather", ".xlsx", ".conll", ".conllu"})
#: Of what ``hubs.is_of_model`` may take.
_OF_MODELS = frozenset({"", ".safetensors", ".json", ".txt", ".md", ".model", ".jinja"})


class Scanned(NamedTuple):
    """``path`` is relative to the root. Same size, time and inode: the same file, not read again. ``git_sha1`` where it may be wanted.

    Of an object in a store ``etag`` stands for time and inode.
    """

    path: str
    size_bytes: int
    mtime_ns: int
    inode: int
    sha256: str
    git_sha1: str | None
    etag: str = ""

    def line(self) -> str:
        return json.dumps(self, ensure_ascii=False, separators=(",", ":")) + "\n"


def index_of(home: Path, root_id: str) -> Path:
    """What the last whole scan found. Beside it lies ``.part``, what one that was broken off had come to."""
    return home / "roots" / f"{root_id}.jsonl"


def read(path: Path) -> Iterator[Scanned]:
    """Nothing where there is no such file; a last line that is not whole is left out."""
    if not path.is_file():
        return
    with path.open(encoding="utf-8") as file:
        for line in file:
            if line.endswith("\n"):
                yield Scanned(*json.loads(line))


def is_table(name: str) -> bool:
    """Data by its name; the JSON and text files of a folder are as likely to be anything else."""
    return _suffix(name) in _TABLES and not name.startswith(".")


def is_model(names: Iterable[str]) -> bool:
    """A folder by the names in it: whether it is one, and may be taken, is for whoever looks into its files to say."""
    found = set(names)
    return "config.json" in found and any(_suffix(name) in {".safetensors", *hubs.PICKLES} for name in found)


def may_be_wanted(name: str) -> bool:
    """Asked of every file of a disk: what no model has is told by its suffix alone."""
    suffix = _suffix(name)
    return (suffix in _TABLES and not name.startswith(".")) or (suffix in _OF_MODELS and hubs.is_of_model(name))


def _suffix(name: str) -> str:
    stem, dot, suffix = name.rpartition(".")
    return f".{suffix.lower()}" if dot and stem else ""
