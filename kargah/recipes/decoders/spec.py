"""What the specs of all recipes that learn to write share: a decoder's sizes, its tokenizer, and what of a base model is trained."""

from collections.abc import Callable
from typing import Literal

from kargah.recipes.base import AUTO, Question, Roles, Spec, knob

Size = Literal["auto", "tiny", "small", "medium"]
Adapter = Literal["auto", "none", "lora", "dora", "rslora"]


class DecoderSpec(Spec):
    """``size``, ``tokenizer``, ``vocab_size``, ``hidden_size`` and ``num_layers`` count only when starting from scratch; adapters only
    with a base model."""

    size: Size = knob(AUTO, basic=True, group="model")
    tokenizer: Literal["bpe", "unigram"] = knob("bpe", group="model")
    vocab_size: int | None = knob(None, group="model", ge=300, le=1_000_000)
    hidden_size: int | None = knob(None, group="model", ge=8, le=4096)
    num_layers: int | None = knob(None, group="model", ge=1, le=48)
    max_length: int | None = knob(None, basic=True, group="model", ge=8, le=32_768)
    dropout: float | None = knob(None, group="model", ge=0, lt=1)
    adapter: Adapter = knob(AUTO, basic=True, group="model")
    lora_rank: int = knob(16, group="model", ge=1, le=1024)
    lora_alpha: float | None = knob(None, group="model", gt=0, le=4096)
    lora_dropout: float = knob(0.0, group="model", ge=0, lt=1)
    keep_adapter: bool = knob(False, group="model")
    quantization: Literal["none", "4bit"] = knob("none", group="hardware")
    precision: Literal["auto", "fp32", "bf16"] = knob(AUTO, group="hardware")
    compile: bool = knob(False, group="hardware")


def writing_questions(*texts: Question) -> Callable[[Roles], list[Question]]:
    """The texts, and how the answer is to be written."""
    manner = [Question(name, long=False, required=False) for name in ("max_new_tokens", "temperature", "top_p")]
    return lambda _: [*texts, *manner]
