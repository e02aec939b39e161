"""Targets as people write them; and the smallest data, which must be refused or learnt, never crash."""

from pathlib import Path

import numpy as np
import pytest

from kargah.kit.errors import KargahError
from kargah.recipes.base import Spec
from kargah.recipes.labels import as_flags, label_sets, numbers_of, ordered
from kargah.recipes.problem import ProblemType
from kargah.recipes.runtime import Request
from kargah.recipes.table import Table
from kargah.recipes.tabular import train as tabular
from kargah.recipes.tabular.spec import TabularSpec
from kargah.recipes.text_classification import train as text
from kargah.recipes.text_classification.spec import TextClassificationSpec


def request_for(recipe: str, spec: Spec, values: dict[str, list[object]]) -> Request:
    table = Table({}, values, len(next(iter(values.values()))))
    return Request(recipe, spec, frozenset(), [table], None, Path(), 1, lambda *args, **params: None, lambda: None)


def test_labels_are_one_whether_written_as_text_or_number_and_stand_in_numeric_order() -> None:
    sets = label_sets([[1, 1.0, "1", " 1 ", "", None, "-2", "10"]], ["label"], ProblemType.SINGLE_LABEL, None)
    assert sets == [("1",)] * 4 + [None, None, ("-2",), ("10",)]
    assert ordered([row for row in sets if row]) == ("-2", "1", "10")


def test_sets_of_labels_come_from_lists_separators_and_columns_of_flags() -> None:
    many = ProblemType.MULTI_LABEL
    assert label_sets([["الف، ب", "ب", None]], ["l"], many, None) == [("الف", "ب"), ("ب",), None]
    assert label_sets([["a/b", "c"]], ["l"], many, "/") == [("a", "b"), ("c",)]
    flags = label_sets([[1, 0, True], ["خیر", "بله", None]], ["الف", "ب"], many, None)
    assert flags == [("الف",), ("ب",), ("الف",)]
    assert as_flags([row for row in flags if row is not None], ("الف", "ب")).tolist() == [[1, 0], [0, 1], [1, 0]]


def test_numbers_are_read_in_persian_too() -> None:
    assert numbers_of(["۱۲٫۵", "۱٬۰۰۰", 3, None, "بد", float("nan")]) == [12.5, 1000.0, 3.0, None, None, None]


@pytest.mark.parametrize("rows", range(2, 9))
def test_the_smallest_data_is_refused_or_learnt_by_every_baseline(rows: int) -> None:
    names = ["الف" if row != 1 else "ب" for row in range(rows)]
    texts = request_for(
        "text-classification", TextClassificationSpec(columns={"text": "t", "label": "l"}), {"t": list("abcdefgh"[:rows]), "l": [*names]}
    )
    table = request_for("tabular", TabularSpec(columns={"target": "l"}), {"x": [*range(rows)], "l": [*names]})
    for recipe, request in ((text, texts), (tabular, table)):
        try:
            prepared = recipe.prepare(request)
        except KargahError as refusal:
            assert refusal.code == "TOO_FEW_ROWS"
            continue
        for fit in recipe.baselines(prepared, request):
            scores = fit().scores(prepared.validation_rows)
            assert np.isfinite(scores).all()
            assert scores.shape == (len(prepared.validation_rows), 2)
