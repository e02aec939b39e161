"""Which network for how much data (docs/decisions/0030-words-and-answers.md)."""

from dataclasses import dataclass

from kargah.recipes.runtime import Defaults


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


PRESETS = {
    preset.name: preset
    for preset in (
        Preset("bilstm", 96, 96, 1, 0.4, 60_000, 100_000, Defaults(epochs=6, batch_size=16, learning_rate=2e-3)),
        Preset("transformer", 128, 128, 2, 0.2, 8_000, 256, Defaults(epochs=10, batch_size=32, learning_rate=5e-4)),
    )
}

#: For a base model, as its kind is usually fine-tuned.
FINE_TUNING = Defaults(epochs=4, batch_size=16, learning_rate=5e-5)

#: A small set is gone through oftener, so that it is learnt in some hundreds of steps at the least.
_LEAST_STEPS, _MOST_EPOCHS = 600, 40


def epochs_for(preset: Preset, rows: int) -> float:
    steps_an_epoch = max(1, rows // preset.defaults.batch_size)
    return float(min(_MOST_EPOCHS, max(preset.defaults.epochs, -(-_LEAST_STEPS // steps_an_epoch))))
