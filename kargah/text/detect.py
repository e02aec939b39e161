"""What a file of unknown bytes is: text or not, in which encoding, of which shape. Names and endings of files are only a last hint."""

import codecs
import csv
import io
import json
import re
from collections import Counter
from dataclasses import dataclass, field
from enum import StrEnum

from kargah.text import numbers

_BOMS = ((codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))
_DELIMITERS = (",", "\t", ";", "|", "،")
_ARABIC = re.compile("[\u0600-\u06ff\u200c]")
_SURROGATES = re.compile("[\udc80-\udcff]")
_CONTROLS = bytes([*range(9), *range(14, 32)])
_NOT_ASCII = bytes(range(0x80, 0x100))
_BIO = re.compile(r"O|[BIESLU][-_].+")
_MAX_NOTED, _MAX_LINES = 10, 2000


class Shape(StrEnum):
    DELIMITED = "delimited"
    JSON_LINES = "jsonl"
    JSON_ARRAY = "json"
    JSON_OBJECT = "json-object"
    CONLL = "conll"
    CONLL_U = "conll-u"
    PLAIN = "text"
    HTML = "html"


@dataclass
class Utf8Check:
    """Fed all the bytes of a file, tells whether they are UTF-8, and where not. Offsets are 0-based, lines 1-based."""

    broken_bytes: int = 0
    other_characters: int = 0
    broken_lines: list[int] = field(default_factory=list)
    first_broken_offset: int | None = None
    _decoder: codecs.IncrementalDecoder = field(default_factory=lambda: codecs.getincrementaldecoder("utf-8")("surrogateescape"))
    _line: int = 1
    _offset_bytes: int = 0

    def feed(self, chunk: bytes, final: bool = False) -> None:
        if chunk.isascii() and not self._decoder.getstate()[0]:
            self._line += chunk.count(b"\n")
            self._offset_bytes += len(chunk)
            return
        pending = self._decoder.getstate()[0]
        text = self._decoder.decode(chunk, final)
        self.other_characters += len(text) - len(chunk.translate(None, _NOT_ASCII))
        for match in _SURROGATES.finditer(text):
            self._note(text, match.start())
        self._line += text.count("\n")
        self._offset_bytes += len(pending) + len(chunk) - len(self._decoder.getstate()[0])

    @property
    def is_utf8(self) -> bool:
        """A few broken bytes among many good characters are damage; more are another encoding."""
        return self.broken_bytes == 0 or self.broken_bytes * 20 < self.other_characters

    def _note(self, text: str, index: int) -> None:
        self.broken_bytes += 1
        self.other_characters -= 1
        if self.first_broken_offset is None:
            self.first_broken_offset = self._offset_bytes + len(text[:index].encode("utf-8", "surrogateescape"))
        if len(self.broken_lines) < _MAX_NOTED:
            line = self._line + text.count("\n", 0, index)
            if line not in self.broken_lines:
                self.broken_lines.append(line)


def binary_kind(head: bytes) -> str | None:
    """What a file that is no text is called (``PNG``, ``ZIP`` …, ``binary`` when unknown), or None for text."""
    for magic, name in numbers.words()["magic"].items():
        if _begins_with(head, bytes.fromhex(magic)):
            return str(name)
    if byte_order_mark(head) or utf16_without_mark(head):
        return None
    controls = len(head) - len(head.translate(None, _CONTROLS))
    return "binary" if controls > len(head) // 50 + 2 else None


def byte_order_mark(head: bytes) -> str | None:
    """The encoding that a byte order mark names."""
    return next((codec for mark, codec in _BOMS if head.startswith(mark)), None)


def utf16_without_mark(head: bytes) -> str | None:
    """UTF-16 of Persian or Latin text: nearly every second byte is 0 or 6 (or 0x20, of the half-space)."""
    pairs = len(head) // 2
    if pairs < 4:
        return None
    for codec, high in (("utf-16-le", head[1::2]), ("utf-16-be", head[::2])):
        known = Counter(high)
        if known[0] and known[0] + known[6] + known[0x20] >= 0.95 * pairs:
            return codec
    return None


def legacy_encoding(sample: bytes) -> str:
    """For bytes that are no UTF: Windows-1256 when that makes Persian or Arabic of them, else Windows-1252."""
    high = bytes(byte for byte in sample if byte >= 0x80)
    return "cp1256" if len(_ARABIC.findall(high.decode("cp1256", "replace"))) * 2 >= len(high) else "cp1252"


def shape(head: str, filename: str) -> Shape:
    """The shape of a text by how it begins; a lone scalar counts as JSON only where the file is called so."""
    head, name = head.lstrip("\ufeff \t\r\n"), filename.lower().removesuffix(".gz")
    if re.match(r"<(!doctype|html|\?xml|head|body)\b", head, re.IGNORECASE):
        return Shape.HTML
    if conll := _conll_shape(head, name):
        return conll
    if re.match(r"\[\s*[\[{\"\d\]tfn-]", head):
        return Shape.JSON_ARRAY
    if head.startswith("{"):
        return _shape_of_objects(head, called_lines=name.endswith((".jsonl", ".ndjson")))
    if name.endswith((".json", ".jsonl", ".ndjson")):
        return Shape.JSON_LINES
    return Shape.PLAIN if _is_prose(head, name) else Shape.DELIMITED


