"""A model of a table before rows with known targets: see ``recipes.evaluation``."""

from collections.abc import Hashable
from dataclasses import replace
from typing import Any

import numpy as np

from kargah.recipes.evaluation import ColumnExam, labels_with
from kargah.recipes.labels import numbers_of
from kargah.recipes.problem import ProblemType
from kargah.recipes.runtime import Prepared
from kargah.recipes.table import Table, as_label, normaliser_of
from kargah.recipes.tabular.data import Encoded, Feature, encode
from kargah.recipes.tabular.predict import TablePredictor
from kargah.recipes.tabular.train import TableData

Row = dict[str, Any]


def exam(predictor: TablePredictor, table: Table) -> ColumnExam:
    """Rows without a target, or with a word where a feature is a number, are left out."""
    target, features = predictor.about["columns"]["target"], predictor.features
    columns = {feature.name: table.column(feature.name, "features") for feature in features}
    problem, raw = predictor.problem, table.column(target, "target")
    told: list[Any] = list(numbers_of(raw)) if problem.type is ProblemType.REGRESSION else [as_label(value) for value in raw]
    rows = [dict(zip(columns, cells, strict=True)) for cells in zip(*columns.values(), strict=True)]
    usable = [row for row, value in enumerate(told) if value is not None and _can_be_asked(features, rows[row])]
    answers = [told[row] for row in usable]
    if problem.type is not ProblemType.REGRESSION:
        labels = labels_with(problem.labels, answers, target)
        problem = replace(problem, labels=labels)
        places = {label: number for number, label in enumerate(labels)}
        answers = [places[answer] for answer in answers]
    asked = [rows[row] for row in usable]
    inputs = [" · ".join(f"{name}={'' if value is None else value}" for name, value in row.items()) for row in asked]
    targets = np.array(answers, dtype=np.float64 if problem.type is ProblemType.REGRESSION else np.int64)
    return ColumnExam(problem, usable, targets, asked, inputs, _keys(predictor, asked), predictor=predictor)


def _can_be_asked(features: list[Feature], row: Row) -> bool:
    measures = [feature for feature in features if feature.kind == "number"]
    return all(row[each.name] in (None, "") or each.number_of(row[each.name]) is not None for each in measures)


def _keys(predictor: TablePredictor, rows: list[Row]) -> list[Hashable]:
    normaliser = normaliser_of(predictor.about["normaliser"])
    columns = {
        feature.name: [normaliser.apply(row[feature.name]) if normaliser and isinstance(row[feature.name], str) else row[feature.name]
                       for row in rows]
        for feature in predictor.features
    }  # fmt: skip
    return list(_told(encode(predictor.features, columns, len(rows))))


def _told(encoded: Encoded) -> list[Hashable]:
    """All that a model sees of each row."""
    return [row.tobytes() for row in encoded.for_trees()]


def learnt(prepared: Prepared) -> set[Hashable]:
    assert isinstance(prepared, TableData)
    return set(_told(prepared.encoded.rows(prepared.train_rows)))
