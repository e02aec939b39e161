"""The Persian normaliser: one pure function, versioned, the same at training and at answering.

Its settings and version travel with every data set and model. Applying it twice gives what once gives; rows in Arabic,
Urdu, Pashto or Kurdish keep their letters. Spelling is never touched: that is statistics, not normalisation.
"""

import re
import tomllib
import unicodedata
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Literal, Protocol

from pydantic import BaseModel, ConfigDict

NORMALISER_VERSION: Literal[1] = 1

ZWNJ = "\u200c"
BIDI_CONTROLS = "\u200e\u200f\u061c\u202a-\u202e\u2066-\u2069"  # as a regular-expression class
INVISIBLE = "\u00ac\u00ad\u200b\ufeff"
LETTER_MARKS = "\u064b-\u065f\u0670"  # of Arabic script: harakat, the hamza of an ezafe; as a regular-expression class
_FORMS = "\ufb50-\ufdff\ufe70-\ufefc"
_EMOJI = "[\U0001f000-\U0001faff\u2190-\u21ff\u2300-\u27bf\u2b00-\u2bff\ufe0f\u20e3]"
_EDGE = r"[\s!-/:-@\[-`{-~،؛؟٪٫٬٭۔«»…–—‘’“”]"
#: Kept as they are: their compatibility form spells out whole phrases (ﷲ would be a word, ﷼ a currency name).
_KEPT_FORMS = frozenset("ﷺﷻ﷼﷽")

_FORM = re.compile(f"[{_FORMS}]")
#: Patterns that begin with a character are looked for far more quickly than alternatives.
_ZWNJ_AT_EDGE = re.compile(f"{ZWNJ}(?:(?:(?<=\\A{ZWNJ})|(?<={_EDGE}{ZWNJ})){ZWNJ}*|{ZWNJ}*(?={_EDGE}|\\Z))")
_RARE = re.compile(f"[{_FORMS}{INVISIBLE}{BIDI_CONTROLS}{ZWNJ}\u200d\u0640]")

Counts = dict[str, int]


class NormaliserSettings(BaseModel):
    """Which steps run. While ``spare_other_languages`` is on, the steps on letters and digits leave rows of other languages alone."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    version: Literal[1] = NORMALISER_VERSION
    compose: bool = True
    presentation_forms: bool = True
    letters: bool = True
    spare_other_languages: bool = True
    zwnj: bool = True
    invisible: bool = True
    bidi_controls: bool = True
    kashida: bool = True
    harakat: bool = False
    hamza: bool = False
    digits: Literal["keep", "latin", "persian"] = "keep"
    whitespace: bool = True


#: For keys of labels: everything that cannot change which label is meant.
LABEL_SETTINGS = NormaliserSettings(spare_other_languages=False, harakat=True, digits="latin")
#: For search: hamza folded besides.
SEARCH_SETTINGS = LABEL_SETTINGS.model_copy(update={"hamza": True})


Edit = tuple[int, int, str]


class Step(Protocol):
    """One rewriting. ``guarded`` steps leave rows of other languages alone; ``rare`` ones concern only texts with a character of _RARE."""

    @property
    def name(self) -> str: ...

    @property
    def guarded(self) -> bool: ...

    @property
    def rare(self) -> bool: ...

    def apply(self, text: str) -> str: ...

    def edits(self, text: str) -> list[Edit]:
        """The same as places: (start, end, new text), in order, none of them idle."""
        ...

    def counted(self, text: str) -> tuple[str, int]:
        """The new text, and how many edits make it."""
        ...


@dataclass(frozen=True)
class Replace:
    name: str
    pattern: re.Pattern[str]
    replacement: str | Callable[[re.Match[str]], str]
    guarded: bool = False
    rare: bool = False

    def apply(self, text: str) -> str:
        return self.pattern.sub(self.replacement, text)

    def edits(self, text: str) -> list[Edit]:
        found = ((match, self._new(match)) for match in self.pattern.finditer(text))
        return [(*match.span(), new) for match, new in found if match[0] != new]

    def counted(self, text: str) -> tuple[str, int]:
        if self.pattern.search(text) is None:
            return text, 0
        edits = self.edits(text)
        return _edited(text, edits), len(edits)

    def _new(self, match: re.Match[str]) -> str:
        return self.replacement if isinstance(self.replacement, str) else self.replacement(match)


@dataclass(frozen=True)
class Letters(Replace):
    """Each character of ``table`` by what stands there; none of what stands there is replaced itself."""

    table: Mapping[str, str] = field(default_factory=dict)

    def counted(self, text: str) -> tuple[str, int]:
        found = self.pattern.findall(text)
        for letter in set(found):
            text = text.replace(letter, self.table[letter])
        return text, len(found)


@dataclass(frozen=True)
class Compose:
    """Unicode's canonical composition (NFC)."""

    name: str = "compose"
    guarded: bool = False
    rare: bool = False

    def apply(self, text: str) -> str:
        return unicodedata.normalize("NFC", text)

    def edits(self, text: str) -> list[Edit]:
        if unicodedata.is_normalized("NFC", text):
            return []
        segments = ((start, end, self.apply(text[start:end])) for start, end in _composable_segments(text))
        return [(start, end, new) for start, end, new in segments if new != text[start:end]]

    def counted(self, text: str) -> tuple[str, int]:
        edits = self.edits(text)
        return _edited(text, edits) if edits else text, len(edits)


