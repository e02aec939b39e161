"""Simple readers: "no answer" to everything, and the best of all pieces by a linear model. To answer they need numpy alone."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from kargah.kit import files
from kargah.recipes.measures import FloatArray
from kargah.recipes.question_answering.candidates import NUMBERS, Candidates, Words, candidates_of, weights_of
from kargah.recipes.question_answering.reading import Best
from kargah.recipes.question_answering.texts import Asked

_BORDERS, _NEGATIVES, _MOST_BORDER_WORDS, _C = 4, 24, 3000, 0.3


@dataclass
class NoAnswer:
    threshold: float = 0.0
    name: str = "majority"
    family: str = "majority"
    architecture: str = "no-answer"
    parameters: int = 0

    def best(self, asked: Sequence[Asked], check: Callable[[], None]) -> list[Best]:
        check()
        return [Best(0, 0, -1.0) for _ in asked]

    def save(self, folder: Path) -> None:
        files.write_json(folder / "majority.json", {"answer": ""})


@dataclass
class LinearReader:
    """``numbers`` [NUMBERS] and ``borders`` [4, border words + 1]: what speaks for a piece; the last border word is any other one."""

    weights: dict[str, float]
    border_words: dict[str, int]
    numbers: FloatArray
    borders: FloatArray
    threshold: float = 0.0
    name: str = "linear"
    family: str = "linear"
    architecture: str = "span-linear"

    @classmethod
    def fit(cls, asked: Sequence[Asked], check: Callable[[], None]) -> "LinearReader":
        """Logistic regression of the right piece against others of its passage, drawn always alike; a question without an answer has
        wrong ones only."""
        from sklearn.linear_model import LogisticRegression
        from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

        passages = {one.passage.read: Words.of(one.passage.read) for one in asked}
        counts = Counter(word for words in passages.values() for word in words.texts)
        frequent = sorted(counts, key=lambda word: (-counts[word], word))[:_MOST_BORDER_WORDS]
        reader = cls(
            weights_of(passages.values()), {word: number for number, word in enumerate(frequent)},
            np.zeros(NUMBERS, np.float32), np.zeros((_BORDERS, len(frequent) + 1), np.float32),
        )  # fmt: skip
        generator = np.random.default_rng(0)
        taught = []
        for number, one in enumerate(asked):
            if number % 50 == 0:
                check()
            found, right = _taught(one, passages[one.passage.read], reader.weights, generator)
            taught.append((found.numbers, reader._border_ids(found, passages[one.passage.read]), right))
        numbers, borders, answers = (np.concatenate(part) for part in zip(*taught, strict=True))
        matrix = _matrix(numbers, borders, len(frequent) + 1)
        check()
        if answers.any() and not answers.all():
            with threadpool_limits(1):
                solved = LogisticRegression(C=_C, max_iter=150, tol=1e-3, random_state=0).fit(matrix, answers)
            reader.numbers[:] = solved.coef_[0, :NUMBERS]
            reader.borders[:] = solved.coef_[0, NUMBERS:].reshape(_BORDERS, -1)
        return reader

    def _border_ids(self, found: Candidates, passage: Words) -> FloatArray:
        """[pieces, 4]; beyond the passage stands any other word."""
        other = len(self.border_words)
        ids = np.array([other, *(self.border_words.get(word, other) for word in passage.texts), other])
        return np.asarray(ids[found.borders() + 1])

    def best(self, asked: Sequence[Asked], check: Callable[[], None]) -> list[Best]:
        told = []
        for number, one in enumerate(asked):
            if number % 50 == 0:
                check()
            told.append(self._best(one))
        return told

    def _best(self, asked: Asked) -> Best:
        passage = Words.of(asked.passage.read)
        found = candidates_of(Words.of(asked.question), passage, self.weights)
        if not len(found):
            return Best(0, 0, -1e9)
        margins = found.numbers @ self.numbers + self.borders[np.arange(_BORDERS), self._border_ids(found, passage)].sum(axis=1)
        best = int(margins.argmax())
        first, last = found.spans[best]
        return Best(passage.spans[first][0], passage.spans[last - 1][1], float(margins[best]))

    @property
    def parameters(self) -> int:
        return int(self.numbers.size + self.borders.size)

    def save(self, folder: Path) -> None:
        from safetensors.numpy import save_file

        save_file({"numbers": self.numbers, "borders": self.borders}, folder / "model.safetensors")
        stored = {"weights": self.weights, "border_words": list(self.border_words), "threshold": self.threshold}
        files.write_json(folder / "linear.json", stored)

    @classmethod
    def load(cls, folder: Path) -> "LinearReader":
        from safetensors.numpy import load_file

        tensors, stored = load_file(folder / "model.safetensors"), files.read_json(folder / "linear.json")
        words = {word: number for number, word in enumerate(stored["border_words"])}
        return cls(stored["weights"], words, tensors["numbers"], tensors["borders"], stored["threshold"])


def _matrix(numbers: FloatArray, borders: FloatArray, width: int) -> Any:
    """scipy CSR [pieces, features]."""
    from scipy.sparse import csr_matrix, hstack

    columns = (borders + np.arange(_BORDERS) * width).ravel()
    ends = np.arange(0, len(columns) + 1, _BORDERS)
    named = csr_matrix((np.ones(len(columns)), columns, ends), shape=(len(borders), _BORDERS * width))
    return hstack([csr_matrix(numbers), named], format="csr")


def _taught(asked: Asked, passage: Words, weights: dict[str, float], generator: np.random.Generator) -> tuple[Candidates, FloatArray]:
    """Return (the pieces that teach, which of them are right): the right one where there is one, and some others."""
    found = candidates_of(Words.of(asked.question), passage, weights)
    right = _right(asked, passage, found)
    rows = list(dict.fromkeys([*np.flatnonzero(right).tolist(), *generator.permutation(len(found))[:_NEGATIVES].tolist()]))
    return found.picked(rows), right[rows]


def _right(asked: Asked, passage: Words, found: Candidates) -> FloatArray:
    """Which pieces are a reference answer but for marks at its ends."""
    if not len(found):
        return np.zeros(0, dtype=bool)
    places = np.array(passage.spans)
    starts, ends = places[found.spans[:, 0], 0], places[found.spans[:, 1] - 1, 1]
    close = [(abs(starts - one) <= 1) & (abs(ends - other) <= 1) for _, one, other in asked.answers]
    return np.any(close, axis=0) if close else np.zeros(len(found), dtype=bool)
