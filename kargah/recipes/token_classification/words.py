"""Words: where they stand in a text that somebody asks about, and what they are made of."""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from kargah.text.normalise import BIDI_CONTROLS, INVISIBLE, LETTER_MARKS, ZWNJ, Normaliser

#: Marks that stand on a letter, and what joins or parts letters inside a word.
_INSIDE = f"\u0300-\u036f{LETTER_MARKS}{ZWNJ}\u200d"
_WORD = re.compile(rf"\d+(?:[./:,٫٬]\d+)+|\w[\w{_INSIDE}]*|(\S)\1*")
_UNSEEN = f" \t\r\n{ZWNJ}\u200d{INVISIBLE}{BIDI_CONTROLS}"
_KEPT_OF_SHAPE = 6
_AFFIXES = (1, 2, 3, 4, 5)


@dataclass(frozen=True)
class Word:
    """As the model reads it, and its place in the asked text, in characters."""

    text: str
    start: int
    end: int


def words_of_text(text: str, normaliser: Normaliser | None) -> list[Word]:
    """Numbers with their points and colons are one word, marks are words of their own."""
    read, places = normaliser.apply_mapped(text) if normaliser else (text, range(len(text) + 1))
    found = []
    for match in _WORD.finditer(read):
        start, end = places[match.start()], places[match.end()]
        while end > start + 1 and text[end - 1] in _UNSEEN:  # what the normaliser took away behind the word
            end -= 1
        found.append(Word(match[0], start, end))
    return found


def words_of_tokens(tokens: Sequence[str], normaliser: Normaliser | None) -> list[Word]:
    """Words that the asker has parted already; their text is the tokens joined by spaces."""
    found, place = [], 0
    for token in tokens:
        found.append(Word(normaliser.apply(token) if normaliser else token, place, place + len(token)))
        place += len(token) + 1
    return found


def shape_of(word: str) -> str:
    """Digits as 0, letters as a or A, marks as themselves; runs as one, so that dates and percentages look alike."""
    letters = ("0" if sign.isdigit() else ("A" if sign.isupper() else "a") if sign.isalpha() else sign for sign in word)
    runs: list[str] = []
    for letter in letters:
        if not runs or runs[-1] != letter:
            runs.append(letter)
    return "".join(runs[:_KEPT_OF_SHAPE])


def atoms_of(word: str) -> list[str]:
    """The word itself (first), its beginnings and ends, its shape."""
    small = word.lower()
    ends = [f"{kind}{part}" for length in _AFFIXES if length < len(small) for kind, part in (("<", small[:length]), (">", small[-length:]))]
    return [f"={small}", *ends, f"#{shape_of(word)}"]


@dataclass
class Atoms:
    """Those of the training words, by number; words themselves come first, so that they can be told from their parts."""

    numbers: dict[str, int]
    words: int
    _known: dict[str, list[int]] = field(default_factory=dict, repr=False)

    @classmethod
    def fit(cls, rows: Iterable[Sequence[str]], limit: int, least: int, check: Callable[[], None]) -> "Atoms":
        """Those seen ``least`` times, at most ``limit``, the most frequent first; ties fall by spelling, so that the result is one."""
        counts: Counter[str] = Counter()
        for number, row in enumerate(rows):
            if number % 500 == 0:
                check()
            counts.update(row)
        atoms: Counter[str] = Counter()
        for word, count in counts.items():
            atoms.update(dict.fromkeys(atoms_of(word), count))
        kept = [atom for atom, count in sorted(atoms.items(), key=lambda item: (-item[1], item[0])) if count >= least][:limit]
        whole = [atom for atom in kept if atom[0] == "="]
        return cls.of([*whole, *(atom for atom in kept if atom[0] != "=")])

    @classmethod
    def of(cls, listed: Sequence[str]) -> "Atoms":
        return cls({atom: number for number, atom in enumerate(listed)}, sum(atom[0] == "=" for atom in listed))

    def __len__(self) -> int:
        return len(self.numbers)

    def of_word(self, word: str) -> list[int]:
        """The numbers of its known atoms; maybe none."""
        if word not in self._known:
            found = (self.numbers.get(atom) for atom in atoms_of(word))
            self._known[word] = [number for number in found if number is not None]
        return self._known[word]

    def listed(self) -> list[str]:
        return list(self.numbers)


def parted(value: Any) -> list[str]:
    """A cell of words or of tags: a list, or a text with spaces between them."""
    if value is None:
        return []
    return [str(part) for part in value] if isinstance(value, list | tuple) else str(value).split()
