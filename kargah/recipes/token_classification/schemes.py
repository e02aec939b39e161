"""Entities as tags and tags as entities: IOB1, IOB2 (BIO), BILOU (IOBES, BIOES), or plain tags of one word each.

Reading is conlleval's, and so seqeval's default: a tag that cannot continue what stands before it begins something new. A model
writes IOB2 or BILOU; what it may not write is known, so that it never does (``decoding``).
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

Scheme = Literal["iob1", "iob2", "bilou", "plain"]
#: (type, first word, the word after the last)
Span = tuple[str, int, int]
OUTSIDE = "O"
_PREFIXES = frozenset("BIESLU")
_SAME_AS = {"L": "E", "U": "S"}
_STARTS, _ENDS = frozenset("BS"), frozenset("ES")


def parted(tag: str) -> tuple[str, str]:
    """(prefix, type): "B-PER" and "B_PER" are ("B", "PER"), "O" ("O", ""), a tag without prefix ("", itself). L reads as E, U as S."""
    if tag in ("", OUTSIDE):
        return OUTSIDE, ""
    if len(tag) > 2 and tag[1] in "-_" and tag[0] in _PREFIXES:
        return _SAME_AS.get(tag[0], tag[0]), tag[2:]
    return "", tag


def scheme_of(rows: Iterable[Sequence[str]]) -> Scheme:
    """Plain where any tag but O has no prefix; BILOU where an end or a single word is marked; IOB1 where no entity's first tag is a B."""
    prefixes: set[str] = set()
    opened = continued = 0
    for tags in rows:
        before = (OUTSIDE, "")
        for prefix, kind in map(parted, tags):
            prefixes.add(prefix)
            if prefix in ("B", "I") and before[1] != kind:
                opened, continued = opened + (prefix == "B"), continued + (prefix == "I")
            before = (prefix, kind)
    if "" in prefixes or prefixes <= {OUTSIDE}:
        return "plain"
    if prefixes & _ENDS:
        return "bilou"
    return "iob1" if continued > opened else "iob2"


def spans_of(tags: Sequence[str]) -> list[Span]:
    """Whatever the scheme; in order, never overlapping."""
    spans: list[Span] = []
    start, before = 0, (OUTSIDE, "")
    for place, now in enumerate([*map(parted, tags), (OUTSIDE, "")]):
        breaks = now[0] in _STARTS or before[0] in _ENDS or now[1] != before[1]
        if before[0] != OUTSIDE and (breaks or now[0] == OUTSIDE):
            spans.append((before[1], start, place))
        if now[0] != OUTSIDE and (breaks or before[0] == OUTSIDE):
            start = place
        before = now
    return spans


def words_of(tags: Sequence[str]) -> list[Span]:
    """Of plain tags: each word something by itself, but O nothing."""
    return [(tag, place, place + 1) for place, tag in enumerate(tags) if tag not in ("", OUTSIDE)]


def written(spans: Iterable[Span], length: int, scheme: Scheme) -> list[str]:
    tags = [OUTSIDE] * length
    for kind, start, end in spans:
        tags[start:end] = [f"{prefix}-{kind}" for prefix in _prefixes(end - start, scheme)]
    return tags


def _prefixes(length: int, scheme: Scheme) -> list[str]:
    if scheme == "bilou":
        return ["U"] if length == 1 else ["B", *["I"] * (length - 2), "L"]
    return ["B", *["I"] * (length - 1)]


def faults(tags: Sequence[str], scheme: Scheme) -> int:
    """In how many places a row breaks the rules of its own scheme: it is read all the same."""
    if scheme == "plain":
        return 0
    if scheme == "iob1":
        return 0  # anything may begin with I, and B only parts neighbours
    marked = [parted(tag) for tag in tags]
    around = [(OUTSIDE, ""), *marked, (OUTSIDE, "")]
    return sum(not _may_follow(*pair, scheme == "bilou") for pair in pairwise(around))


def _may_follow(before: tuple[str, str], now: tuple[str, str], ends_are_marked: bool) -> bool:
    inside = before[0] in ("B", "I")
    if now[0] in ("I", "E"):
        return inside and before[1] == now[1]
    return not (ends_are_marked and inside)


@dataclass(frozen=True)
class Moves:
    """Which tag may follow which, and which may begin and end a row, by their places in ``labels``."""

    follows: list[list[bool]]
    begins: list[bool]
    ends: list[bool]

    @classmethod
    def of(cls, labels: Sequence[str], scheme: Scheme) -> "Moves":
        marks, outside = [parted(label) for label in labels], (OUTSIDE, "")
        marked = scheme == "bilou"
        free = scheme == "plain"
        return cls(
            [[free or _may_follow(one, other, marked) for other in marks] for one in marks],
            [free or _may_follow(outside, mark, marked) for mark in marks],
            [free or _may_follow(mark, outside, marked) for mark in marks],
        )
