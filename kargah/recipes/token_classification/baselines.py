"""Simple taggers: the most frequent tag of a word, and a linear model over the words around. To answer they need numpy alone."""

from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from kargah.kit import files
from kargah.recipes.measures import FloatArray
from kargah.recipes.token_classification.words import Atoms, atoms_of

Rows = Sequence[Sequence[str]]
_SURE = 0.98
#: Words around, by how far they stand away.
PLACES = (-2, -1, 1, 2)
_MOST_ATOMS, _PASSES = 200_000, 8
#: What a perceptron becomes depends on the order of the rows; the mean over some orders does so less, and is better where words are few
#: (of UD_Persian-PerDT, four folds of its training rows: 91.4 % instead of 91.0). With more words one order takes long enough.
_ORDERS, _MOST_WORDS_IN_ORDERS = 3, 100_000
#: Of a step by a gradient.
_RATE = 0.3
Check = Callable[[], None]
#: Of a word, by its place in all rows, and the margins of its tags: the tag that is guessed, and what its features are changed by.
Lesson = Callable[[int, FloatArray], tuple[int, FloatArray | None]]


@dataclass
class TagOfWord:
    """``tags``: of an atom of a word, the tag that it most often has in training. An unknown word is told by its longest known end."""

    tags: dict[str, int]
    labels: int
    usual: int
    name: str = "majority"
    family: str = "majority"
    architecture: str = "tag-of-word"

    @classmethod
    def fit(cls, words: Rows, tags: Sequence[FloatArray], labels: int) -> "TagOfWord":
        counts: defaultdict[str, Counter[int]] = defaultdict(Counter)
        usual: Counter[int] = Counter()
        for row, own in zip(words, tags, strict=True):
            usual.update(own.tolist())
            for word, tag in zip(row, own.tolist(), strict=True):
                for atom in _telling(word):
                    counts[atom][tag] += 1
        chosen = {atom: min(found, key=lambda tag: (-found[tag], tag)) for atom, found in counts.items()}
        return cls(chosen, labels, min(usual, key=lambda tag: (-usual[tag], tag)))

    @property
    def parameters(self) -> int:
        return len(self.tags)

    def scores_of(self, words: Rows) -> list[FloatArray]:
        return [self._row(row) for row in words]

    def _row(self, words: Sequence[str]) -> FloatArray:
        told = np.full((len(words), self.labels), (1 - _SURE) / max(1, self.labels - 1), dtype=np.float32)
        told[np.arange(len(words)), [self._tag(word) for word in words]] = _SURE
        return told

    def _tag(self, word: str) -> int:
        return next((self.tags[atom] for atom in _telling(word) if atom in self.tags), self.usual)

    def save(self, folder: Path) -> None:
        files.write_json(folder / "majority.json", {"tags": self.tags, "labels": self.labels, "usual": self.usual})

    @classmethod
    def load(cls, folder: Path) -> "TagOfWord":
        return cls(**files.read_json(folder / "majority.json"))


def _telling(word: str) -> list[str]:
    """The word, then its ends, the longest first."""
    whole, *parts, shape = atoms_of(word)
    return [whole, *sorted((part for part in parts if part[0] == ">"), key=len, reverse=True), shape]


