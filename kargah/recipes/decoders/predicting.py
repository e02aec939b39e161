"""Answering with a model that writes: what is asked, in which manner, and the text that comes of it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kargah.kit import files
from kargah.recipes.decoders.chat import said
from kargah.recipes.decoders.writing import Manner, written
from kargah.recipes.errors import InputMissing, InputNotText, WritingSettingUnfit
from kargah.recipes.predictor import Input, about
from kargah.recipes.table import normaliser_of
from kargah.text.numbers import parse_number

#: Settings of a question: the least and the most.
LIMITS: dict[str, tuple[float, float]] = {
    "temperature": (0.0, 5.0),
    "top_p": (0.01, 1.0),
    "max_new_tokens": (1, 1024),
    "seed": (0, 2**31 - 1),
}
Write = Callable[[str, Manner], str]


@dataclass
class WritingPredictor:
    """``opening``: a question's texts by role → what the model goes on from. ``manner``: where a question says nothing of it."""

    about: dict[str, Any]
    roles: tuple[str, ...]
    opening: Callable[[dict[str, str]], str]
    write: Write
    manner: Manner

    def predict(self, inputs: Sequence[Input]) -> list[dict[str, Any]]:
        asked = [(self._texts(index, value), self._manner(index, value)) for index, value in enumerate(inputs)]
        return [{"text": self.write(self.opening(texts), manner)} for texts, manner in asked]

    def _texts(self, index: int, value: Input) -> dict[str, str]:
        """The first role must be there; all by role, or by the name of the column that was learnt from."""
        given = {self.roles[0]: value} if isinstance(value, str) else value
        if not isinstance(given, dict):
            raise InputNotText(field=f"inputs[{index}]", index=index)
        normaliser, texts = normaliser_of(self.about["normaliser"]), {}
        for role in self.roles:
            text = given.get(role, given.get(self.about["columns"].get(role, role)))
            if text is None and role == self.roles[0]:
                raise InputMissing(field=f"inputs[{index}].{role}", index=index, missing=role)
            if text is not None and not isinstance(text, str):
                raise InputNotText(field=f"inputs[{index}].{role}", index=index)
            if text:
                texts[role] = normaliser.apply(text) if normaliser else text
        return texts

    def _manner(self, index: int, value: Input) -> Manner:
        chosen = {
            name: _number(index, name, value[name]) for name in LIMITS if isinstance(value, dict) and value.get(name) not in (None, "")
        }
        whole = {name: int(number) if name in ("max_new_tokens", "seed") else number for name, number in chosen.items()}
        return Manner(**{**vars(self.manner), **whole})


def _number(index: int, name: str, value: Any) -> float:
    number = float(value) if isinstance(value, int | float) else parse_number(str(value))
    low, high = LIMITS[name]
    if number is None or not low <= number <= high:
        raise WritingSettingUnfit(field=f"inputs[{index}].{name}", index=index, name=name, low=low, high=high, value=str(value)[:40])
    return number


def load_writer(folder: Path, threads: int) -> tuple[dict[str, Any], Any, Write]:
    """(kargah.json, tokenizer, what writes): a network, or the n-grams that stand beside it."""
    from transformers import AutoTokenizer

    told = about(folder)
    tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=False, local_files_only=True)
    if told["family"] == "ngrams":
        from kargah.recipes.decoders.ngrams import NgramModel

        ngrams = NgramModel.load(folder)
        return told, tokenizer, lambda opening, manner: ngrams.written(tokenizer, opening, manner.max_new_tokens, manner.seed)
    return told, tokenizer, _network(folder, tokenizer, threads)


def load_answerer(folder: Path, threads: int) -> WritingPredictor:
    """Of models that talk: a prompt, and what the system says before it, in the form of the tokenizer's own template."""
    told, tokenizer, write = load_writer(folder, threads)

    def opening(texts: dict[str, str]) -> str:
        system = [{"role": "system", "content": texts["system"]}] if "system" in texts else []
        return said(tokenizer, [*system, {"role": "user", "content": texts.get("prompt", "")}], asks=True)

    return WritingPredictor(told, ("prompt", "system"), opening, write, Manner())


def _network(folder: Path, tokenizer: Any, threads: int) -> Write:
    import torch
    from transformers import AutoModelForCausalLM

    from kargah.recipes.base_models import OFFLINE, quiet

    quiet()
    torch.set_num_threads(threads)
    model = AutoModelForCausalLM.from_pretrained(folder, use_safetensors=True, dtype=torch.float32, **OFFLINE)
    stored = (
        files.read_json(folder / "generation_config.json").get("eos_token_id") if (folder / "generation_config.json").exists() else None
    )
    stop = stored if isinstance(stored, list) else [] if stored is None else [stored]
    return lambda opening, manner: written(model, tokenizer, opening, manner, stop)
