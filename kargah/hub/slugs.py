"""Names of repositories: ASCII, as hub clients demand; a Persian title is written in Latin letters."""

import re
import tomllib
import unicodedata
from functools import cache
from pathlib import Path

LONGEST_SLUG = 60
LONGEST_NAME = 96
#: First parts of addresses that mean something else.
RESERVED = frozenset({"api", "datasets", "models", "spaces", "kernels", "buckets", "lfs", "resolve"})
_NAME = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9._-]*[A-Za-z0-9_])?")


def is_name(text: str) -> bool:
    """What the clients themselves take for one half of ``owner/name``."""
    return len(text) <= LONGEST_NAME and _NAME.fullmatch(text) is not None and not re.search(r"--|\.\.|\.git$", text)


def slug_of(title: str, otherwise: str) -> str:
    """``title`` in small Latin letters, digits and single hyphens; ``otherwise`` when nothing of it is left."""
    plain = unicodedata.normalize("NFKC", title).casefold().translate(_letters())
    bare = "".join(letter for letter in unicodedata.normalize("NFKD", plain) if not unicodedata.combining(letter))
    return re.sub(r"[^a-z0-9]+", "-", bare).strip("-")[:LONGEST_SLUG].strip("-") or otherwise


@cache
def _letters() -> dict[int, str]:
    letters = tomllib.loads((Path(__file__).parent / "latin.toml").read_text(encoding="utf-8"))["letters"]
    marks = dict.fromkeys((*range(0x64B, 0x660), 0x670), "")  # vowel signs are not written
    return marks | {ord(letter): latin for letter, latin in letters.items()}
