"""A reader before questions with known answers: see ``recipes.evaluation``."""

from collections.abc import Hashable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from kargah.recipes.evaluation import Exam, Group, Told
from kargah.recipes.measures import FloatArray
from kargah.recipes.outcomes import Outcomes, means
from kargah.recipes.problem import rows_of
from kargah.recipes.question_answering.data import AnswerData
from kargah.recipes.question_answering.measuring import AnswersProblem, Found
from kargah.recipes.question_answering.predict import AnswerPredictor
from kargah.recipes.runtime import Prepared
from kargah.recipes.table import Table, normaliser_of

_METRICS = ("f1", "exact_match", "squad_f1", "squad_exact_match")


@dataclass
class AnswerExam(Exam):
    problem: AnswersProblem
    predictor: AnswerPredictor = field(kw_only=True)

    def answers(self, questions: list[Any]) -> list[Any]:
        return [Found(answer["answer"], answer["score"], answer["start"], answer["end"]) for answer in self.predictor.predict(questions)]

    def outcomes(self, scores: FloatArray) -> Outcomes:
        """Every metric is a mean over rows."""
        rows = [self._figures(place, score) for place, score in enumerate(scores)]
        return means(_METRICS, [[row[name] or 0.0 for name in _METRICS] for row in rows])

    def _figures(self, place: int, score: Found) -> dict[str, float | None]:
        return self.problem.evaluate(self.targets[place : place + 1], rows_of([score])).metrics

    def told(self, place: int, score: Found) -> Told:
        error = 1 - (self._figures(place, score)["f1"] or 0.0)
        return Told(" | ".join(dict.fromkeys(self.targets[place])), score.text, error, score.score)

    def right(self, scores: FloatArray) -> FloatArray | None:
        return np.array([int(self._figures(place, score)["exact_match"] == 1) for place, score in enumerate(scores)])

    def groups(self) -> list[Group]:
        """Questions whose text has an answer, and those whose has none."""
        has = np.array([bool(answers) for answers in self.targets])
        parts = {"answerable": np.flatnonzero(has), "unanswerable": np.flatnonzero(~has)}
        return [Group(name, places.tolist()) for name, places in parts.items() if len(places)]


def exam(predictor: AnswerPredictor, table: Table) -> AnswerExam:
    """Rows without a text or a question are left out."""
    columns = predictor.about["columns"]
    cells = list(zip(*(table.column(columns[role], role) for role in ("context", "question", "answers")), strict=True))
    usable = [row for row, (context, question, _) in enumerate(cells) if str(context or "").strip() and str(question or "").strip()]
    questions = [{"context": str(cells[row][0]), "question": str(cells[row][1])} for row in usable]
    targets = rows_of([tuple(text for text in (cells[row][2] or {}).get("text") or [] if text) for row in usable])
    normaliser = normaliser_of(predictor.about["normaliser"])
    read = normaliser.apply if normaliser else str
    keys: list[Hashable] = [(read(one["question"]), read(one["context"])) for one in questions]
    inputs = [f"{one['question']}\n{one['context']}" for one in questions]
    problem = AnswersProblem(predictor.about["primary_metric"])
    return AnswerExam(problem, usable, targets, questions, inputs, keys, raw=inputs, predictor=predictor)


def learnt(prepared: Prepared) -> set[Hashable]:
    assert isinstance(prepared, AnswerData)
    return {(one.question, one.passage.read) for one in prepared.asked_of(prepared.train_rows)}
