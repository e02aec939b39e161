"""Names of files that strangers chose: kept as they are, or refused. None of them is ever a path on this disk as it stands."""

import unicodedata
from collections.abc import Iterable
from pathlib import PurePosixPath

from kargah.contract import hubs
from kargah.hub.errors import BadPath, TooManyFiles
from kargah.models.folders import ModelIsPickle

LONGEST_PATH_BYTES, LONGEST_PART_BYTES = 1000, 255
MOST_FILES = 20_000
_JOINERS = "\u200c\u200d"  # belong to Persian words
#: Pickles that libraries send along and nobody needs to load a model: clients are told to leave them out.
LEFT_OUT = frozenset({"training_args.bin", "optimizer.pt", "scheduler.pt", "scaler.pt"})


def checked(path: str) -> str:
    """``path`` itself. Raises BadPath for what could lead elsewhere or deceive the eye, ModelIsPickle for what runs when it is opened."""
    shown = path[:200].encode("utf-8", "replace").decode()
    parts = path.split("/")
    if not path or len(path.encode("utf-8", "replace")) > LONGEST_PATH_BYTES or any(_is_bad(part) for part in parts):
        raise BadPath(field="path", path=shown)
    if unicodedata.normalize("NFKC", path).split("/") != [unicodedata.normalize("NFKC", part) for part in parts]:
        raise BadPath(field="path", path=shown)  # a look-alike of the slash
    if PurePosixPath(path).suffix.lower() in hubs.PICKLES:
        raise ModelIsPickle(field="path", file=shown)
    return path


def require_distinct(paths: Iterable[str]) -> None:
    """Raises BadPath where two names would be one on some disk, or a file stands where a folder is; TooManyFiles."""
    files: set[str] = set()
    for path in paths:
        folded = unicodedata.normalize("NFC", path).casefold()
        if folded in files:
            raise BadPath(field="path", path=path[:200])
        files.add(folded)
    if len(files) > MOST_FILES:
        raise TooManyFiles(limit=MOST_FILES)
    for folded in files:
        if any(str(parent) in files for parent in PurePosixPath(folded).parents):
            raise BadPath(field="path", path=folded[:200])


def _is_bad(part: str) -> bool:
    plain = unicodedata.normalize("NFKC", part).strip()
    if (
        plain.casefold() in ("", ".", "..", ".git", ".cache")
        or part != part.strip()
        or len(part.encode("utf-8", "replace")) > LONGEST_PART_BYTES
    ):
        return True
    return "\\" in plain or plain[1:2] == ":" or any(_is_hidden(letter) for letter in part)


def _is_hidden(letter: str) -> bool:
    """Control and direction characters, halves of pairs, line ends: what is not seen, or turns what is."""
    return letter not in _JOINERS and unicodedata.category(letter) in {"Cc", "Cf", "Cs", "Co", "Zl", "Zp"}
