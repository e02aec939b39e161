"""What is worked out of kept files lies below ``home/cache``: it may be missing at any time, and goes with the file that it is of.

::

    cache/
      statistics-1/<sha256>.json           of a table: how its columns' values are spread (datasets.rows)
      orders-2/<table>-<view>.arrow        of a table: the numbers of its rows, sorted (datasets.rows)
      tokens-1/<table>[+<table>…]/         of the texts of tables that were learnt from together (recipes.token_rows)
      programs-1/                          of no file: what torch's compiler made of networks (workers.compiling)
"""

import hashlib
import shutil
from collections.abc import Sequence
from pathlib import Path

#: Of a hash, in the names of folders that are of several tables.
_MARK = 16
_LONGEST_NAME = 255


def statistics_file(home: Path, sha256: str) -> Path:
    return home / "cache" / "statistics-1" / f"{sha256}.json"


def order_file(home: Path, sha256: str, what: str) -> Path:
    """``what``: the order that its rows are looked at in."""
    return home / "cache" / "orders-2" / f"{sha256[:_MARK]}-{hashlib.sha256(what.encode()).hexdigest()}.arrow"


def tokens_folder(home: Path, tables: Sequence[str]) -> Path | None:
    """``tables``: their hashes. Null where no name would hold them all, or there are none."""
    name = "+".join(sha256[:_MARK] for sha256 in tables)
    return home / "cache" / "tokens-1" / name if 0 < len(name) <= _LONGEST_NAME else None


def programs_folder(home: Path) -> Path:
    return home / "cache" / "programs-1"


def forget(home: Path, sha256: str) -> None:
    """All that tells of the content of a file that is gone."""
    statistics_file(home, sha256).unlink(missing_ok=True)
    for file in (home / "cache" / "orders-2").glob(f"{sha256[:_MARK]}-*"):
        file.unlink(missing_ok=True)
    for folder in (home / "cache" / "tokens-1").glob(f"*{sha256[:_MARK]}*"):
        shutil.rmtree(folder, ignore_errors=True)
