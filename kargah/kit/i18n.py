"""Words in the reader's language: texts by key, digits, numbers and Jalali dates.

Texts stand in ``kargah/locale/<language>/<domain>.po``; the msgid is the key, the msgstr the text with ``{name}``
places. What is put into a Persian text is isolated (U+2068 … U+2069), so that an id or a path cannot turn it around.
"""

import re
from collections.abc import Mapping
from datetime import datetime, timedelta, timezone
from functools import cache
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

LANGUAGES = ("fa", "en")
DEFAULT_LANGUAGE = "fa"
LOCALE = Path(__file__).parent.parent / "locale"

_PERSIAN_DIGITS = str.maketrans("0123456789.,%", "۰۱۲۳۴۵۶۷۸۹٫٬٪")
_LATIN_DIGITS = str.maketrans("۰۱۲۳۴۵۶۷۸۹٠١٢٣٤٥٦٧٨٩٫٬٪", "01234567890123456789.,%")
_PLACE = re.compile(r"\{(\w+)\}")
_READY = re.compile(r"[\u200e\u2212۰-۹٫٬٪]*")  # already written for a Persian reader
_OPENING, _CLOSING = "\u2066\u2067\u2068", "\u2069"
#: What turns a text around: embeddings, overrides, isolates and their ends.
MARKS = re.compile("[\u202a-\u202e\u2066-\u2069]")
_CODES = {code: f"⟨U+{code:04X}⟩" for code in (*range(0x202A, 0x202F), *range(0x2066, 0x206A))}
_STRING = re.compile(r'^(msgid|msgstr)?\s*"(.*)"$')
_ESCAPES = {"n": "\n", "t": "\t", '"': '"', "\\": "\\"}


_further: list[Path] = []


def add_texts(folder: Path) -> None:
    """Texts of another package, ``folder/<language>/*.po``. A key that is ours already stays ours."""
    if folder.is_dir() and folder not in _further:
        _further.append(folder)
        catalogue.cache_clear()


@cache
def catalogue(language: str) -> dict[str, str]:
    """All texts of one language: key → text."""
    texts: dict[str, str] = {}
    for path in (path for folder in (*_further, LOCALE) for path in sorted((folder / language).glob("*.po"))):
        texts |= parse_po(path.read_text(encoding="utf-8"))
    return texts


def parse_po(content: str) -> dict[str, str]:
    """The subset of the PO format that we write: comments, msgid, msgstr, continued strings."""
    entries: dict[str, str] = {}
    parts: dict[str, str] = {}
    field = ""
    for line in [*content.splitlines(), 'msgid ""']:
        match = _STRING.match(line.strip())
        if match is None:
            continue
        if match[1] == "msgid" and parts.get("msgid"):
            entries[parts["msgid"]] = parts.get("msgstr", "")
        if match[1] == "msgid":
            parts = {}
        field = match[1] or field
        parts[field] = parts.get(field, "") + re.sub(r"\\(.)", lambda found: _ESCAPES.get(found[1], found[1]), match[2])
    return entries


def text(language: str, key: str, /, **params: Any) -> str:
    """The text of ``key``; a key that has none is returned itself, so that a gap is visible and never an exception."""
    template = catalogue(language).get(key) or catalogue(DEFAULT_LANGUAGE).get(key) or key
    return _PLACE.sub(
        lambda place: _shown(language, amount(language, place[1], params[place[1]])) if place[1] in params else place[0], template
    )


def with_file(language: str, key: str, params: Mapping[str, Any], shown: str) -> str:
    """A text of ``key`` that does not itself name the ``file`` that it is about, behind its name."""
    if "file" not in params or "{file}" in catalogue(language).get(key, ""):
        return shown
    return f"{text(language, 'error.in_file', file=params['file'])} {shown}"


def has_text(language: str, key: str) -> bool:
    return bool(catalogue(language).get(key))


def amount(language: str, name: str, value: Any) -> Any:
    """A number that its name says to be an amount, with its unit: ``needed_bytes``, ``memory_bytes``, ``about_seconds``, ``test_share``.

    Else ``value``.
    """
    units = {"memory_bytes": memory, "_bytes": size, "_seconds": duration, "_share": percent}
    said = next((said for ending, said in units.items() if name.endswith(ending)), None)
    return said(language, value) if said and isinstance(value, int | float) and not isinstance(value, bool) else value