class Whitespace(Replace):
    """One space for a run of blanks; line breaks stay, at most an empty line of them; nothing at the ends."""

    def __init__(self) -> None:
        super().__init__("whitespace", re.compile(r"\s(?:\s+|(?<=[^ \n])|(?<=\A\s)|\Z)"), _one_space)

    def apply(self, text: str) -> str:
        return text if " ".join(text.split()) == text else super().apply(text)

    def counted(self, text: str) -> tuple[str, int]:
        return (text, 0) if " ".join(text.split()) == text else super().counted(text)


class Normaliser:
    """Pure and stateless: safe to share between threads. Some 10 µs for a sentence of 100 characters."""

    def __init__(self, settings: NormaliserSettings | None = None) -> None:
        self.settings = settings or NormaliserSettings()
        self.steps: tuple[Step, ...] = tuple(_steps(self.settings))
        guarded = (step.pattern.pattern for step in self.steps if step.guarded and isinstance(step, Replace))
        self._guarded = re.compile("|".join(guarded) or r"(?!)")
        self._ascii_steps = tuple(step for step in self.steps if step.name in ("whitespace", "digits"))

    def apply(self, text: str) -> str:
        for step in self._steps_for(text):
            text = step.apply(text)
        return text

    def apply_counted(self, text: str) -> tuple[str, Counts]:
        """The text and, by step, in how many places it changed. Steps that changed nothing are absent."""
        counts: Counts = {}
        for step in self._steps_for(text):
            text, edits = step.counted(text)
            if edits:
                counts[step.name] = counts.get(step.name, 0) + edits
        return text, counts

    def apply_mapped(self, text: str) -> tuple[str, list[int]]:
        """The text and, for each of its characters and for its end, the place in the input that it came from (never decreasing)."""
        offsets = list(range(len(text) + 1))
        for step in self._steps_for(text):
            edits = step.edits(text)
            offsets, text = _moved(offsets, edits), _edited(text, edits)
        return text, offsets

    def _steps_for(self, text: str) -> Iterator[Step]:
        """The steps that this text needs: most texts need few, and looking first is what makes this fast."""
        if text.isascii():
            yield from self._ascii_steps
            return
        rare = _RARE.search(text) is not None
        spared = self.settings.spare_other_languages and self._guarded.search(text) is not None and in_another_language(text)
        yield from (step for step in self.steps if (rare or not step.rare) and not (spared and step.guarded))


def in_another_language(text: str) -> bool:
    """Whether a row is Urdu, Pashto, Kurdish or Arabic, by letters and words that Persian has not.

    A row without a sign of either kind is Persian. Words are looked up last and without the marks that normalising takes
    away, so that the answer is the same before and after.
    """
    signs = _signs()
    if _FORM.search(text):
        text = text.translate(_forms())
    text = unicodedata.normalize("NFC", text)  # composed first: a letter and its mark may be a Persian letter together
    if signs.foreign_letters.search(text):
        return True
    if signs.persian_letters.search(text):
        return False
    words = signs.noise.sub("", text)
    arabic = signs.arabic_letters.search(words) or signs.arabic_words.search(words)
    return arabic is not None and signs.persian_words.search(words) is None


def label_key(text: str) -> str:
    """Labels with equal keys are one label in a person's eyes: yeh, kaf, half-space, digits, harakat and case do not count."""
    return _LABELS.apply(text).replace(ZWNJ, "").casefold()


def fold(text: str) -> str:
    """The key that searching compares: as for labels, and hamza does not count either."""
    return _SEARCH.apply(text).replace(ZWNJ, "").casefold()


