"""A model that writes and teaches another to: asked at every step, since what it says of each token is too much to be kept."""

from dataclasses import dataclass

import torch
from torch import Tensor

from kargah.engine.distilling import Likeness, distilled_cross_entropy
from kargah.engine.packing import Packed
from kargah.recipes import base_models
from kargah.recipes.decoders.model import Decoder
from kargah.recipes.runtime import Request
from kargah.recipes.spec_parts import TaughtSpec


@dataclass(frozen=True)
class Teacher:
    decoder: Decoder
    temperature: float
    share: float
    likeness: Likeness | None

    def loss(self, student: Decoder, batch: Packed, learnt: Tensor) -> Tensor:
        """Of the tokens that are learnt, those that come and what the teacher expects."""
        own, targets, _ = student.packed.known(batch, learnt)
        with torch.no_grad():
            told, _, _ = self.decoder.packed.known(batch, learnt)
        answers = (told, self.decoder.packed.output)
        loss = distilled_cross_entropy(own, student.packed.output, targets, answers, self.temperature, self.share)
        return loss if self.likeness is None else loss + self.likeness(own, told)


def teacher_of(request: Request, student: Decoder) -> Teacher | None:
    """What compares hidden states learns as a part of ``student``, and is not saved with it. Raises what ``load_model`` does."""
    from transformers import AutoModelForCausalLM

    spec = request.spec
    if request.teacher_model is None or not isinstance(spec, TaughtSpec):
        return None
    decoder = Decoder(base_models.load_model(request.teacher_model, AutoModelForCausalLM, request.check)).eval().requires_grad_(False)
    likeness = None
    if spec.distillation_hidden_share:
        widths = [each.model.config.get_text_config().hidden_size for each in (student, decoder)]
        likeness = Likeness(widths[0], widths[1], spec.distillation_hidden_share)
        student.add_module("likeness", likeness)
    return Teacher(decoder, spec.distillation_temperature, spec.distillation_share, likeness)
