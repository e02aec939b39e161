"""Which models the form of a training offers to begin with."""

from typing import Any

from kargah.models.schemas import ModelOut, ModelVersionOut
from kargah.recipes import catalogue
from kargah.recipes.columns import Column, ColumnKind, LabelCount
from kargah.web.pages import teachers
from kargah.web.pages.training import Materials, _bases
from kargah.web.pages.words import Words


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


def test_teachers_are_models_of_the_task_that_know_the_labels_of_the_data() -> None:
    def version(name: str, family: str, *labels: str, recipe: str = "text-classification") -> ModelVersionOut:
        make: Any = ModelVersionOut.model_construct
        detail = {"classes": [{"label": label} for label in labels]}
        made: ModelVersionOut = make(
            id=name, name=name, family=family, recipe=recipe, detail=detail, primary_metric="accuracy", metrics={"accuracy": 0.875}
        )
        return made

    whole: Any = ModelOut.model_construct
    versions = [
        version("network", "network", "good", "bad"),
        version("linear", "linear", "bad", "good"),
        version("majority", "majority", "good", "bad"),
        version("other", "network", "1", "2"),
        version("table", "trees", "good", "bad", recipe="tabular"),
        version("value", "linear"),
        version("language", "network", recipe="masked-lm"),
        version("frequency", "frequency", recipe="masked-lm"),
    ]
    trained = [whole(id="m", title="Comments", versions=versions)]
    counts = [LabelCount(value="good", count=5), LabelCount(value="bad", count=4)]
    columns = [Column(name="label", kind=ColumnKind.CATEGORY, rows=9, distinct=2, top=counts)]

    def offered(recipe: str, columns: list[Column], chosen: str = "") -> list[tuple[str, str, bool]]:
        found = teachers.options_of(Words("en"), catalogue.get(recipe), trained, columns, {"label": ["label"]}, chosen)
        return [(option.value, option.text, option.chosen) for option in found]

    assert offered("text-classification", columns) == [
        ("network", "Comments · network · Accuracy 0.875", False),
        ("linear", "Comments · linear · Accuracy 0.875", False),
    ]
    assert [value for value, _, _ in offered("text-classification", [])] == ["network", "linear", "other"]
    assert [value for value, _, chosen in offered("text-classification", columns, "other") if chosen] == ["other"]
    assert offered("tabular", columns) == []
    assert [value for value, _, _ in offered("masked-lm", [])] == ["language"]
