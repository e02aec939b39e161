"""What a table is for, guessed from its columns: on the shared data sets, as far as this machine has them."""

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from kargah.recipes import catalogue
from kargah.recipes.columns import Column, ColumnKind, LabelCount, Meaning
from kargah.recipes.tabular.data import Feature


def column(name: str, kind: str, rows: int, distinct: int, mean_length: float = 4.0, top: tuple[str, ...] = ()) -> Column:
    counts = [LabelCount(value=value, count=rows // len(top)) for value in top]
    return Column(name=name, kind=ColumnKind(kind), rows=rows, distinct=distinct, mean_length=mean_length, top=counts)


CASES: list[tuple[str, list[Column], str, dict[str, Any], str]] = [
    (
        "deepsentipers",
        [column("text", "text", 5561, 5468, 90), column("label", "integer", 5561, 5, 1.2, ("-2", "-1", "0", "1", "2"))],
        "text-classification",
        {"text": "text", "label": "label"},
        "single_label",
    ),
    (
        "farstail",
        [column("premise", "text", 7266, 3500, 200), column("hypothesis", "text", 7266, 7200, 80), column("label", "category", 7266, 3, 1)],
        "text-classification",
        {"text": "premise", "text_pair": "hypothesis", "label": "label"},
        "single_label",
    ),
    (
        "sst2",
        [column("sentence", "text", 6920, 6900, 100), column("label", "integer", 6920, 2, 1, ("0", "1"))],
        "text-classification",
        {"text": "sentence", "label": "label"},
        "single_label",
    ),
    (
        "churn-fa",
        [
            column("تعداد تماس ناموفق", "integer", 3150, 37),
            column("شکایت", "category", 3150, 2),
            column("نوع طرح", "category", 3150, 2),
            column("سن", "integer", 3150, 5),
            column("ریزش", "category", 3150, 2),
        ],
        "tabular",
        {"target": "ریزش", "features": ["تعداد تماس ناموفق", "شکایت", "نوع طرح", "سن"]},
        "classification",
    ),
    (
        "churn-en",
        [
            column("Call  Failure", "integer", 3150, 37),
            column("Age", "integer", 3150, 5),
            column("Churn", "integer", 3150, 2, 1, ("0", "1")),
        ],
        "tabular",
        {"target": "Churn", "features": ["Call  Failure", "Age"]},
        "classification",
    ),
    (
        "house",
        [
            column("Area", "number", 3479, 243),
            column("Parking", "boolean", 3479, 2),
            column("Address", "category", 3479, 192, 12),
            column("Price", "number", 3479, 902),
            column("Price(USD)", "number", 3479, 902),
        ],
        "tabular",
        {"target": "Price", "features": ["Area", "Parking", "Address", "Price(USD)"]},
        "regression",
    ),
    (
        "line",
        [column("x", "number", 30, 30), column("y", "number", 30, 30)],
        "tabular",
        {"target": "y", "features": ["x"]},
        "regression",
    ),
    (
        "multi-label",
        [column("شناسه", "integer", 500, 500), column("متن", "text", 500, 500, 60), column("برچسب‌ها", "list", 500, 30)],
        "text-classification",
        {"text": "متن", "label": "برچسب‌ها"},
        "multi_label",
    ),
    (
        "scores",
        [column("نظر", "text", 900, 900, 60), column("امتیاز", "number", 900, 400)],
        "text-classification",
        {"text": "نظر", "label": "امتیاز"},
        "regression",
    ),
]


@pytest.mark.parametrize(("columns", "recipe", "roles", "problem"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_the_task_and_the_roles_are_guessed(columns: list[Column], recipe: str, roles: dict[str, Any], problem: str) -> None:
    found, match = catalogue.guess(columns)[0]
    assert found.name == recipe
    assert match.columns == roles
    assert match.spec["problem_type"] == problem
    found.spec.model_validate({**match.spec, "columns": match.columns})


def test_nothing_is_guessed_where_nothing_can_be_learnt() -> None:
    assert catalogue.guess([column("a", "text", 10, 10), column("b", "text", 10, 10)]) == []
    assert catalogue.guess([column("a", "empty", 10, 0), column("b", "integer", 10, 1)]) == []


def test_text_alone_teaches_its_language_and_nothing_else() -> None:
    names = {recipe.name for recipe, _ in catalogue.guess([column("a", "text", 10, 10)])}
    assert "masked-lm" in names
    assert names <= {"causal-lm", "masked-lm"}


DATA = Path(os.environ.get("KARGAH_SHARED_DATA", Path(__file__).parents[4] / "shared" / "data"))
FILES = [
    ("sentiment-deepsentipers/test.csv", ",", "text-classification", "label", "single_label"),
    ("nli-farstail/val.tsv", "\t", "text-classification", "label", "single_label"),
    ("en-sst2/dev.csv", ",", "text-classification", "label", "single_label"),
    ("tabular-churn-ir/churn-fa.csv", ",", "tabular", "ریزش", "classification"),
    ("tabular-churn-ir/churn-en.csv", ",", "tabular", "Churn", "classification"),
    ("tabular-house-tehran/housePrice.csv", ",", "tabular", "Price", "regression"),
]


@pytest.mark.skipif(not DATA.exists(), reason="the shared data sets are not on this machine")
@pytest.mark.parametrize(("path", "delimiter", "recipe", "target", "problem"), FILES)
def test_the_shared_files_are_understood(path: str, delimiter: str, recipe: str, target: str, problem: str) -> None:
    from tests.workers.attempts import described, read_csv

    columns = [described(name, values) for name, values in read_csv(DATA / path, delimiter).items()]
    found, match = catalogue.guess(columns)[0]
    assert found.name == recipe
    assert match.columns["label" if recipe == "text-classification" else "target"] == target
    assert match.spec["problem_type"] == problem


def test_what_a_person_said_of_a_column_decides_its_role() -> None:
    def guessed(**meant: str) -> tuple[str, dict[str, Any]]:
        columns = [
            column("متن", "text", 300, 290, 80),
            column("نوشته", "text", 300, 290, 120),
            column("امتیاز", "integer", 300, 5, 1, ("1", "2", "3", "4", "5")),
            column("کد", "integer", 300, 300, 4),
        ]
        told = [one.model_copy(update={"meant": Meaning(meant[one.name])}) if one.name in meant else one for one in columns]
        recipe, match = catalogue.guess(told)[0]
        return recipe.name, {**match.columns, **match.spec}

    assert guessed() == ("text-classification", {"text": "متن", "label": "امتیاز", "problem_type": "single_label"})
    assert guessed(امتیاز="number")[1]["problem_type"] == "regression"
    assert guessed(متن="identifier")[1]["text"] == "نوشته"
    assert guessed(متن="identifier", نوشته="category")[0] == "tabular"
    assert guessed(متن="identifier", نوشته="category", کد="identifier")[1]["features"] == ["نوشته"]


def test_a_column_of_dates_is_learnt_as_days_of_either_calendar() -> None:
    told = column("روز", "text", 4, 3).model_copy(update={"meant": Meaning.DATE})
    values = ["1403/01/01", "2024-03-21", None, "1402/12/30"]
    feature = Feature.learn("روز", told, values)
    assert feature is not None and feature.is_date
    first, second, *others = feature.numbers(values)
    assert (second - first, np.isnan(others).all()) == (1.0, True)
    assert Feature(**feature.as_dict()) == feature
    unsaid = Feature.learn("روز", told.model_copy(update={"meant": None}), values[:3])
    assert unsaid is not None and unsaid.is_date
    assert Feature.learn("روز", told.model_copy(update={"meant": Meaning.CATEGORY}), values).kind == "category"  # type: ignore[union-attr]
