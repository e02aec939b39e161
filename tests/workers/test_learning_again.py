"""Simple models learn again from the validation rows where test rows are set apart, and may then be recommended."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from attempts import Job

from kargah.contract.results import ModelOutput
from kargah.recipes.problem import ColumnProblem, ProblemType
from kargah.workers.train import recommended

TAUGHT, LATER = [("عالی", "خوب"), ("افتضاح", "بد")], [("محشر", "خوب"), ("مزخرف", "بد")]
SHORT = {"max_steps": 2}


def rows(part: str, words: list[tuple[str, str]], count: int) -> list[tuple[str, str, str]]:
    return [(f"{word} {number}", label, part) for number in range(count) for word, label in words]


def linear_of(tmp_path: Path, parts: list[tuple[str, str, str]]) -> dict[str, Any]:
    columns: dict[str, list[Any]] = {name: [row[place] for row in parts] for place, name in enumerate(("text", "label", "split"))}
    directory, events = Job(tmp_path, "text-classification", columns, spec=SHORT).run()
    model: dict[str, Any] = next(one for one in events[-1].result["models"] if one["name"] == "linear")
    return {**model, "card": (directory.outputs / "linear" / "README.md").read_text()}


def test_words_of_the_validation_rows_alone_are_known_where_test_rows_are_set_apart(tmp_path: Path) -> None:
    model = linear_of(tmp_path, [*rows("train", TAUGHT, 30), *rows("validation", LATER, 15), *rows("test", LATER, 15)])
    assert (model["split"], model["metrics"]["accuracy"]) == ("test", 1.0)
    assert model["validation_value"] < 0.8, "it was measured for the choice before it had learnt them"
    assert 0 < model["validation_error"] < 0.2
    assert "learnt again" in model["card"]


def test_without_test_rows_nothing_is_learnt_from_those_it_is_measured_on(tmp_path: Path) -> None:
    model = linear_of(tmp_path, [*rows("train", TAUGHT, 30), *rows("validation", LATER, 15)])
    assert (model["split"], model["metrics"]["accuracy"]) == ("validation", model["validation_value"])
    assert (model["validation_value"] < 0.8, model["validation_error"]) == (True, None)
    assert "learnt again" not in model["card"]


def test_a_tagger_learns_words_of_the_validation_rows_too(tmp_path: Path) -> None:
    taught, later = [("تهران", "LOC"), ("علی", "PER")], [("شیراز", "LOC"), ("مریم", "PER")]
    parts = [("train", taught, 40), ("validation", later, 20), ("test", later, 20)]
    told = [([word, "است"], [tag, "O"], part) for part, words, count in parts for _ in range(count) for word, tag in words]
    columns: dict[str, list[Any]] = {name: [row[place] for row in told] for place, name in enumerate(("tokens", "ner_tags", "split"))}
    _, events = Job(tmp_path, "token-classification", columns, spec=SHORT).run()
    linear = next(one for one in events[-1].result["models"] if one["name"] == "linear")
    assert (linear["split"], linear["metrics"]["token_accuracy"]) == ("test", 1.0)
    assert linear["validation_error"] is not None
    assert linear["validation_value"] < linear["metrics"][linear["primary_metric"]]


def model(name: str, value: float, error: float | None = None, metric: str = "accuracy") -> ModelOutput:
    facts: dict[str, Any] = {"family": name, "recipe": "tabular", "architecture": name, "parameters": 1, "split": "test", "files": []}
    measured = {"primary_metric": metric, "metrics": {metric: value}, "validation_value": value, "validation_error": error}
    return ModelOutput(name=name, **facts, **measured, train_seconds=1.0, size_bytes=1)


@pytest.mark.parametrize(
    ("models", "chosen"),
    [
        ([model("network", 0.90), model("trees", 0.89, 0.02)], "trees"),
        ([model("network", 0.90), model("trees", 0.87, 0.02)], "network"),
        ([model("network", 0.90), model("trees", 0.89)], "network"),
        ([model("network", 0.88), model("trees", 0.89, 0.02)], "trees"),
        ([model("network", 3.0, metric="mae"), model("trees", 3.1, 0.2, "mae")], "trees"),
        ([model("network", 3.0, metric="mae"), model("trees", 3.3, 0.2, "mae")], "network"),
    ],
)
def test_within_a_standard_error_whoever_has_learnt_again_goes_first(models: list[ModelOutput], chosen: str) -> None:
    metric = models[0].primary_metric
    kind = ProblemType.REGRESSION if metric == "mae" else ProblemType.SINGLE_LABEL
    prepared: Any = SimpleNamespace(problem=ColumnProblem(kind, primary_metric=metric))
    assert recommended(models, prepared) == chosen
