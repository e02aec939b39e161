"""Which models the form of a training offers to begin with."""

from typing import Any

from kargah.models.schemas import ModelOut, ModelVersionOut
from kargah.recipes import catalogue
from kargah.web.pages.training import Materials, _bases


def model(title: str, *versions: tuple[str, str]) -> ModelOut:
    """``versions``: (family, architecture)."""
    version: Any = ModelVersionOut.model_construct
    whole: Any = ModelOut.model_construct
    made = [version(id=f"{title}-{number}", family=family, architecture=name) for number, (family, name) in enumerate(versions)]
    built: ModelOut = whole(id=title, title=title, versions=made)
    return built


def test_a_training_may_begin_with_what_was_brought_and_with_a_trained_transformer_of_its_kind() -> None:
    brought = model("brought", ("base", "LlamaForCausalLM"))
    language = model("language", ("ngrams", "kneser-ney"), ("network", "LlamaForCausalLM"))
    labels = model("labels", ("linear", "tfidf-linear"), ("network", "BertForSequenceClassification"))
    small = model("small", ("network", "bag"))
    materials = Materials([], [], [], {}, [], [brought], [language, labels, small, brought])
    offered = {name: [version.id for _, version in _bases(materials, catalogue.get(name))] for name in ("sft", "text-classification")}
    assert offered == {"sft": ["brought-0", "language-1"], "text-classification": ["brought-0", "labels-1"]}
