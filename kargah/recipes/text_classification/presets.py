"""Which network for how much data: the presets that measured best (docs/decisions/0003-default-presets.md)."""

from kargah.recipes.presets import Preset
from kargah.recipes.runtime import Defaults

PRESETS = {
    preset.name: preset
    for preset in (
        Preset("bag", 64, 128, 1, 0.5, 100_000, 100_000, Defaults(epochs=3, batch_size=32, learning_rate=3e-3)),
        Preset("cnn", 128, 96, 1, 0.4, 8_000, 256, Defaults(epochs=6, batch_size=32, learning_rate=1e-3)),
        Preset("bilstm", 128, 96, 1, 0.4, 8_000, 256, Defaults(epochs=6, batch_size=32, learning_rate=2e-3)),
        Preset("transformer", 128, 128, 2, 0.2, 8_000, 256, Defaults(epochs=10, batch_size=32, learning_rate=5e-4)),
    )
}

#: A small set is gone through oftener, to be learnt in so many steps.
LEAST_STEPS = 300

#: For a base model, as its kind is usually fine-tuned.
FINE_TUNING = Defaults(epochs=3, batch_size=16, learning_rate=5e-5)
#: Where only the head learns (docs/decisions/0038-losses-averages-thresholds.md).
FROZEN = Defaults(epochs=20, batch_size=32, learning_rate=3e-3, early_stopping_patience=5)


def default_preset(rows: int) -> str:
    """The bag of subwords measured best at every size tried, up to some 7,000 rows; larger sets were not measured."""
    del rows
    return "bag"
