"""Rows parted for training, validation and testing: a pure function of the seed and of what stands in them.

Rows with one group, or with one text in a reader's eyes, go to one part together. The shares hold within each stratum, as far
as whole groups allow; a stratum of one group goes to training.
"""

from collections.abc import Iterable
from hashlib import blake2b

from kargah.contract.fixes import Split
from kargah.workers.doctor.blocks import Block, as_text

TRAIN, VALIDATION, TEST = "train", "validation", "test"
Group = bytes
#: Of each group, its stratum and its rows.
Members = dict[Group, tuple[str, int]]


def groups_of(block: Block, fix: Split, inputs: list[str]) -> list[Group]:
    """A row without a text, or without a group, is a group of its own."""
    keys = [as_text(value) or "" for value in block.cells[fix.group]] if fix.group else block.keys(inputs) if inputs else []
    if not keys:
        keys = [""] * len(block.numbers)
    return [_digest(fix.seed, key or f"row {number}") for number, key in zip(block.numbers, keys, strict=True)]


def members(blocks: Iterable[Block], fix: Split, inputs: list[str]) -> Members:
    found: Members = {}
    for block in blocks:
        strata = [as_text(value) or "" for value in block.cells[fix.stratify]] if fix.stratify else [""] * len(block.numbers)
        for group, stratum in zip(groups_of(block, fix, inputs), strata, strict=True):
            known, rows = found.get(group, (stratum, 0))
            found[group] = known, rows + 1
    return found


def parts_of(found: Members, fix: Split) -> dict[Group, str]:
    """The part of each group: within a stratum in the order of their digests, the test part first."""
    by_stratum: dict[str, list[tuple[Group, int]]] = {}
    for group, (stratum, rows) in found.items():
        by_stratum.setdefault(stratum, []).append((group, rows))
    parts: dict[Group, str] = {}
    for groups in by_stratum.values():
        total, taken = sum(rows for _, rows in groups), 0
        for group, rows in sorted(groups):
            parts[group] = TRAIN if len(groups) == 1 else _part(taken + rows / 2, total, fix)
            taken += rows
    return parts


def _part(place: float, total: int, fix: Split) -> str:
    """Where the middle of a group falls on the line of all rows."""
    if place <= fix.test_share * total:
        return TEST
    return VALIDATION if place <= (fix.test_share + fix.validation_share) * total else TRAIN


def _digest(seed: int, key: str) -> Group:
    return blake2b(key.encode("utf-8", "replace"), digest_size=12, key=seed.to_bytes(8)).digest()