@dataclass
class LinearTagger:
    """An averaged perceptron, greedy from the first word to the last (Collins 2002).

    What speaks for a tag: ``own`` float32 [atoms, tags], the atoms of the word; ``around`` [places, words + 2, tags], the words that
    stand ``PLACES`` away, the last two being the end of a text and any unknown word; ``before`` [tags + 1, tags + 1, tags], the tag
    before and the one before that, the last being none. Margins times ``scale`` are told as probabilities by a softmax.
    """

    atoms: Atoms
    own: FloatArray
    around: FloatArray
    before: FloatArray
    scale: float = 1.0
    name: str = "linear"
    family: str = "linear"
    architecture: str = "averaged-perceptron"

    @classmethod
    def fit(cls, words: Rows, tags: Sequence[FloatArray], labels: int, check: Check) -> "LinearTagger":
        """By its mistakes. The scale is chosen on a twentieth of the rows, which teach nothing else."""
        return cls._fitted(words, tags, labels, check, lambda rows: _by_mistakes([tags[row].tolist() for row in rows], labels))

    def again(self, words: Rows, tags: Sequence[FloatArray], check: Check) -> "LinearTagger":
        """From these rows, all of them: the scale is known."""
        labels = self.own.shape[1]
        model = self._blank(words, labels, check)
        model._learn(words, _by_mistakes([row.tolist() for row in tags], labels), check)
        model.scale = self.scale
        return model

    @classmethod
    def taught(
        cls, words: Rows, tags: Sequence[FloatArray], soft: Sequence[FloatArray], temperature: float, share: float, check: Check
    ) -> "LinearTagger":
        """By the gradient of ``engine.distilling``'s loss after each word. ``soft``: the teacher's shares [words, tags] of each row."""
        labels = soft[0].shape[1]
        hard = np.eye(labels)

        def lesson_of(rows: list[int]) -> Lesson:
            told = [(1 - share) * hard[tags[row]] + share * temperature * soft[row] for row in rows]
            return _by_gradient(np.concatenate(told), temperature, share)

        model = cls._fitted(words, tags, labels, check, lesson_of)
        return replace(model, name="linear-student", architecture="averaged-softmax")

    @classmethod
    def _fitted(
        cls, words: Rows, tags: Sequence[FloatArray], labels: int, check: Check, lesson_of: Callable[[list[int]], "Lesson"]
    ) -> "LinearTagger":
        model = cls._blank(words, labels, check)
        parts: tuple[list[int], list[int]] = ([], [])
        for row in range(len(words)):
            parts[row % 20 == 19].append(row)
        model._learn([words[row] for row in parts[0]], lesson_of(parts[0]), check)
        if parts[1]:
            model._calibrate([words[row] for row in parts[1]], np.concatenate([tags[row] for row in parts[1]]))
        return model

    @classmethod
    def _blank(cls, words: Rows, labels: int, check: Check) -> "LinearTagger":
        atoms = Atoms.fit(words, _MOST_ATOMS, 1, check)
        shapes = (len(atoms), labels), (len(PLACES), atoms.words + 2, labels), (labels + 1, labels + 1, labels)
        own, around, before = (np.zeros(shape, np.float32) for shape in shapes)
        return cls(atoms, own, around, before)

    def _learn(self, words: Rows, lesson: "Lesson", check: Check) -> None:
        read = self._read(words)
        orders = _ORDERS if len(read.numbers) <= _MOST_WORDS_IN_ORDERS else 1
        for order in range(orders):
            for part, learnt in zip((self.own, self.around, self.before), self._in_order(order, words, read, lesson, check), strict=True):
                part += learnt.reshape(part.shape) / orders

    def _in_order(self, order: int, words: Rows, read: "Read", lesson: "Lesson", check: Check) -> list[FloatArray]:
        """[features, tags] of each part, from nothing; ``order`` is the seed of the rows'."""
        labels = self.own.shape[1]
        own, around, before = (
            Averaged(np.zeros((part.size // labels, labels), np.float32)) for part in (self.own, self.around, self.before)
        )
        beside = (read.beside() + np.arange(len(PLACES)) * self.around.shape[1]).tolist()
        generator, seen, starts = np.random.default_rng(order), 0, read.starts.tolist()
        for _ in range(_PASSES):
            for number, row in enumerate(generator.permutation(len(words)).tolist()):
                if number % 200 == 0:
                    check()
                last, earlier = labels, labels
                for place in range(starts[row], starts[row] + len(words[row])):
                    atoms, company, way = read.atoms[read.numbers[place]], beside[place], last * (labels + 1) + earlier
                    margins = own.weights[atoms].sum(axis=0) + around.weights[company].sum(axis=0) + before.weights[way]
                    guess, change = lesson(place, margins)
                    seen += 1
                    if change is not None:
                        for part, features in ((own, atoms), (around, company), (before, way)):
                            part.change(features, change, seen)
                    last, earlier = guess, last
        for part in (own, around, before):
            part.average(seen)
        return [part.weights for part in (own, around, before)]

    def _read(self, words: Rows) -> "Read":
        numbers: dict[str, int] = {}
        places = np.array([numbers.setdefault(word, len(numbers)) for row in words for word in row], dtype=np.int64)
        atoms = [self.atoms.of_word(word) for word in numbers]
        whole = [row[0] if row and row[0] < self.atoms.words else self.atoms.words + 1 for row in atoms]
        return Read(places, np.array(whole, dtype=np.int64), atoms, np.array([len(row) for row in words]), self.atoms.words)

    def _calibrate(self, words: Rows, targets: FloatArray) -> None:
        margins = np.concatenate(self._margins(words))

        def loss(scale: float) -> float:
            return float(-np.log(np.maximum(_shares(scale * margins)[np.arange(len(targets)), targets], 1e-9)).mean())

        self.scale = min((float(scale) for scale in np.geomspace(0.01, 4, 40)), key=loss)

    def scores_of(self, words: Rows) -> list[FloatArray]:
        return [_shares(self.scale * row) for row in self._margins(words)]

    def _margins(self, words: Rows) -> list[FloatArray]:
        """A distinct word's sums are made once; then all rows are read together, word by word."""
        read, none = self._read(words), self.own.shape[1]
        sums = np.array([self.own[atoms].sum(axis=0) for atoms in read.atoms]).reshape(-1, none)
        flat = sums[read.numbers].astype(np.float64)
        for speak, company in zip(self.around, read.beside().T, strict=True):
            flat += speak[company]
        last = np.full(len(words), none)
        earlier = last.copy()
        for place in range(max(read.sizes, default=0)):
            alive = np.flatnonzero(read.sizes > place)
            at = read.starts[alive] + place
            flat[at] += self.before[last[alive], earlier[alive]]
            earlier[alive], last[alive] = last[alive], flat[at].argmax(axis=1)
        return np.split(flat, read.starts[1:])

    @property
    def parameters(self) -> int:
        return int(self.own.size + self.around.size + self.before.size)

    def save(self, folder: Path) -> None:
        from safetensors.numpy import save_file

        save_file({"own": self.own, "around": self.around, "before": self.before}, folder / "model.safetensors")
        files.write_json(folder / "linear.json", {"atoms": self.atoms.listed(), "scale": self.scale})

    @classmethod
    def load(cls, folder: Path) -> "LinearTagger":
        from safetensors.numpy import load_file

        tensors, stored = load_file(folder / "model.safetensors"), files.read_json(folder / "linear.json")
        return cls(Atoms.of(stored["atoms"]), tensors["own"], tensors["around"], tensors["before"], stored["scale"])


@dataclass(frozen=True)
class Read:
    """Rows one after another: each word's number, and by that number its place among whole words and its atoms. ``end``: what stands
    before and behind a row."""

    numbers: FloatArray
    whole: FloatArray
    atoms: list[list[int]]
    sizes: FloatArray
    end: int

    @property
    def starts(self) -> FloatArray:
        return np.cumsum([0, *self.sizes[:-1]])

    def beside(self) -> FloatArray:
        """[words, places]: the whole words that stand around each."""
        row = np.repeat(np.arange(len(self.sizes)), self.sizes)
        found = np.full((len(row), len(PLACES)), self.end, dtype=np.int64)
        for column, place in enumerate(PLACES):
            at = np.arange(len(row)) + place
            inside = np.flatnonzero((at >= 0) & (at < len(row)))
            inside = inside[row[at[inside]] == row[inside]]
            found[inside, column] = self.whole[self.numbers[at[inside]]]
        return found


@dataclass
class Averaged:
    """``weights`` [features, tags], changed in place; at the end their mean after each word: the last ones less what was changed late
    (Daumé 2006)."""

    weights: FloatArray
    changed: FloatArray = field(init=False)

    def __post_init__(self) -> None:
        self.changed = np.zeros_like(self.weights, dtype=np.float64)

    def change(self, features: Any, by: FloatArray, when: int) -> None:
        """``by`` [tags]: what is added for each of the features."""
        self.weights[features] += by
        self.changed[features] += when * by

    def average(self, seen: int) -> None:
        self.weights -= self.changed / max(1, seen)


def _by_mistakes(tags: Sequence[Sequence[int]], labels: int) -> Lesson:
    """A perceptron's: what is right gains where something else was said, and that loses as much."""
    right, unit = [tag for row in tags for tag in row], np.eye(labels)

    def lesson(place: int, margins: FloatArray) -> tuple[int, FloatArray | None]:
        guess = int(margins.argmax())
        return guess, None if guess == right[place] else unit[right[place]] - unit[guess]

    return lesson


def _by_gradient(told: FloatArray, temperature: float, share: float) -> Lesson:
    """``told`` [words, tags]: the part of the gradient that the margins do not change."""

    def lesson(place: int, margins: FloatArray) -> tuple[int, FloatArray | None]:
        own, softer = _shares_of(margins), _shares_of(margins / temperature)
        return int(margins.argmax()), _RATE * (told[place] - (1 - share) * own - share * temperature * softer)

    return lesson


def _shares_of(margins: FloatArray) -> FloatArray:
    powers = np.exp(margins - margins.max())
    return np.asarray(powers / powers.sum())


def _shares(margins: FloatArray) -> FloatArray:
    powers = np.exp(margins - margins.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True))
