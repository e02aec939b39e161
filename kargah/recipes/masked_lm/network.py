"""A transformer that fills gaps, and one that teaches another to."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from kargah.engine import devices
from kargah.engine.distilling import Likeness, distilled, shares_at
from kargah.recipes import base_models
from kargah.recipes.encoders import VECTORS, Item, TokenBatches, Transformer
from kargah.recipes.errors import BaseModelUnusable
from kargah.recipes.masked_lm.spec import MaskedLMSpec
from kargah.recipes.masked_lm.tokens import Tokens
from kargah.recipes.runtime import Request

#: By ``model_type``: logits [tokens, vocabulary] of an encoder's vectors [tokens, width].
HEADS: dict[str, Callable[[Any, Tensor], Tensor]] = {
    "bert": lambda model, vectors: model.cls(vectors),
    "roberta": lambda model, vectors: model.lm_head(vectors),
    "xlm-roberta": lambda model, vectors: model.lm_head(vectors),
    "camembert": lambda model, vectors: model.lm_head(vectors),
    "distilbert": lambda model, vectors: model.vocab_projector(model.vocab_layer_norm(model.activation(model.vocab_transform(vectors)))),
    "electra": lambda model, vectors: model.generator_lm_head(model.generator_predictions(vectors)),
}


class GapFiller(nn.Module):
    """A ``…ForMaskedLM``: of the tokens at ``places`` of a batch, logits [places, vocabulary], where the model is; the others cost none."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        if model.config.model_type not in HEADS:
            raise BaseModelUnusable(field="base_model", reason="family", detail=model.config.model_type)
        self.encoder = Transformer(model, VECTORS)

    def forward(self, batch: Any, places: Tensor) -> Tensor:
        return self.logits(self.vectors(batch, places))

    def vectors(self, batch: Any, places: Tensor) -> Tensor:
        return self.encoder.there(batch)[places.to(devices.of(self))]

    def logits(self, vectors: Tensor) -> Tensor:
        model = self.encoder.model
        return HEADS[model.config.model_type](model, vectors)


def base(request: Request, folder: Path) -> GapFiller:
    """Of a folder. Raises what ``base_models.load_model`` does."""
    from transformers import AutoModelForMaskedLM

    return GapFiller(base_models.load_model(folder, AutoModelForMaskedLM, request.check))


@dataclass(frozen=True)
class Teacher:
    """A finished filler that is asked at every step about the very gaps that the student fills."""

    filler: GapFiller
    batches: TokenBatches
    temperature: float
    share: float
    likeness: Likeness | None

    @classmethod
    def of(cls, filler: GapFiller | None, student: GapFiller, tokens: Tokens, request: Request) -> "Teacher | None":
        """What compares hidden states learns as a part of ``student``, and is not saved with it."""
        spec = request.spec
        assert isinstance(spec, MaskedLMSpec)
        if filler is None:
            return None
        filler.eval().requires_grad_(False)
        likeness = None
        if spec.distillation_hidden_share:
            likeness = Likeness(_width(student), _width(filler), spec.distillation_hidden_share)
            student.add_module("likeness", likeness)
        batches = tokens.batches(filler.encoder.first_position)
        return cls(filler, batches, spec.distillation_temperature, spec.distillation_share, likeness)

    def loss(self, student: GapFiller, vectors: Tensor, wanted: Tensor, items: Sequence[Item], places: Tensor) -> Tensor:
        """``vectors``: the student's at the gaps; ``wanted``: the tokens that stand there."""
        with torch.no_grad():
            told = self.filler.vectors(self.batches.collate(items), places)
            answers = self.filler.logits(told).float()
        logits = student.logits(vectors).float()
        soft = shares_at(answers, self.temperature, logits.shape[1])
        loss = distilled(nn.functional.cross_entropy(logits, wanted.to(logits.device)), logits, soft, self.temperature, self.share)
        return loss if self.likeness is None else loss + self.likeness(vectors, told)


def _width(filler: GapFiller) -> int:
    return int(filler.encoder.model.config.hidden_size)
