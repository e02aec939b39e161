"""A model of vectors before texts that belong together: see ``recipes.evaluation``."""

from collections.abc import Hashable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from kargah.recipes.embeddings.data import EmbeddingData, scores_by
from kargah.recipes.embeddings.metrics import EmbeddingProblem
from kargah.recipes.embeddings.predict import EmbeddingPredictor
from kargah.recipes.evaluation import Exam, Group, Tick, Told, by_size
from kargah.recipes.labels import number_of
from kargah.recipes.measures import FloatArray
from kargah.recipes.outcomes import ORDER, Outcomes, means
from kargah.recipes.problem import rows_of
from kargah.recipes.runtime import Prepared
from kargah.recipes.table import Table, normaliser_of

_TEXTS_AT_ONCE = 64


@dataclass
class EmbeddingExam(Exam):
    """A question is (anchor, positive, negatives), normalised. All rows are scored together: each anchor is searched in all texts."""

    problem: EmbeddingProblem
    predictor: EmbeddingPredictor = field(kw_only=True)

    def answers(self, questions: list[Any]) -> list[Any]:
        return list(self.predictor.embed(questions))

    def scores(self, tick: Tick) -> FloatArray:
        numbers: dict[str, int] = {}
        sides = [[numbers.setdefault(text, len(numbers)) for text in (anchor, positive)] for anchor, positive, _ in self.questions]
        negatives = [[numbers.setdefault(text, len(numbers)) for text in others] for _, _, others in self.questions]
        texts = list(numbers)
        vectors: dict[int, FloatArray] = {}
        for start in range(0, len(texts), _TEXTS_AT_ONCE):
            tick(len(self.questions) * start // len(texts))
            some = self.answers(texts[start : start + _TEXTS_AT_ONCE])
            vectors.update(zip(range(start, len(texts)), some, strict=False))
        rows, nothing = np.arange(len(self.questions)), np.empty(0, dtype=np.int64)
        anchors, positives = (np.array([side[place] for side in sides], dtype=np.int64) for place in (0, 1))
        data = EmbeddingData(self.problem, self.targets, nothing, nothing, {}, [], texts, anchors, positives, negatives)
        scores = scores_by(data, rows, vectors, lambda: tick(len(rows)))
        tick(len(rows))
        return scores

    def outcomes(self, scores: FloatArray) -> Outcomes:
        if self.problem.kind == "similarity":
            return Outcomes(ORDER, {"target": self.targets, "said": np.asarray(scores, dtype=np.float64)})
        rows = [self.problem.evaluate(self.targets[:1], rows_of([score])).metrics for score in scores]
        names = tuple(rows[0])
        return means(names, [[row[name] or 0.0 for name in names] for row in rows])

    def told(self, place: int, score: Any) -> Told:
        """Where it stood, or how near the two are."""
        if self.problem.kind == "similarity":
            return Told(f"{self.targets[place]:.6g}", f"{score:.6g}", abs(float(score) - float(self.targets[place])))
        rank = int(score[0])
        return Told(self.questions[place][1], f"#{rank}", float(rank - 1), 1 / rank)

    def groups(self) -> list[Group]:
        if self.problem.kind != "similarity":
            return []
        self.grouped_by = "target"
        return by_size(self.targets)


def exam(predictor: EmbeddingPredictor, table: Table) -> EmbeddingExam:
    """Rows without one of the two texts, or without the number that tells how alike they are, are left out."""
    about = predictor.about
    columns, normaliser = about["columns"], normaliser_of(about["normaliser"])
    read = normaliser.apply if normaliser else str
    anchors, positives, *negatives = (
        ["" if cell is None else str(cell) for cell in table.column(column, role)]
        for role in ("anchor", "positive", "negative")
        for column in columns.get(role, [])
    )
    is_similarity = about["problem_type"] == "similarity"
    alike = [number_of(value) for value in table.column(columns["similarity"][0], "similarity")] if is_similarity else [0.0] * table.rows
    usable = [row for row in range(table.rows) if anchors[row].strip() and positives[row].strip() and alike[row] is not None]
    questions = [(read(anchors[row]), read(positives[row]), [read(side[row]) for side in negatives if side[row].strip()]) for row in usable]
    raw, keys = [anchors[row] for row in usable], [(one[0], one[1]) for one in questions]
    problem = EmbeddingProblem(about["problem_type"], about["primary_metric"])
    targets = np.array([alike[row] for row in usable], dtype=np.float64)
    inputs = [f"{anchors[row]}\n{positives[row]}" for row in usable]
    return EmbeddingExam(problem, usable, targets, list(questions), inputs, list[Hashable](keys), raw=raw, predictor=predictor)


def learnt(prepared: Prepared) -> set[Hashable]:
    assert isinstance(prepared, EmbeddingData)
    rows = prepared.train_rows
    pairs = zip(prepared.anchors[rows].tolist(), prepared.positives[rows].tolist(), strict=True)
    return {(prepared.texts[anchor], prepared.texts[positive]) for anchor, positive in pairs}
