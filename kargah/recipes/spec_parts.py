"""Settings that some recipes share, and what is refused of them before the data are read. Neither torch nor numpy here."""

from typing import Any

from kargah.recipes.base import Spec, knob
from kargah.recipes.errors import SettingUnfit


class GrowingSpec(Spec):
    """``new_tokens``: at most so many are learnt from the training texts and added to a base model's own; null: none."""

    new_tokens: int | None = knob(None, group="model", ge=1, le=100_000)


class TaughtSpec(Spec):
    """How much of a teacher's answers is learnt, and how soft they are made. Counts with a teacher only.

    ``distillation_hidden_share``: what the likeness of hidden states counts for beside the loss; 0: they are not compared.
    """

    distillation_temperature: float = knob(2.0, gt=0, le=100)
    distillation_share: float = knob(0.5, ge=0, le=1)
    distillation_hidden_share: float = knob(0.0, ge=0, le=100)


def check_new_tokens(spec: Any, has_base_model: bool) -> None:
    """Raises SettingUnfit where the vectors of new tokens would not be learnt, or there is no vocabulary to add them to."""
    if spec.new_tokens is None:
        return
    frozen = getattr(spec, "frozen_encoder", False) or getattr(spec, "quantization", "none") != "none"
    if not has_base_model or frozen or getattr(spec, "adapter", "none") not in ("auto", "none"):
        raise SettingUnfit(field="spec.new_tokens", setting="new_tokens", value=str(spec.new_tokens), problem="")
