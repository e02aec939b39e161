"""Simple taggers: the most frequent tag of a word, and a linear model over the words around. To answer they need numpy alone."""

from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
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
    def fit(cls, words: Rows, tags: Sequence[FloatArray], labels: int, check: Callable[[], None]) -> "LinearTagger":
        """The scale is chosen on a twentieth of the rows, which teach nothing else."""
        atoms = Atoms.fit(words, _MOST_ATOMS, 1, check)
        shapes = (len(atoms), labels), (len(PLACES), atoms.words + 2, labels), (labels + 1, labels + 1, labels)
        own, around, before = (np.zeros(shape, np.float32) for shape in shapes)
        model = cls(atoms, own, around, before)
        parts: tuple[list[int], list[int]] = ([], [])
        for row in range(len(words)):
            parts[row % 20 == 19].append(row)
        model._learn([words[row] for row in parts[0]], [tags[row].tolist() for row in parts[0]], check)
        if parts[1]:
            model._calibrate([words[row] for row in parts[1]], np.concatenate([tags[row] for row in parts[1]]))
        return model

    def _learn(self, words: Rows, tags: Sequence[Sequence[int]], check: Callable[[], None]) -> None:
        labels = self.own.shape[1]
        own, around, before = (Averaged(part.reshape(-1, labels)) for part in (self.own, self.around, self.before))
        read = self._read(words)
        beside = (read.beside() + np.arange(len(PLACES)) * self.around.shape[1]).tolist()
        generator, seen = np.random.default_rng(0), 0
        for _ in range(_PASSES):
            for number, row in enumerate(generator.permutation(len(words)).tolist()):
                if number % 200 == 0:
                    check()
                last, earlier = labels, labels
                for place, right in enumerate(tags[row], read.starts[row]):
                    atoms, company, way = read.atoms[read.numbers[place]], beside[place], last * (labels + 1) + earlier
                    margins = own.weights[atoms].sum(axis=0) + around.weights[company].sum(axis=0) + before.weights[way]
                    guess, seen = int(margins.argmax()), seen + 1
                    if guess != right:
                        for part, features in ((own, atoms), (around, company), (before, way)):
                            part.change(features, right, guess, seen)
                    last, earlier = guess, last
        for part in (own, around, before):
            part.average(seen)

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

    def change(self, features: Any, right: int, guess: int, when: int) -> None:
        self.weights[features, right] += 1
        self.weights[features, guess] -= 1
        self.changed[features, right] += when
        self.changed[features, guess] -= when

    def average(self, seen: int) -> None:
        self.weights -= self.changed / max(1, seen)


def _shares(margins: FloatArray) -> FloatArray:
    powers = np.exp(margins - margins.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True))
