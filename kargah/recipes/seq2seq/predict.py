"""Write texts with a model's folder: the same normaliser, the same tokenizer, the same way of writing as it was measured with."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kargah.kit import files
from kargah.recipes.predictor import Input, about
from kargah.recipes.seq2seq.baseline import lead
from kargah.recipes.table import normaliser_of
from kargah.recipes.text_inputs import text_of


@dataclass
class WritingPredictor:
    """``write``: normalised texts → what is written of them."""

    about: dict[str, Any]
    write: Callable[[list[str]], list[str]]

    def predict(self, inputs: Sequence[Input]) -> list[dict[str, Any]]:
        normaliser = normaliser_of(self.about["normaliser"])
        texts = [text_of(index, value, "source", ["text", self.about["columns"]["source"]]) for index, value in enumerate(inputs)]
        written = self.write([normaliser.apply(text) if normaliser else text for text in texts]) if texts else []
        return [{"text": text} for text in written]


def load(folder: Path, threads: int) -> WritingPredictor:
    """Read any model of this recipe: network or lead."""
    told = about(folder)
    if told["family"] == "lead":
        words = files.read_json(folder / "lead.json")["words"]
        return WritingPredictor(told, lambda texts: [lead(text, words) for text in texts])
    return WritingPredictor(told, _network(folder, threads))


def _network(folder: Path, threads: int) -> Callable[[list[str]], list[str]]:
    import torch
    from transformers import AutoModelForSeq2SeqLM, AutoTokenizer

    from kargah.recipes.base_models import OFFLINE, quiet
    from kargah.recipes.seq2seq.model import Writer

    torch.set_num_threads(threads)
    quiet()
    model = AutoModelForSeq2SeqLM.from_pretrained(folder, use_safetensors=True, **OFFLINE).eval()
    tokenizer: Any = AutoTokenizer.from_pretrained(folder, **OFFLINE)
    manner = model.generation_config
    return Writer(model, tokenizer, tokenizer.model_max_length, manner.max_new_tokens, manner.num_beams or 1).texts
