"""A finished model before rows whose answers are known. A recipe whose ``Recipe.evaluates`` is true has a module ``evaluate``::

    exam(predictor, table) -> Exam        the rows that can be asked, with what is right; no scoring yet
    learnt(prepared) -> set               what the model read of the rows that taught it, as ``Exam.keys`` has it

The questions go through the recipe's own ``predict``: what is measured is what is served.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol, Self

import numpy as np

from kargah.recipes.errors import LabelsUnlike
from kargah.recipes.evidence import Measure
from kargah.recipes.measures import FloatArray
from kargah.recipes.outcomes import FLAGS, LABEL, VALUE, Outcomes
from kargah.recipes.predictor import Predictor
from kargah.recipes.problem import ColumnProblem, Problem, ProblemType, rows_of
from kargah.recipes.runtime import Prepared
from kargah.recipes.table import Table

_QUESTIONS_AT_ONCE = 64
#: Told how many rows are answered; raises when the attempt must end.
Tick = Callable[[int], None]


@dataclass(frozen=True)
class Told:
    """A row for people. ``error``: 0 where the answer is right, and the larger the worse. ``score``: how sure the model is, or how good
    the answer is, where either is known."""

    expected: str
    answered: str
    error: float
    score: float | None = None


@dataclass(frozen=True)
class Group:
    """Rows that are told of together, by ``places`` in the exam: those with a label, or whose target lies between two numbers."""

    value: str
    places: list[int]
    low: float | None = None
    high: float | None = None


@dataclass
class Exam(ABC):
    """``rows``: numbers of the table's rows, from 0, ascending; ``questions``, ``targets``, ``inputs`` (for people) and ``keys`` (two
    rows with the same are one to the model) stand beside them. ``raw``: each row's text as it came, null where there is none.
    """

    problem: Problem
    rows: list[int]
    targets: FloatArray
    questions: list[Any]
    inputs: list[str]
    keys: list[Hashable]
    raw: list[str] | None = field(default=None, kw_only=True)

    def keep(self, places: Sequence[int]) -> Self:
        """These rows only."""
        kept: dict[str, Any] = {name: [getattr(self, name)[place] for place in places] for name in ("rows", "questions", "inputs", "keys")}
        raw = None if self.raw is None else [self.raw[place] for place in places]
        return replace(self, targets=self.targets[np.array(places, dtype=np.int64)], raw=raw, **kept)

    def scores(self, tick: Tick) -> FloatArray:
        """Of all rows, as ``problem`` takes them."""
        found: list[Any] = []
        for start in range(0, len(self.questions), _QUESTIONS_AT_ONCE):
            tick(len(found))
            found += self.answers(self.questions[start : start + _QUESTIONS_AT_ONCE])
        tick(len(found))
        return self.joined(found)

    @abstractmethod
    def answers(self, questions: list[Any]) -> list[Any]:
        """One score a question."""

    def joined(self, scores: list[Any]) -> FloatArray:
        return rows_of(scores)

    def outcomes(self, scores: FloatArray) -> Outcomes | None:
        """What is kept of each row to compare this model with others later; null where the figures do not follow from so little."""
        del scores
        return None

    def measure(self, scores: FloatArray, kept: Outcomes | None = None) -> Measure:
        """What costs much is done once; then any rows are measured. ``kept``: the outcomes of these scores, where known already."""
        kept = kept or self.outcomes(scores)
        if kept is not None and kept.tells_all:
            return kept.measure()
        return lambda rows: self.problem.evaluate(self.targets[rows], scores[rows]).metrics

    @abstractmethod
    def told(self, place: int, score: Any) -> Told: ...

    def right(self, scores: FloatArray) -> FloatArray | None:
        """0 or 1 a row, where an answer is right or wrong and nothing between."""
        return None

    def stated(self, scores: FloatArray) -> tuple[FloatArray, FloatArray] | None:
        """(probabilities of the answers given, whether those are right), where the model states any."""
        return None

    def groups(self) -> list[Group]:
        """By what is expected."""
        return []

    #: What ``groups`` part by: label or target.
    grouped_by: str = field(default="label", init=False)


class EvaluateModule(Protocol):
    """The shape of a recipe's ``evaluate`` module."""

    def exam(self, predictor: Any, table: Table) -> Exam: ...

    def learnt(self, prepared: Prepared) -> set[Hashable]: ...


