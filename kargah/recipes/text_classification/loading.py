"""A trained network from its folder."""

from pathlib import Path
from typing import Any

from safetensors.torch import load_file

from kargah.recipes.base_models import OFFLINE, quiet
from kargah.recipes.encoders import TEXTS, Transformer
from kargah.recipes.problem import ColumnProblem
from kargah.recipes.text_classification.encoding import BagEncoding, TokenEncoding, TransformerEncoding
from kargah.recipes.text_classification.model import NetworkConfig, TextNetwork
from kargah.recipes.text_classification.task import TextModel


def load_model(folder: Path, problem: ColumnProblem, config: dict[str, Any]) -> TextModel:
    if config["architectures"] == ["KargahTextNetwork"]:
        return _own(folder, problem, config)
    return _transformer(folder, problem, config)


def _own(folder: Path, problem: ColumnProblem, config: dict[str, Any]) -> TextModel:
    sizes = {name: config[name] for name in NetworkConfig.__dataclass_fields__}
    network = TextNetwork(NetworkConfig(**sizes))
    network.load_state_dict(load_file(folder / "model.safetensors"))
    encoding = BagEncoding.load(folder) if config["preset"] == "bag" else TokenEncoding.load(folder)
    mean, spread = config["scale"]
    return TextModel(problem, network, encoding, config["preset"], (mean, spread))


def _transformer(folder: Path, problem: ColumnProblem, config: dict[str, Any]) -> TextModel:
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    quiet()
    model = AutoModelForSequenceClassification.from_pretrained(folder, use_safetensors=True, **OFFLINE)
    tokenizer = AutoTokenizer.from_pretrained(folder, **OFFLINE)
    network = Transformer(model, TEXTS)
    mean, spread = config["kargah_scale"]
    return TextModel(
        problem,
        network,
        TransformerEncoding(tokenizer, tokenizer.model_max_length, network.first_position),
        network.architecture,
        (mean, spread),
    )