def _steps(settings: NormaliserSettings) -> list[Step]:
    """In an order in which no step makes work for an earlier one: hence idempotent."""
    data = _data()
    steps: list[tuple[bool, Step]] = [
        (settings.presentation_forms, Replace("presentation_forms", _FORM, lambda match: _forms().get(ord(match[0]), match[0]), rare=True)),
        (settings.invisible, Replace("invisible", re.compile(f"[{INVISIBLE}]+"), "", rare=True)),
        (settings.bidi_controls, Replace("bidi_controls", re.compile(f"[{BIDI_CONTROLS}]+"), "", rare=True)),
        (settings.kashida, Replace("kashida", re.compile("\u0640+"), "", rare=True)),
        (settings.zwnj, Replace("zwnj", re.compile(f"\u200d(?:(?!{_EMOJI})|(?<!{_EMOJI}\u200d))"), "", rare=True)),
        (settings.compose, Compose()),
        (settings.harakat, Replace("harakat", re.compile("[\u064b-\u0652]+"), "", guarded=True)),
        (settings.letters, _letters("letters", data["letters"])),
        (settings.hamza, _letters("hamza", data["hamza"])),
        (settings.digits != "keep", _digits(settings.digits)),
        (settings.zwnj, Replace("zwnj", _ZWNJ_AT_EDGE, "", rare=True)),
        (settings.zwnj, Replace("zwnj", re.compile(f"{ZWNJ}{ZWNJ}+"), ZWNJ, rare=True)),
        (settings.whitespace, Whitespace()),
        (settings.compose, Compose()),
    ]
    return [step for wanted, step in steps if wanted]


def _letters(name: str, table: Mapping[str, str]) -> Step:
    return Letters(name, re.compile(f"[{''.join(table)}]"), _looked_up(table), guarded=True, table=table)


def _digits(form: str) -> Step:
    rows = ("0123456789", "۰۱۲۳۴۵۶۷۸۹", "٠١٢٣٤٥٦٧٨٩")
    wanted = rows[0] if form == "latin" else rows[1]
    table = {old: new for row in rows if row != wanted for old, new in zip(row, wanted, strict=True)}
    return _letters("digits", table)


def _looked_up(table: Mapping[str, str]) -> Callable[[re.Match[str]], str]:
    return lambda match: table.get(match[0], match[0])


def _one_space(match: re.Match[str]) -> str:
    if match.start() == 0 or match.end() == len(match.string):
        return ""
    breaks = len((match[0] + ".").splitlines()) - 1
    return "\n" * min(breaks, 2) or " "


def _edited(text: str, edits: list[Edit]) -> str:
    parts: list[str] = []
    position = 0
    for start, end, new in edits:
        parts += (text[position:start], new)
        position = end
    return "".join((*parts, text[position:]))


def _moved(offsets: list[int], edits: list[Edit]) -> list[int]:
    moved: list[int] = []
    position = 0
    for start, end, new in edits:
        moved += offsets[position:start]
        moved += (offsets[min(start + index, end - 1)] for index in range(len(new)))
        position = end
    return moved + offsets[position:]


def _composable_segments(text: str) -> Iterator[tuple[int, int]]:
    """Cut a text where composing the parts is composing the whole."""
    start = 0
    for index in range(1, len(text)):
        before, character = text[start:index], text[index]
        if not unicodedata.combining(character) and unicodedata.normalize("NFC", before + character) == (
            unicodedata.normalize("NFC", before) + unicodedata.normalize("NFC", character)
        ):
            yield start, index
            start = index
    yield start, len(text)


@dataclass(frozen=True)
class _Signs:
    foreign_letters: re.Pattern[str]
    persian_letters: re.Pattern[str]
    persian_words: re.Pattern[str]
    arabic_letters: re.Pattern[str]
    arabic_words: re.Pattern[str]
    noise: re.Pattern[str]


@cache
def _signs() -> _Signs:
    data = _data()
    letters = {kind: re.compile(f"[{data[kind]}]") for kind in ("foreign_letters", "persian_letters", "arabic_letters")}
    words = {kind: re.compile(rf"\b(?:{'|'.join(data[kind])})\b") for kind in ("persian_words", "arabic_words")}
    return _Signs(**letters, **words, noise=re.compile(f"[{INVISIBLE}{BIDI_CONTROLS}{ZWNJ}\u200d\u0640\u064b-\u0652]"))


@cache
def _data() -> dict[str, Any]:
    with Path(__file__).with_name("scripts.toml").open("rb") as file:
        return tomllib.load(file)


@cache
def _forms() -> dict[int, str]:
    """Presentation forms and what they stand for; a spacing mark stands for the mark alone."""
    points = (point for span in (range(0xFB50, 0xFE00), range(0xFE70, 0xFEFD)) for point in span if chr(point) not in _KEPT_FORMS)
    forms = {point: unicodedata.normalize("NFKC", chr(point)).lstrip(" ") for point in points}
    return {point: form for point, form in forms.items() if form != chr(point)}


_LABELS = Normaliser(LABEL_SETTINGS)
_SEARCH = Normaliser(SEARCH_SETTINGS)
