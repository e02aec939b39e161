"""A linear model on n-grams: seconds to train, hard to beat on small data. Predicts with numpy alone."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from kargah.kit import files
from kargah.recipes.baselines import strengths, taught
from kargah.recipes.baselines.taught import SoftTargets
from kargah.recipes.measures import FloatArray
from kargah.recipes.ngrams import NgramVocabulary
from kargah.recipes.problem import ColumnProblem, ProblemType

Texts = Sequence[str]
Check = Callable[[], None]
#: (coefficients [outputs, features], intercept [outputs])
Solved = tuple[FloatArray, FloatArray]


@dataclass
class LinearModel:
    """One vocabulary a field (the text, and its pair when there is one).

    ``coefficients`` float32 [outputs, features of all fields], ``intercept`` [outputs]. ``scale`` turns margins into
    probabilities (softmax or sigmoid of scale × margin + shift). ``strength``: the C by which it was fitted.
    """

    problem: ColumnProblem
    vocabularies: list[NgramVocabulary]
    coefficients: FloatArray
    intercept: FloatArray
    scale: float = 1.0
    shift: float = 0.0
    strength: float = strengths.USUAL

    @classmethod
    def fit(
        cls, problem: ColumnProblem, fields: Sequence[Texts], targets: FloatArray, check: Check, strength: float | None = None
    ) -> "LinearModel":
        """``fields``: for each field the texts of all training rows. ``strength``: chosen from the rows where none is given."""
        matrix, vocabularies = _features(fields, check)
        strength = _strength_of(problem, matrix, targets, check) if strength is None else strength
        check()
        return cls(problem, vocabularies, *_solve(problem, matrix, targets, strength), strength=strength)

    @classmethod
    def taught(cls, problem: ColumnProblem, fields: Sequence[Texts], targets: SoftTargets, check: Check) -> "LinearModel":
        """By a teacher as well. What it says are probabilities as they stand: the scale stays 1."""
        matrix, vocabularies = _features(fields, check)
        check()
        return cls(problem, vocabularies, *_single(taught.solve(matrix, targets, check)))

    def margins(self, fields: Sequence[Texts], check: Check = lambda: None) -> FloatArray:
        """float64 [rows, outputs]."""
        rows = []
        for number, texts in enumerate(zip(*fields, strict=True)):
            if number % 500 == 0:
                check()
            rows.append(self._margin(texts))
        return np.array(rows, dtype=np.float64).reshape(len(rows), -1)

    def _margin(self, texts: Sequence[str]) -> FloatArray:
        total, offset = self.intercept.astype(np.float64), 0
        for vocabulary, text in zip(self.vocabularies, texts, strict=True):
            indices, values = vocabulary.vector(text)
            total = total + self.coefficients[:, indices + offset] @ values.astype(np.float64)
            offset += len(vocabulary)
        return total

    def probabilities(self, margins: FloatArray) -> FloatArray:
        """Scores as everywhere: [rows, labels], or [rows] values for regression."""
        if self.problem.type is ProblemType.REGRESSION:
            return margins[:, 0]
        scaled = self.scale * margins + self.shift
        if self.problem.type is ProblemType.MULTI_LABEL:
            return 1 / (1 + np.exp(-scaled))
        powers = np.exp(scaled - scaled.max(axis=1, keepdims=True))
        return np.asarray(powers / powers.sum(axis=1, keepdims=True))

    def calibrate(self, margins: FloatArray, targets: FloatArray) -> None:
        """Choose the scale (and for many labels the shift) under which the scores are the most likely as probabilities.

        The order of the scores of a single-label answer does not change.
        """
        if self.problem.type is ProblemType.REGRESSION:
            return
        shifts = np.linspace(-2, 2, 17) if self.problem.type is ProblemType.MULTI_LABEL else [0.0]
        candidates = [(scale, shift) for scale in np.geomspace(0.25, 16, 37) for shift in shifts]
        self.scale, self.shift = min(candidates, key=lambda pair: self._loss_with(pair, margins, targets))

    def _loss_with(self, candidate: tuple[float, float], margins: FloatArray, targets: FloatArray) -> float:
        self.scale, self.shift = (float(value) for value in candidate)
        scores = np.clip(self.probabilities(margins), 1e-9, 1 - 1e-9)
        if self.problem.type is ProblemType.MULTI_LABEL:
            return float(-np.where(targets > 0.5, np.log(scores), np.log1p(-scores)).mean())
        return float(-np.log(scores[np.arange(len(targets)), targets.astype(np.int64)]).mean())

    @property
    def parameters(self) -> int:
        return int(self.coefficients.size + self.intercept.size)

    def save(self, folder: Path) -> None:
        from safetensors.numpy import save_file

        tensors = {"coefficients": self.coefficients, "intercept": self.intercept}
        tensors |= {f"idf.{number}": vocabulary.idf for number, vocabulary in enumerate(self.vocabularies)}
        save_file(tensors, folder / "model.safetensors")
        vocabularies = [vocabulary.as_dict() for vocabulary in self.vocabularies]
        files.write_json(folder / "linear.json", {"scale": self.scale, "shift": self.shift, "vocabularies": vocabularies})

    @classmethod
    def load(cls, folder: Path, problem: ColumnProblem) -> "LinearModel":
        from safetensors.numpy import load_file

        tensors, stored = load_file(folder / "model.safetensors"), files.read_json(folder / "linear.json")
        vocabularies = [NgramVocabulary.from_dict(v, tensors[f"idf.{number}"]) for number, v in enumerate(stored["vocabularies"])]
        return cls(problem, vocabularies, tensors["coefficients"], tensors["intercept"], stored["scale"], stored["shift"])


def _features(fields: Sequence[Texts], check: Check) -> tuple[Any, list[NgramVocabulary]]:
    """(sparse [rows, features of all fields], the vocabulary of each)."""
    from scipy.sparse import hstack

    vocabularies = [NgramVocabulary.fit(texts, check) for texts in fields]
    matrices = [vocabulary.matrix(texts, check) for vocabulary, texts in zip(vocabularies, fields, strict=True)]
    return matrices[0] if len(matrices) == 1 else hstack(matrices, format="csr"), vocabularies


def _strength_of(problem: ColumnProblem, matrix: Any, targets: FloatArray, check: Check) -> float:
    if problem.type is not ProblemType.SINGLE_LABEL or len(set(targets.tolist())) == 1:
        return strengths.USUAL
    return strengths.chosen(matrix, targets.astype(np.int64), check)


def _solve(problem: ColumnProblem, matrix: Any, targets: FloatArray, strength: float) -> Solved:
    if problem.type is ProblemType.REGRESSION:
        return _single(_ridge(matrix, targets))
    if problem.type is ProblemType.MULTI_LABEL:
        solved = [_one_against_rest(matrix, targets[:, label] > 0.5, strength) for label in range(problem.outputs)]
        return _single((np.stack([coefficients for coefficients, _ in solved]), np.array([intercept for _, intercept in solved])))
    return _single(_support_vectors(problem, matrix, targets.astype(np.int64), strength))


def _single(solved: Solved) -> Solved:
    coefficients, intercept = solved
    return coefficients.astype(np.float32), intercept.astype(np.float32)


def _support_vectors(problem: ColumnProblem, matrix: Any, targets: FloatArray, strength: float) -> tuple[FloatArray, FloatArray]:
    """Two classes have one margin, shown as its two halves. A label that these rows lack gets a margin out of reach."""
    from sklearn.svm import LinearSVC

    all_coefficients, all_intercepts = np.zeros((problem.outputs, matrix.shape[1])), np.full(problem.outputs, -100.0)
    if len(set(targets.tolist())) == 1:
        all_intercepts[targets[0]] = 1.0
        return all_coefficients, all_intercepts
    model = LinearSVC(C=strength, random_state=0).fit(matrix, targets)
    coefficients, intercept = model.coef_, model.intercept_
    if len(model.classes_) == 2:
        coefficients, intercept = np.concatenate([-coefficients, coefficients]) / 2, np.concatenate([-intercept, intercept]) / 2
    all_coefficients[model.classes_], all_intercepts[model.classes_] = coefficients, intercept
    return all_coefficients, all_intercepts


def _one_against_rest(matrix: Any, flags: FloatArray, strength: float) -> tuple[FloatArray, float]:
    from sklearn.svm import LinearSVC

    if flags.all() or not flags.any():
        return np.zeros(matrix.shape[1]), 1.0 if flags.all() else -1.0
    model = LinearSVC(C=strength, random_state=0).fit(matrix, flags)
    return model.coef_[0], float(model.intercept_[0])


def _ridge(matrix: Any, targets: FloatArray) -> tuple[FloatArray, FloatArray]:
    from sklearn.linear_model import Ridge

    model = Ridge(alpha=1.0, solver="sparse_cg", random_state=0).fit(matrix, targets)
    return model.coef_[None, :], np.array([model.intercept_])
