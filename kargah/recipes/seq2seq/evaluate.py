"""A model that writes before texts with what is to be written of them: see ``recipes.evaluation``."""

from collections.abc import Hashable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from kargah.recipes.evaluation import Exam, Told
from kargah.recipes.measures import FloatArray
from kargah.recipes.outcomes import TEXTS, Outcomes
from kargah.recipes.problem import rows_of
from kargah.recipes.runtime import Prepared
from kargah.recipes.seq2seq.data import Seq2SeqData
from kargah.recipes.seq2seq.metrics import Seq2SeqProblem, Written, character_counts
from kargah.recipes.seq2seq.predict import WritingPredictor
from kargah.recipes.table import Table, normaliser_of

_ROUGE = ("rouge1", "rouge2", "rougeL")


@dataclass
class WritingExam(Exam):
    problem: Seq2SeqProblem
    predictor: WritingPredictor = field(kw_only=True)

    def answers(self, questions: list[Any]) -> list[Any]:
        return [Written(answer["text"]) for answer in self.predictor.predict(questions)]

    def outcomes(self, scores: FloatArray) -> Outcomes:
        """ROUGE is a mean over rows; chrF is of the counts of all rows together."""
        rouge = [[self._figures(place, score)[name] or 0.0 for name in _ROUGE] for place, score in enumerate(scores)]
        counts = [character_counts(score.text, target) for score, target in zip(scores, self.targets, strict=True)]
        return Outcomes(TEXTS, {"means": np.array(rouge), "counts": np.array(counts)}, {"names": list(_ROUGE)})

    def _figures(self, place: int, score: Written) -> dict[str, float | None]:
        return self.problem.evaluate(self.targets[place : place + 1], rows_of([score])).metrics

    def told(self, place: int, score: Written) -> Told:
        """``score`` is ROUGE-L."""
        alike = self._figures(place, score)["rougeL"] or 0.0
        return Told(str(self.targets[place]), score.text, 1 - alike, alike)


def exam(predictor: WritingPredictor, table: Table) -> WritingExam:
    """Rows without one of the two texts are left out."""
    columns, normaliser = predictor.about["columns"], normaliser_of(predictor.about["normaliser"])
    texts, targets = (["" if cell is None else str(cell) for cell in table.column(columns[role], role)] for role in ("source", "target"))
    usable = [row for row, (text, target) in enumerate(zip(texts, targets, strict=True)) if text.strip() and target.strip()]
    read = normaliser.apply if normaliser else str
    asked = [texts[row] for row in usable]
    problem = Seq2SeqProblem(predictor.about["primary_metric"])
    told = rows_of([read(targets[row]) for row in usable])
    return WritingExam(problem, usable, told, list(asked), asked, [read(text) for text in asked], raw=asked, predictor=predictor)


def learnt(prepared: Prepared) -> set[Hashable]:
    assert isinstance(prepared, Seq2SeqData)
    return set(prepared.texts_of(prepared.train_rows)[0])
