"""What a teacher thinks beside what it says: an encoder that learns to tell texts or words has its last hidden states compared with the
teacher's, at every step, over the very tokens of that step. They are too much to be kept."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from kargah.engine import devices
from kargah.engine.distilling import Likeness
from kargah.recipes import base_models
from kargah.recipes.distillation import compares_hidden
from kargah.recipes.encoders import VECTORS, Batch, TokenBatches, Transformer
from kargah.recipes.runtime import Decision, Request
from kargah.recipes.spec_parts import TaughtSpec
from kargah.recipes.tokenizing import base_tokenizer


@dataclass(frozen=True)
class HiddenTeacher:
    """``batches``: as the teacher takes them. ``likeness`` learns as a part of the student and is not saved with it."""

    encoder: Transformer
    batches: TokenBatches
    likeness: Likeness

    @classmethod
    def of(cls, encoder: Transformer | None, student: Transformer, batches: TokenBatches, request: Request) -> "HiddenTeacher | None":
        """``batches``: the student's."""
        spec = request.spec
        if encoder is None or request.teacher_model is None:
            return None
        assert isinstance(spec, TaughtSpec)
        likeness = Likeness(_width(student), _width(encoder), spec.distillation_hidden_share)
        student.add_module("likeness", likeness)
        own = replace(batches, tokenizer=base_tokenizer(request.teacher_model, None), first_position=encoder.first_position)
        return cls(encoder, own, likeness)

    def read(self, student: Transformer, batch: Batch, items: Sequence[Any], places: Sequence[int] | None = None) -> tuple[Tensor, Tensor]:
        """(the student's logits, how unlike the hidden states are), both in fp32 and the processor's. ``places``: of the tokens that are
        compared, each counting as much; without, all are, and each sequence counts as much."""
        logits, own = student.read(batch)
        with torch.no_grad():
            told = self.encoder.there(self.batches.collate(items))
        if places is None:
            lengths = torch.tensor([len(ids) for ids, _ in items], device=own.device)
            weights = (1.0 / (len(items) * lengths)).repeat_interleave(lengths)
        else:
            picked = torch.tensor(places, device=own.device)
            own, told, weights = own[picked], told[picked], torch.full((len(places),), 1.0 / max(1, len(places)), device=own.device)
        return logits.to(devices.CPU).float(), self.likeness(own, told, weights).to(devices.CPU)


def encoder_of(request: Request, auto: str) -> Transformer | None:
    """The teacher's, where hidden states are compared; ``auto``: the name of the task's AutoModelFor…. Raises what ``load_model`` does."""
    if request.teacher_model is None or not compares_hidden(request):
        return None
    import transformers

    encoder = Transformer(base_models.load_model(request.teacher_model, getattr(transformers, auto), request.check), VECTORS)
    return encoder.eval().requires_grad_(False)


def teachers_tokenizer(request: Request, normaliser: dict[str, Any] | None, decisions: list[Decision]) -> Any:
    """What a student from scratch takes where hidden states are compared, as transformers has it; else null. Told in ``decisions``."""
    if request.teacher_model is None or not compares_hidden(request):
        return None
    tokenizer = base_tokenizer(request.teacher_model, normaliser)
    decisions[:] = [decision for decision in decisions if decision.name != "vocab_size"]
    decisions.append(Decision("vocab_size", len(tokenizer), "adapted", "why.tokens_of_teacher"))
    return tokenizer


def within(encoder: Transformer | None, batches: TokenBatches, decisions: list[Decision]) -> list[Decision]:
    """Sequences of ``batches`` become no longer than the teacher reads."""
    if encoder is None or batches.max_length <= encoder.longest:
        return decisions
    batches.max_length = encoder.longest
    kept = [decision for decision in decisions if decision.name != "max_length"]
    return [*kept, Decision("max_length", encoder.longest, "adapted", "why.length_of_teacher")]


def _width(encoder: Transformer) -> int:
    return int(encoder.model.config.hidden_size)
