"""Answer questions on texts, told as places in the asker's own text: the same normaliser, windows and threshold as in training."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from kargah.kit import files
from kargah.recipes.errors import InputMissing, InputNotText
from kargah.recipes.predictor import Input, about
from kargah.recipes.question_answering.baselines import LinearReader, NoAnswer
from kargah.recipes.question_answering.reading import Best, found
from kargah.recipes.question_answering.texts import Asked, Passage
from kargah.recipes.table import normaliser_of


@dataclass
class AnswerPredictor:
    """``best``: of each question the best piece of its passage."""

    about: dict[str, Any]
    best: Callable[[list[Asked]], list[Best]]
    threshold: float

    def predict(self, inputs: Sequence[Input]) -> list[dict[str, Any]]:
        asked = [self._asked(index, value) for index, value in enumerate(inputs)]
        if not asked:
            return []
        answers = [asdict(one) for one in found(asked, self.best(asked), self.threshold)]
        return [{"answer": answer.pop("text"), **answer} for answer in answers]

    def _asked(self, index: int, value: Input) -> Asked:
        if not isinstance(value, dict):
            raise InputMissing(field=f"inputs[{index}].context", index=index, missing="context")
        normaliser = normaliser_of(self.about["normaliser"])
        context, question = (self._text(index, value, role) for role in ("context", "question"))
        return Asked(normaliser.apply(question) if normaliser else question, Passage.of(context, normaliser))

    def _text(self, index: int, value: dict[str, Any], role: str) -> str:
        text = value.get(role, value.get(self.about["columns"][role]))
        if text is None:
            raise InputMissing(field=f"inputs[{index}].{role}", index=index, missing=role)
        if not isinstance(text, str):
            raise InputNotText(field=f"inputs[{index}].{role}", index=index)
        return text


def load(folder: Path, threads: int) -> AnswerPredictor:
    """Read any model of this recipe: network, linear or majority."""
    told = about(folder)
    if told["family"] == "network":
        return _network(folder, told, threads)
    model = LinearReader.load(folder) if told["family"] == "linear" else NoAnswer()
    return AnswerPredictor(told, lambda asked: model.best(asked, lambda: None), model.threshold)


def _network(folder: Path, told: dict[str, Any], threads: int) -> AnswerPredictor:
    import torch
    from transformers import AutoModelForQuestionAnswering, AutoTokenizer

    from kargah.recipes.base_models import OFFLINE, quiet
    from kargah.recipes.encoders import SPANS, Transformer
    from kargah.recipes.question_answering.pieces import AnswerPieces
    from kargah.recipes.question_answering.task import Reader

    quiet()
    torch.set_num_threads(threads)
    config = files.read_json(folder / "config.json")
    network = Transformer(AutoModelForQuestionAnswering.from_pretrained(folder, use_safetensors=True, **OFFLINE), SPANS)
    tokenizer = AutoTokenizer.from_pretrained(folder, **OFFLINE)
    pieces = AnswerPieces(tokenizer, tokenizer.model_max_length, network.first_position, config["kargah_stride"])
    reader = Reader(network, pieces, told["longest_answer"])
    return AnswerPredictor(told, lambda asked: reader.best(pieces.encode(asked, lambda: None), lambda: None), config["kargah_threshold"])
