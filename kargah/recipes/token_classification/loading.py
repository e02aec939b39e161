"""A trained tagger from its folder."""

from pathlib import Path
from typing import Any

from kargah.recipes.base_models import OFFLINE, quiet
from kargah.recipes.encoders import TOKENS, Transformer
from kargah.recipes.token_classification.network import ARCHITECTURE, WordBatches, WordTagger
from kargah.recipes.token_classification.pieces import PieceBatches
from kargah.recipes.token_classification.task import TagModel


def load_model(folder: Path, config: dict[str, Any]) -> TagModel:
    if config["architectures"] == [ARCHITECTURE]:
        return TagModel(WordTagger.load(folder, config), WordBatches.load(folder))
    from transformers import AutoModelForTokenClassification, AutoTokenizer

    quiet()
    network = Transformer(AutoModelForTokenClassification.from_pretrained(folder, use_safetensors=True, **OFFLINE), TOKENS)
    tokenizer = AutoTokenizer.from_pretrained(folder, **OFFLINE)
    return TagModel(network, PieceBatches(tokenizer, tokenizer.model_max_length, network.first_position))
