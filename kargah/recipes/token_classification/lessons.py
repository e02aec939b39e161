"""What a teacher says of the words that a tagger learns from: any model of the same tags."""

from collections.abc import Sequence

from kargah.recipes.distillation import AskedTeacher
from kargah.recipes.measures import FloatArray
from kargah.recipes.problem import rows_of
from kargah.recipes.runtime import Request
from kargah.recipes.table import normaliser_of
from kargah.recipes.token_classification.predict import TagPredictor


def teacher_of(request: Request, words: Sequence[Sequence[str]], labels: Sequence[str]) -> AskedTeacher | None:
    """None without a teacher. It reads words as it always does; its shares [words, labels] come in the order of ``labels``."""

    def ask(predictor: TagPredictor, rows: list[int]) -> list[FloatArray]:
        order = [predictor.problem.labels.index(label) for label in labels]
        normaliser = normaliser_of(predictor.about["normaliser"])
        read = [[normaliser.apply(word) if normaliser else word for word in words[row]] for row in rows]
        return [shares[:, order] for shares in predictor.score(read)]

    return None if request.teacher_model is None else AskedTeacher(request.teacher_model, request, ask, rows_of)
