"""Personal data in texts: found by form and check digit, and masked by the same rules."""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, get_args

import pyarrow as pa
import pyarrow.compute as pc

from kargah.contract.fixes import Personal
from kargah.workers.doctor.places import Places
from kargah.workers.doctor.scope import Columns, Scope
from kargah.workers.reading import signs
from kargah.workers.reading.findings import Findings
from kargah.workers.reading.signs import PersonalRows

ALL: tuple[Personal, ...] = get_args(Personal)
#: Numbers of ten digits pass the national check by chance once in eleven: a column speaks of persons when half of them do.
NATIONAL_ID_SHARE = 0.5
_TO_LATIN = str.maketrans("۰۱۲۳۴۵۶۷۸۹٠١٢٣٤٥٦٧٨٩", "01234567890123456789")
_GAP = "[ \u200c-]?"
#: Tried in this order: the longer numbers first, so that a card is not read as a phone.
_PATTERNS: dict[Personal, re.Pattern[str]] = {
    "email": re.compile(r"[A-Za-z0-9._%+-]{1,64}@(?:[A-Za-z0-9-]{1,63}\.){1,5}[A-Za-z]{2,24}"),
    "iban": re.compile(rf"\bIR{_GAP}[0-9]{{2}}(?:{_GAP}[0-9]{{2}}){{11}}(?![0-9])", re.IGNORECASE),
    "card": re.compile(rf"(?<![0-9])[1-9][0-9]{{3}}(?:{_GAP}[0-9]{{4}}){{3}}(?![0-9])"),
    "phone": re.compile(
        rf"(?<![0-9])(?:(?:\+|00)98{_GAP}|0)(?:9[0-9]{{2}}{_GAP}[0-9]{{3}}{_GAP}[0-9]{{4}}|[1-8][0-9]{_GAP}[0-9]{{8}})(?![0-9])"
    ),
    "national_id": re.compile(r"(?<![0-9])[0-9]{3}-?[0-9]{6}-?[0-9](?![0-9])"),
}


def found_in(text: str, what: Iterable[Personal] = ALL) -> Iterator[tuple[Personal, int, int]]:
    """Kind, start and end of each piece of personal data, none overlapping."""
    latin = text.translate(_TO_LATIN)
    taken: list[tuple[int, int]] = []
    for kind, pattern in _PATTERNS.items():
        if kind not in what:
            continue
        for match in pattern.finditer(latin):
            start, end = match.span()
            if _holds(kind, match[0]) and not any(start < other_end and other_start < end for other_start, other_end in taken):
                taken.append((start, end))
                yield kind, start, end


def mask(text: str, what: Iterable[Personal] = ALL) -> str:
    """The text with ``<PHONE>`` and its like in the places of personal data."""
    for kind, start, end in sorted(found_in(text, what), key=lambda place: -place[1]):
        text = f"{text[:start]}<{kind.upper()}>{text[end:]}"
    return text


def is_national_id(digits: str) -> bool:
    """Iranian national id: ten digits, the last checks the others; all alike is none."""
    if len(digits) != 10 or len(set(digits)) == 1:
        return False
    rest = sum(int(digit) * (10 - index) for index, digit in enumerate(digits[:9])) % 11
    return int(digits[9]) == (rest if rest < 2 else 11 - rest)


def passes_luhn(digits: str) -> bool:
    doubled = [int(digit) * (2 - index % 2) for index, digit in enumerate(digits)]
    return len(digits) == 16 and sum(number - 9 * (number > 9) for number in doubled) % 10 == 0


def is_iban(text: str) -> bool:
    """Iranian account number in its international form: 97 divides it, country moved behind."""
    return len(text) == 26 and int(text[4:] + "1827" + text[2:4]) % 97 == 1


def _holds(kind: Personal, found: str) -> bool:
    plain = re.sub("[ \u200c-]", "", found)
    if kind == "card":
        return passes_luhn(plain)
    if kind == "national_id":
        return is_national_id(plain)
    return kind != "iban" or is_iban(plain)


class PersonalData:
    """Looks closely at those texts and whole numbers that a fast pattern lets through.

    ``known``: for a column of texts, in which rows the pattern was found when they were read.
    """

    def __init__(self, scope: Scope, known: Mapping[str, PersonalRows]) -> None:
        self._known = {name: known[name] for name in scope.textual if name in known}
        self._names = [name for name in scope.names if name in {*scope.textual, *scope.ids}]
        self._places: dict[tuple[str, Personal], Places] = {}
        self._ten_digits: Counter[str] = Counter()

    def see(self, batch: Any, first_row: int) -> None:
        for name in self._names:
            values = batch.column(name)
            values = values if pa.types.is_string(values.type) else pc.cast(values, pa.string())
            known = self._known[name].within(first_row, len(values)) if name in self._known else None
            for index in signs.personal(values) if known is None else known:
                self._look(name, values[index].as_py(), first_row + index)

    def say(self, columns: Columns, findings: Findings) -> None:
        for (name, kind), places in self._places.items():
            if kind == "national_id" and places.count < NATIONAL_ID_SHARE * self._ten_digits[name]:
                continue
            findings.note(f"PERSONAL_{kind.upper()}", "warning", column=name, count=places.count, first_rows=places.rows)

    def _look(self, name: str, text: str, row: int) -> None:
        self._ten_digits[name] += _PATTERNS["national_id"].search(text.translate(_TO_LATIN)) is not None
        for kind in {kind for kind, _, _ in found_in(text)}:
            self._places.setdefault((name, kind), Places()).add([row])
