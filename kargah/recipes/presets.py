"""What a preset of a network read word by word is made of, and how often a small set is gone through."""

from dataclasses import dataclass

from kargah.recipes.runtime import Defaults

_MOST_EPOCHS = 40


@dataclass(frozen=True)
class Preset:
    """Sizes and the settings that go with them. ``vocab_size``: atoms of words, or pieces of a trained tokenizer."""

    name: str
    embedding_size: int
    hidden_size: int
    num_layers: int
    dropout: float
    vocab_size: int
    max_length: int
    defaults: Defaults


def epochs_for(preset: Preset, rows: int, least_steps: int) -> float:
    """As many as the preset says, or more: a small set needs more passes for ``least_steps``; at most 40."""
    steps_an_epoch = max(1, rows // preset.defaults.batch_size)
    return float(min(_MOST_EPOCHS, max(preset.defaults.epochs, -(-least_steps // steps_an_epoch))))
