"""What a teacher says of the words that a tagger learns from: any model of the same tags, asked once."""

from kargah.recipes.distillation import AT_ONCE, Lessons, softened
from kargah.recipes.predictor import load_predictor
from kargah.recipes.runtime import Request
from kargah.recipes.table import normaliser_of
from kargah.recipes.token_classification.data import TagData
from kargah.recipes.token_classification.predict import TagPredictor
from kargah.recipes.token_classification.spec import TokenClassificationSpec


def lessons_of(data: TagData, request: Request) -> Lessons | None:
    """None without a teacher. It reads words as it always does, and tells its tags in its own order."""
    import torch

    spec = request.spec
    assert isinstance(spec, TokenClassificationSpec)
    if request.teacher_model is None:
        return None
    teacher = load_predictor(request.teacher_model, request.threads)
    assert isinstance(teacher, TagPredictor)
    order = [teacher.problem.labels.index(label) for label in data.problem.labels]
    normaliser = normaliser_of(teacher.about["normaliser"])
    rows, soft = data.words_of(data.train_rows), []
    for start in range(0, len(rows), AT_ONCE):
        request.check()
        read = [[normaliser.apply(word) if normaliser else word for word in row] for row in rows[start : start + AT_ONCE]]
        told = (softened(shares[:, order], spec.distillation_temperature, independent=False) for shares in teacher.score(read))
        soft += [torch.from_numpy(shares) for shares in told]
    return Lessons(soft, spec.distillation_temperature, spec.distillation_share, independent=False)
