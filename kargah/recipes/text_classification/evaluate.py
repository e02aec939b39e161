"""A text classifier before rows with labels: see ``recipes.evaluation``."""

from collections.abc import Hashable
from dataclasses import replace
from typing import Any

import numpy as np

from kargah.recipes.evaluation import ColumnExam, labels_with
from kargah.recipes.labels import as_flags, label_sets, numbers_of
from kargah.recipes.predictor import Predictor
from kargah.recipes.problem import ColumnProblem, ProblemType
from kargah.recipes.runtime import Prepared
from kargah.recipes.table import Table, normaliser_of
from kargah.recipes.text_classification.data import TextData


def exam(predictor: Predictor, table: Table) -> ColumnExam:
    """Rows without a text or a label are left out."""
    about = predictor.about
    columns = {role: column for role, column in about["columns"].items() if role != "label"}
    fields = [["" if value is None else str(value) for value in table.column(column, role)] for role, column in columns.items()]
    problem, targets = _targets(about, table)
    usable = [row for row, target in enumerate(targets) if target is not None and fields[0][row].strip()]
    problem, told = _numbered(problem, [targets[row] for row in usable], ", ".join(about["columns"]["label"]))
    texts = [tuple(texts[row] for texts in fields) for row in usable]
    normaliser = normaliser_of(about["normaliser"])
    return ColumnExam(
        problem, usable, told, [dict(zip(columns, row, strict=True)) for row in texts], ["\n".join(row) for row in texts],
        [tuple(normaliser.apply(text) for text in row) if normaliser else row for row in texts],
        raw=["\n".join(row) for row in texts], predictor=predictor,
    )  # fmt: skip


def _targets(about: dict[str, Any], table: Table) -> tuple[ColumnProblem, list[Any]]:
    """The labels, or the number, of each row; None where there is none."""
    problem, names = ColumnProblem.from_dict(about), list(about["columns"]["label"])
    raw = [table.column(name, "label") for name in names]
    if problem.type is ProblemType.REGRESSION:
        return problem, list(numbers_of(raw[0]))
    return problem, list(label_sets(raw, names, problem.type, about["spec"].get("label_separator")))


def _numbered(problem: ColumnProblem, targets: list[Any], column: str) -> tuple[ColumnProblem, Any]:
    if problem.type is ProblemType.REGRESSION:
        return problem, np.array(targets, dtype=np.float64)
    labels = labels_with(problem.labels, (label for row in targets for label in row), column)
    fresh = len(labels) - len(problem.labels) if problem.thresholds else 0
    problem = replace(problem, labels=labels, thresholds=(*problem.thresholds, *[problem.threshold] * fresh))
    if problem.type is ProblemType.MULTI_LABEL:
        return problem, as_flags(targets, labels)
    places = {label: number for number, label in enumerate(labels)}
    return problem, np.array([places[row[0]] for row in targets], dtype=np.int64)


def learnt(prepared: Prepared) -> set[Hashable]:
    assert isinstance(prepared, TextData)
    return set(zip(*prepared.texts_of(prepared.train_rows), strict=True))
