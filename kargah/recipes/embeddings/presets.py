"""Sizes and settings by preset, as they measured best (docs/decisions/0032-embeddings-masked-sequences.md)."""

from dataclasses import dataclass

from kargah.recipes.runtime import Defaults


@dataclass(frozen=True)
class Preset:
    """``vocab_size`` of the bag: buckets, each with a weight. Its vectors hold more of TF-IDF the longer they are."""

    name: str
    hidden_size: int
    num_layers: int
    dropout: float
    vocab_size: int
    max_length: int
    defaults: Defaults


PRESETS = {
    preset.name: preset
    for preset in (
        Preset("bag", 1536, 1, 0.1, 131_072, 1_000_000, Defaults(epochs=3, batch_size=64, learning_rate=2e-4)),
        Preset("transformer", 128, 2, 0.1, 8_000, 256, Defaults(epochs=10, batch_size=64, learning_rate=5e-4)),
    )
}

#: For a base model, as its kind is usually fine-tuned.
FINE_TUNING = Defaults(epochs=2, batch_size=32, learning_rate=2e-5)