def _shown(language: str, value: Any) -> str:
    if isinstance(value, int | float) and not isinstance(value, bool):
        return number(language, value)
    if isinstance(value, list | tuple):
        return ("، " if language == "fa" else ", ").join(_shown(language, item) for item in value)
    if isinstance(value, dict) and "code" in value:  # a text within the text
        return text(language, value["code"], **value.get("params", {}))
    shown = visible(str(value))
    return f"\u2068{shown}\u2069" if language == "fa" and not _READY.fullmatch(shown) else shown


def visible(shown: str) -> str:
    """What would turn the text around it shown by its code: overrides and embeddings, and isolates that do not close in ``shown``."""
    depth = 0
    for mark in MARKS.findall(shown):
        depth += 1 if mark in _OPENING else -1
        if depth < 0 or mark not in _OPENING + _CLOSING:
            return shown.translate(_CODES)
    return shown.translate(_CODES) if depth else shown


def digits(language: str, latin: str) -> str:
    """Persian digits and signs for reading, when the language is Persian."""
    return latin.translate(_PERSIAN_DIGITS) if language == "fa" else latin


def latin_digits(shown: str) -> str:
    """What a person typed, with Latin digits and signs."""
    return shown.translate(_LATIN_DIGITS)


def number(language: str, value: float, decimals: int | None = None) -> str:
    """Grouped, at most four significant decimals; the sign stays at the left of the digits in both directions."""
    if decimals is None:
        decimals = 0 if float(value).is_integer() else 4 if abs(value) < 1 else 2
    latin = f"{abs(value):,.{decimals}f}"
    sign = "\u200e\u2212" if value < 0 else ""
    return sign + digits(language, latin)


def percent(language: str, share: float, decimals: int = 1) -> str:
    """``share`` 0–1."""
    latin = f"{100 * share:.{decimals}f}"
    return digits(language, (latin.rstrip("0").rstrip(".") if "." in latin else latin) + "%")


def size(language: str, size_bytes: float) -> str:
    """Decimal units, as files are counted: kB, MB, GB."""
    return _in_units(language, size_bytes, 1000, "bytes")


def memory(language: str, size_bytes: float) -> str:
    """Binary units, as memory is counted: KiB, MiB, GiB."""
    return _in_units(language, size_bytes, 1024, "memory")


def _in_units(language: str, size_bytes: float, step: int, name: str) -> str:
    value, unit = float(size_bytes), 0
    while value >= step and unit < 4:
        value, unit = value / step, unit + 1
    return text(language, f"unit.{name}_{unit}", n=digits(language, f"{value:.3g}" if unit and value < 100 else f"{value:.0f}"))


def duration(language: str, seconds: float) -> str:
    """Two units at most: "۱ ساعت و ۹ دقیقه"."""
    whole = max(0, round(seconds))
    parts = [(whole // 86400, "days"), (whole // 3600 % 24, "hours"), (whole // 60 % 60, "minutes"), (whole % 60, "seconds")]
    first = next((index for index, (count, _) in enumerate(parts) if count), 3)
    shown = [text(language, f"unit.{name}", n=digits(language, str(count))) for count, name in parts[first : first + 2] if count]
    return text(language, "unit.and").join(shown or [text(language, "unit.seconds", n=digits(language, "0"))])


def zone_of(language: str) -> ZoneInfo | timezone:
    return ZoneInfo("Asia/Tehran") if language == "fa" else timezone(timedelta(0))


def date(language: str, moment: datetime, with_time: bool = True) -> str:
    """Jalali in Persian («۳۰ آبان ۱۴۰۵، ساعت ۱۴:۲۱», Tehran time), ISO-like in English (UTC)."""
    local = moment.astimezone(zone_of(language))
    if language != "fa":
        return local.strftime("%d %b %Y, %H:%M UTC" if with_time else "%d %b %Y")
    from persiantools.jdatetime import JalaliDateTime

    jalali = JalaliDateTime.to_jalali(local)  # type: ignore[no-untyped-call]
    day = f"{jalali.day} {jalali.strftime('%B', locale='fa')} {jalali.year}"
    return digits("fa", f"{day}، ساعت {jalali:%H:%M}" if with_time else day)


def preferred(header: str | None, default: str = DEFAULT_LANGUAGE) -> str:
    """The best of our languages for an Accept-Language header."""
    wanted: list[tuple[float, str]] = []
    for part in (header or "").split(","):
        name, _, quality = part.strip().partition(";q=")
        weight = float(quality) if re.fullmatch(r"[01](\.\d+)?", quality) else 1.0
        wanted.append((-weight, name.split("-")[0].lower()))
    return next((name for weight, name in sorted(wanted, key=lambda pair: pair[0]) if weight and name in LANGUAGES), default)
