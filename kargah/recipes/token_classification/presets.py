"""Which network for how much data (docs/decisions/0030-words-and-answers.md)."""

from kargah.recipes.presets import Preset
from kargah.recipes.runtime import Defaults

PRESETS = {
    preset.name: preset
    for preset in (
        Preset("bilstm", 96, 96, 1, 0.4, 60_000, 100_000, Defaults(epochs=6, batch_size=16, learning_rate=2e-3)),
        Preset("transformer", 128, 128, 2, 0.2, 8_000, 256, Defaults(epochs=10, batch_size=32, learning_rate=5e-4)),
    )
}

#: A small set is gone through oftener, to be learnt in so many steps.
LEAST_STEPS = 600

#: For a base model, as its kind is usually fine-tuned.
FINE_TUNING = Defaults(epochs=4, batch_size=16, learning_rate=5e-5)
