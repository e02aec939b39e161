"""Persian that was read in a wrong encoding and saved so: made right again where nothing was lost, left alone where that is not sure."""

import re
from functools import cache

from kargah.text import numbers

#: Of the characters outside ASCII, those that Persian and Arabic texts have: letters, digits, half-spaces, quotation marks, dashes.
_EXPECTED = re.compile("[\x00-\x7f\u00a0\u00ab\u00bb\u00d7\u00f7\u0600-\u06ff\u2000-\u206f\u20ac\u2122\ufb50-\ufdff\ufe70-\ufefe]+")
_ARABIC = re.compile("[\u0620-\u06ff]")
_MIXED_WORD = re.compile(r"[A-Za-z][^\x00-\x7f]|[^\x00-\x7f][A-Za-z]")
#: Fewer different letters than these could have come about otherwise.
_FEWEST_LETTERS = 3
#: (read as, was): the first that gives a text is the right one, since strict UTF-8 is hardly ever met by chance.
_WAYS = (("cp1252", "utf-8"), ("cp1256", "utf-8"), ("cp1252", "cp1256"))


@cache
def signs() -> re.Pattern[str]:
    """What only stands where an encoding was mistaken; RE2 takes it too."""
    return re.compile(numbers.words()["mojibake"])


def repaired(text: str) -> str | None:
    """The text as it was written; None where there is nothing to repair or no certain way back.

    Certain: the bytes of the whole text, every one of them, make sense in the right encoding, and as Persian or Arabic.
    """
    if not signs().search(text):
        return None
    return next((found for read_as, was in _WAYS if (found := _read_again(text, read_as, was)) is not None), None)


def _read_again(text: str, read_as: str, was: str) -> str | None:
    if was != "utf-8" and _MIXED_WORD.search(text):  # a word of Latin letters with accents, such as «café»
        return None
    written = _bytes_of(text, read_as)
    if written is None:
        return None
    try:
        found = written.decode(was)
    except UnicodeDecodeError:
        return None
    return found if _EXPECTED.fullmatch(found) and len(set(_ARABIC.findall(found))) >= _FEWEST_LETTERS else None


def _bytes_of(text: str, encoding: str) -> bytes | None:
    """The five bytes that Windows-1252 does not name were kept as control characters by most programs."""
    written = bytearray()
    for character in text:
        try:
            written += character.encode(encoding)
        except UnicodeEncodeError:
            if not 0x80 <= ord(character) <= 0x9F:
                return None
            written.append(ord(character))
    return bytes(written)
