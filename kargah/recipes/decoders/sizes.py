"""Sizes of decoders from scratch, and the settings that go with them (docs/decisions/0031-decoders.md)."""

from dataclasses import dataclass, replace

from kargah.recipes.runtime import Defaults


@dataclass(frozen=True)
class Size:
    name: str
    hidden_size: int
    num_layers: int
    vocab_size: int
    max_length: int
    dropout: float
    defaults: Defaults


SIZES = {
    size.name: size
    for size in (
        Size("tiny", 128, 2, 4_000, 512, 0.1, Defaults(epochs=8, batch_size=2, learning_rate=2e-3, early_stopping_patience=2)),
        Size("small", 256, 4, 8_000, 512, 0.1, Defaults(epochs=6, batch_size=4, learning_rate=1e-3, early_stopping_patience=2)),
        Size("medium", 512, 8, 16_000, 1024, 0.1, Defaults(epochs=3, batch_size=8, learning_rate=6e-4, early_stopping_patience=1)),
    )
}
FULL = Defaults(epochs=3, batch_size=8, learning_rate=5e-5, early_stopping_patience=1)
ADAPTED = Defaults(epochs=3, batch_size=8, learning_rate=2e-4, early_stopping_patience=1)
#: To prefer is a smaller step than to learn to answer, and quicker overdone.
GENTLE = Defaults(epochs=2, batch_size=8, learning_rate=1e-5)
GENTLE_ADAPTED = Defaults(epochs=2, batch_size=8, learning_rate=5e-5)
#: A base model of fewer parameters takes ten times the rates of large ones.
SMALL_PARAMETERS = 20_000_000
#: A base model of more parameters is adapted unless one asks for all of it: its moments alone would be twice its weights.
FULL_PARAMETERS = 100_000_000
_TINY_CHARACTERS, _SMALL_CHARACTERS = 2_000_000, 50_000_000


def for_base(defaults: Defaults, parameters: int) -> Defaults:
    return replace(defaults, learning_rate=10 * defaults.learning_rate) if parameters < SMALL_PARAMETERS else defaults


def for_text(characters: int) -> Size:
    """By how much there is to learn from."""
    name = "tiny" if characters < _TINY_CHARACTERS else "small" if characters < _SMALL_CHARACTERS else "medium"
    return SIZES[name]