@dataclass
class ColumnExam(Exam):
    """Where the answer is a column's value. Questions go to ``predictor``."""

    problem: ColumnProblem
    predictor: Predictor = field(kw_only=True)

    def answers(self, questions: list[Any]) -> list[Any]:
        answers = self.predictor.predict(questions)
        if self.problem.type is ProblemType.REGRESSION:
            return [answer["value"] for answer in answers]
        return [[answer["scores"].get(label, 0.0) for label in self.problem.labels] for answer in answers]

    def joined(self, scores: list[Any]) -> FloatArray:
        return np.array(scores, dtype=np.float64)

    def told(self, place: int, score: Any) -> Told:
        target = self.targets[place]
        if self.problem.type is ProblemType.REGRESSION:
            return Told(f"{target:.10g}", f"{score:.10g}", abs(float(score) - float(target)))
        if self.problem.type is ProblemType.MULTI_LABEL:
            said, there = self._said(score[None])[0], target > 0.5
            return Told(self._named(there), self._named(said), float((said != there).sum()), float(np.maximum(score, 1 - score).min()))
        best = int(score.argmax())
        sure = float(score[best])
        return Told(self.problem.labels[int(target)], self.problem.labels[best], 0.0 if best == target else sure or 1e-9, sure)

    def _said(self, scores: FloatArray) -> FloatArray:
        """Of several labels those that the answer has, as flags [rows, labels]."""
        told = [set(self.problem.answer(score)["labels"]) for score in scores]
        return np.array([[label in labels for label in self.problem.labels] for labels in told])

    def _named(self, flags: FloatArray) -> str:
        return ", ".join(label for label, flag in zip(self.problem.labels, flags, strict=True) if flag)

    def outcomes(self, scores: FloatArray) -> Outcomes:
        if self.problem.type is ProblemType.REGRESSION:
            return Outcomes(VALUE, {"target": self.targets, "said": scores})
        if self.problem.type is ProblemType.MULTI_LABEL:
            return Outcomes(FLAGS, {"target": self.targets > 0.5, "said": self._said(scores)})
        columns = {"target": self.targets, "said": scores.argmax(axis=1)}
        return Outcomes(LABEL, columns, {"labels": len(self.problem.labels)})

    def right(self, scores: FloatArray) -> FloatArray | None:
        if self.problem.type is ProblemType.SINGLE_LABEL:
            return np.asarray((scores.argmax(axis=1) == self.targets).astype(int))
        if self.problem.type is ProblemType.MULTI_LABEL:
            return np.asarray((self._said(scores) == (self.targets > 0.5)).all(axis=1).astype(int))
        return None

    def stated(self, scores: FloatArray) -> tuple[FloatArray, FloatArray] | None:
        right = self.right(scores)
        if right is None:
            return None
        if self.problem.type is ProblemType.SINGLE_LABEL:
            return scores.max(axis=1), right
        said = self._said(scores)
        return np.where(said, scores, 1 - scores).ravel(), (said == (self.targets > 0.5)).astype(int).ravel()

    def groups(self) -> list[Group]:
        if self.problem.type is ProblemType.REGRESSION:
            self.grouped_by = "target"
            return by_size(self.targets)
        if self.problem.type is ProblemType.MULTI_LABEL:
            members = [np.flatnonzero(self.targets[:, number] > 0.5) for number in range(len(self.problem.labels))]
        else:
            members = [np.flatnonzero(self.targets == number) for number in range(len(self.problem.labels))]
        return [Group(label, places.tolist()) for label, places in zip(self.problem.labels, members, strict=True) if len(places)]


def by_size(values: FloatArray) -> list[Group]:
    """The rows in quarters, by a number of each; fewer parts where many are alike."""
    numbers = np.asarray(values, dtype=np.float64)
    edges = np.unique(np.quantile(numbers, [0.25, 0.5, 0.75])) if len(numbers) else np.empty(0)
    parts = np.searchsorted(edges, numbers, side="left")
    found = []
    for part in np.unique(parts):
        places = np.flatnonzero(parts == part)
        found.append(Group("", places.tolist(), float(numbers[places].min()), float(numbers[places].max())))
    return found


def labels_with(known: Sequence[str], expected: Iterable[str], column: str) -> tuple[str, ...]:
    """The model's labels and then those of the data that it never learnt: what it says there is wrong. Raises LabelsUnlike where it knows
    none of them."""
    there = set(expected)
    fresh = sorted(there - set(known))
    if fresh and not there & set(known):
        raise LabelsUnlike(field="dataset", column=column, known=", ".join(known[:10]), found=", ".join(fresh[:10]))
    return (*known, *fresh)
