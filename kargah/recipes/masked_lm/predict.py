"""Fill a gap with a model's folder: ``[MASK]`` or ``___`` in a text stands for the word that is asked for."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kargah.kit import files
from kargah.recipes.errors import NoGap
from kargah.recipes.predictor import Input, about
from kargah.recipes.table import normaliser_of
from kargah.recipes.text_inputs import text_of

FILLS = 8
_GAP = re.compile(r"\[MASK\]|<mask>|_{3,}")
Fills = list[dict[str, Any]]


@dataclass
class GapPredictor:
    """``fill``: a text in parts, a gap between each two → fills of the first gap, the likeliest first."""

    about: dict[str, Any]
    fill: Callable[[list[str]], Fills]

    def predict(self, inputs: Sequence[Input]) -> list[dict[str, Any]]:
        """Of several gaps the first is filled. Raises NoGap for a text without one."""
        normaliser = normaliser_of(self.about["normaliser"])
        rows = []
        for index, value in enumerate(inputs):
            parts = _GAP.split(text_of(index, value, "text", [self.about["columns"]["text"]]))
            if len(parts) < 2:
                raise NoGap(field=f"inputs[{index}].text", index=index, mask="[MASK]")
            rows.append([normaliser.apply(part) if normaliser else part for part in parts])
        return [{"fills": self.fill(parts)} for parts in rows]


def load(folder: Path, threads: int) -> GapPredictor:
    """Read any model of this recipe: network or frequencies."""
    told = about(folder)
    if told["family"] == "frequency":
        fills: Fills = files.read_json(folder / "frequency.json")["fills"][:FILLS]
        return GapPredictor(told, lambda _: fills)
    return GapPredictor(told, _network(folder, threads))


def _network(folder: Path, threads: int) -> Callable[[list[str]], Fills]:
    import torch
    from transformers import AutoModelForMaskedLM, AutoTokenizer

    from kargah.recipes.base_models import OFFLINE, quiet

    torch.set_num_threads(threads)
    quiet()
    model = AutoModelForMaskedLM.from_pretrained(folder, use_safetensors=True, **OFFLINE).eval()
    tokenizer: Any = AutoTokenizer.from_pretrained(folder, **OFFLINE)

    def fill(parts: list[str]) -> Fills:
        ids = _around_the_gap(tokenizer(f" {tokenizer.mask_token} ".join(parts), add_special_tokens=False)["input_ids"], tokenizer)
        with torch.inference_mode():
            logits = model(input_ids=torch.tensor([ids])).logits[0, ids.index(tokenizer.mask_token_id)]
        return _named(logits.double().softmax(dim=0), tokenizer)

    return fill


def _around_the_gap(ids: list[int], tokenizer: Any) -> list[int]:
    """As many tokens about the first gap as the model takes, special ones included."""
    room = tokenizer.model_max_length - 2
    gap = ids.index(tokenizer.mask_token_id)
    start = max(0, min(gap - room // 2, len(ids) - room))
    return [tokenizer.cls_token_id, *ids[start : start + room], tokenizer.sep_token_id]


def _named(shares: Any, tokenizer: Any) -> Fills:
    """Special tokens are no answer; of tokens that read alike, one at a word's beginning and one inside it, the likelier stands."""
    found: dict[str, float] = {}
    special = set(tokenizer.all_special_ids)
    for token in shares.argsort(descending=True).tolist():
        text = tokenizer.decode([token]).strip()
        if token not in special and text:
            found.setdefault(text, float(shares[token]))
        if len(found) == FILLS:
            break
    return [{"text": text, "score": score} for text, score in found.items()]