def delimiter(sample: str) -> str:
    """The delimiter that cuts most rows into as many fields as the first, quotes respected; a comma when none cuts at all."""
    scores = {candidate: _regularity(sample, candidate) for candidate in _DELIMITERS}
    best = max(scores, key=lambda candidate: scores[candidate])
    return best if scores[best] > 0 else ","


def is_tabbed(sample: str) -> bool:
    """Whether the fields of a CoNLL file are cut by tabs: then a token may hold blanks."""
    return all("\t" in line for line in _token_lines(sample))


def conll_width(sample: str) -> int:
    """How many fields most lines of a CoNLL file have; 0 when there is no line."""
    separator = "\t" if is_tabbed(sample) else None
    widths = Counter(len(line.split(separator)) for line in _token_lines(sample))
    return widths.most_common(1)[0][0] if widths else 0


def has_bio_tags(sample: str) -> bool:
    """Whether nearly every line ends in O or a tag such as B-PER."""
    tags = [line.split()[-1] for line in _token_lines(sample)]
    return bool(tags) and sum(_BIO.fullmatch(tag) is not None for tag in tags) >= 0.95 * len(tags)


def lacks_header(rows: list[list[str]]) -> bool:
    """Whether the first row looks like data: a number above numbers, or a short value that its column repeats."""
    if len(rows) < 3:
        return False
    header, body = rows[0], [row for row in rows[1:] if len(row) == len(rows[0])]
    columns = list(zip(*body, strict=True))
    return any(_looks_like_data(name, values) for name, values in zip(header, columns, strict=False))


def _begins_with(head: bytes, magic: bytes) -> bool:
    """A mark of mere letters (``GIF8``, ``PAR1``) may begin a table too, unless bytes follow that no text has."""
    if not head.startswith(magic):
        return False
    letters = magic.isascii() and magic.decode().isprintable()
    return not letters or magic == b"%PDF" or b"\0" in head


def _looks_like_data(name: str, values: tuple[str, ...]) -> bool:
    filled = [value for value in values if not numbers.is_missing(value)]
    if not filled or numbers.is_missing(name):
        return False
    if numbers.parse_number(name) is not None:
        return sum(numbers.parse_number(value) is not None for value in filled) * 10 >= len(filled) * 9
    return len(name) <= 40 and filled.count(name) >= 2


def _regularity(sample: str, candidate: str) -> float:
    """Share of rows with as many fields as the first, weighted up a little by how many those are; 0 when the first is not cut."""
    try:
        widths = [len(row) for row in csv.reader(io.StringIO(sample, newline=""), delimiter=candidate) if row]
    except csv.Error:
        return 0
    if not widths or widths[0] < 2:
        return 0
    return widths.count(widths[0]) / len(widths) + min(widths[0], 50) / 1000


def _token_lines(sample: str) -> list[str]:
    lines = (line.rstrip("\r") for line in sample.split("\n")[:_MAX_LINES])
    return [line for line in lines if line.strip() and not line.startswith(("-DOCSTART-", "# "))]


def _conll_shape(head: str, name: str) -> Shape | None:
    """Token files: ten fields that begin with a number (CoNLL-U), or a few fields of which the last is a tag."""
    lines = _token_lines(head)
    if not lines or head.startswith(("{", "[{", "[[")):
        return None
    universal = sum(line.count("\t") == 9 and line[0].isdigit() for line in lines)
    if universal >= 0.95 * len(lines):
        return Shape.CONLL_U
    width = conll_width(head)
    separator = "\t" if is_tabbed(head) else None
    regular = sum(len(line.split(separator)) == width for line in lines) >= 0.95 * len(lines)
    if not 2 <= width <= 8 or not regular:
        return None
    in_sentences = re.search(r"\S[ \t\r]*\n[ \t\r]*\n", head) is not None
    called = name.endswith((".conll", ".bio", ".iob", ".iob2", ".conll03", ".ner"))
    return Shape.CONLL if (has_bio_tags(head) and (in_sentences or called)) or (called and in_sentences) else None


def _is_prose(head: str, name: str) -> bool:
    """Running text: no delimiter cuts its lines alike. A file that is called a table needs more than that to be none."""
    if name.endswith((".csv", ".tsv", ".tab", ".psv")):
        return False
    best = max(_regularity(head, candidate) for candidate in _DELIMITERS)
    return best < (0.85 if name.endswith((".txt", ".text", ".md")) else 0.3)


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True


def _shape_of_objects(head: str, called_lines: bool) -> Shape:
    """One document, unless a second object follows the first: on the next line, glued to it, or after a broken line."""
    first, _, rest = head.partition("\n")
    if _is_json(first.strip()):
        return Shape.JSON_LINES if rest.strip() or called_lines else Shape.JSON_OBJECT
    try:
        end = json.JSONDecoder().raw_decode(head)[1]
    except (ValueError, RecursionError):
        lines = called_lines or ("\n{" in head and first.strip() != "{")
        return Shape.JSON_LINES if lines else Shape.JSON_OBJECT
    return Shape.JSON_LINES if head[end:].lstrip().startswith("{") else Shape.JSON_OBJECT
