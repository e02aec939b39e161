"""Learn a column of a table: the three functions of ``recipes.runtime``."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from kargah.recipes import catalogue, hints
from kargah.recipes.baselines.majority import Majority
from kargah.recipes.baselines.trees import TreesModel
from kargah.recipes.errors import NotNumeric, OneClassOnly, RoleMissing, TooFewRows
from kargah.recipes.labels import decide_kind, numbers_of, ordered
from kargah.recipes.measures import FloatArray
from kargah.recipes.parts import divide, named_parts, require_all, source_decisions, sources_of, split_column
from kargah.recipes.problem import ColumnProblem, ProblemType
from kargah.recipes.runtime import Baseline, Decision, Prepared, Request, Task, given
from kargah.recipes.splits import IntArray, strata_of_numbers
from kargah.recipes.table import as_label, normaliser_of
from kargah.recipes.tabular.data import Encoded, Feature, encode
from kargah.recipes.tabular.spec import RECIPE, TabularSpec

if TYPE_CHECKING:
    from collections.abc import Sequence

_WANTED = {"classification": "single_label", "regression": "regression", "auto": "auto"}
_LEAK = 0.999
BASELINE_LIBRARIES = ("sklearn.ensemble",)


@dataclass
class TableData(Prepared):
    """``encoded``: all rows. ``learnt``: targets in the scale that is learnt (the logarithm where ``log_target``)."""

    problem: ColumnProblem
    features: list[Feature]
    encoded: Encoded
    log_target: bool

    def learnt(self) -> FloatArray:
        return np.log(self.targets) if self.log_target else self.targets

    def told(self, values: FloatArray) -> FloatArray:
        """From the learnt scale back to the target's own; kept inside what doubles can hold."""
        return np.exp(np.clip(values, -700, 700)) if self.log_target else values


def prepare(request: Request) -> TableData:
    """Raises a BadInput for everything that makes learning impossible."""
    spec = request.spec
    assert isinstance(spec, TabularSpec)
    target, names, role_decision = _roles(request)
    columns, raw_target = _values(request, target, names)
    described = request.tables[0].columns.get(target)
    kind, why = decide_kind(_WANTED[spec.problem_type], [described], 1, None, "problem_type" in request.chosen)
    usable, targets, labels, strata = _targets(request, target, kind, raw_target)
    columns = {name: [values[row] for row in usable] for name, values in columns.items()}
    problem = ColumnProblem.of(kind, labels, spec.primary_metric)
    groups, named = [tuple(map(str, row)) for row in zip(*columns.values(), strict=True)], named_parts(request)
    parts = divide(request, named and [named[row] for row in usable], groups, strata)
    if kind is ProblemType.SINGLE_LABEL:
        require_all(targets, parts, labels)
    features = _features(request, columns, parts.train)
    log_target, log_decision = _log_target(request, kind, targets[parts.train])
    names = [feature.name for feature in features]
    describe = {**problem.as_dict(), "columns": {"target": target, "features": names}, "log_target": log_target}
    describe |= {"normaliser": request.tables[0].normaliser, "features": [feature.as_dict() for feature in features]}
    decisions = [role_decision, Decision("problem_type", kind.value, *why), log_decision]
    encoded = encode(features, columns, len(targets))
    sources = sources_of(request, usable)
    decisions += [*parts.decisions, *source_decisions(sources)]
    data = TableData(
        problem, targets, parts.train, parts.validation, describe, decisions, features, encoded, log_target,
        test_rows=parts.test, split_column=parts.column, sources=sources,
    )  # fmt: skip
    _warn_of_leaks(request, data)
    return data


def _roles(request: Request) -> tuple[str, list[str], Decision]:
    """Return (target, features, decision). Features are all other columns where none are named."""
    table, columns = request.tables[0], request.spec.columns
    source, why = ("chosen", "why.chosen") if "columns" in request.chosen else ("adapted", "why.columns_guessed")
    if not columns.get("target"):
        match = catalogue.match_of(RECIPE, list(table.columns.values()))
        if match is None:
            raise RoleMissing(field="spec.columns.target", role="target")
        columns = {**match.columns, **columns}
    learnable = [name for name in table.values if name not in table.columns or not hints.is_split(table.columns[name])]
    target, features = columns["target"], columns.get("features") or learnable
    target = target if isinstance(target, str) else target[0]
    features = [features] if isinstance(features, str) else [name for name in features if name not in (target, split_column(request))]
    if not features:
        raise RoleMissing(field="spec.columns.features", role="features")
    return target, features, Decision("columns", {"target": target, "features": features}, source, why)


def _values(request: Request, target: str, names: list[str]) -> tuple[dict[str, list[Any]], list[Any]]:
    """Raw values of all tables, one after another; text normalised by its own data set's normaliser."""
    columns: dict[str, list[Any]] = {name: [] for name in names}
    targets: list[Any] = []
    for table in request.tables:
        normaliser = normaliser_of(table.normaliser)
        for name in names:
            request.check()
            values = table.column(name, "features")
            columns[name] += [normaliser.apply(value) if normaliser and isinstance(value, str) else value for value in values]
        targets += table.column(target, "target")
    return columns, targets


def _targets(request: Request, target: str, kind: ProblemType, raw: list[Any]) -> tuple[list[int], FloatArray, tuple[str, ...], list[Any]]:
    """Return (the rows that have a target, their targets, labels, strata)."""
    values: Sequence[Any] = numbers_of(raw) if kind is ProblemType.REGRESSION else [as_label(value) for value in raw]
    for row, (value, read) in enumerate(zip(raw, values, strict=True)):
        if read is None and value is not None and str(value).strip():
            raise NotNumeric(field="spec.columns.target", column=target, row=row + 1, value=str(value)[:80])
    usable = [row for row, value in enumerate(values) if value is not None]
    if len(usable) < len(values):
        request.log("train.rows_dropped", level="warning", dropped=len(values) - len(usable), rows=len(values))
    if len(usable) < 2:
        raise TooFewRows(field="datasets", rows=len(usable), needed=2)
    kept = [values[row] for row in usable]
    if kind is ProblemType.REGRESSION:
        numbers = np.array(kept, dtype=np.float64)
        return usable, numbers, (), strata_of_numbers(numbers)
    labels = ordered([(label,) for label in kept])
    if len(labels) < 2:
        raise OneClassOnly(field="spec.columns.target", column=target, label=labels[0])
    indices = np.array([labels.index(label) for label in kept], dtype=np.int64)
    return usable, indices, labels, indices.tolist()


def _features(request: Request, columns: dict[str, list[Any]], train: IntArray) -> list[Feature]:
    described = request.tables[0].columns
    learnt = {name: Feature.learn(name, described.get(name), [values[row] for row in train]) for name, values in columns.items()}
    if idle := [name for name, feature in learnt.items() if feature is None]:
        request.log("train.columns_ignored", columns=", ".join(idle))
    features = [feature for feature in learnt.values() if feature is not None]
    if not features:
        raise RoleMissing(field="spec.columns.features", role="features")
    return features


def _log_target(request: Request, kind: ProblemType, targets: FloatArray) -> tuple[bool, Decision]:
    """``auto``: the logarithm for targets that are all positive and whose mean is far above their median."""
    spec = request.spec
    assert isinstance(spec, TabularSpec)
    possible = kind is ProblemType.REGRESSION and bool((targets > 0).all())
    if spec.log_target != "auto":
        return possible and spec.log_target == "yes", given(request, "log_target")
    ratio = float(targets.mean() / np.median(targets)) if possible else 1.0
    return ratio > 1.3, Decision("log_target", ratio > 1.3, "adapted", "why.log_target", {"ratio": round(ratio, 2)})


def _warn_of_leaks(request: Request, data: TableData) -> None:
    """A column that says the target in other words makes a model that is perfect here and useless later."""
    if data.problem.type is not ProblemType.REGRESSION or len(data.targets) < 20:
        return
    numeric = [feature.name for feature in data.features if feature.kind == "number"]
    for index, name in enumerate(numeric):
        values = data.encoded.numbers[:, index]
        known = np.isfinite(values)
        if known.sum() > 20 and len(numeric) > 1 and abs(_correlation(values[known], data.targets[known])) > _LEAK:
            request.log("train.leaky_column", level="warning", column=name)


def _correlation(first: FloatArray, second: FloatArray) -> float:
    spread = float(first.std() * second.std())
    return float(((first - first.mean()) * (second - second.mean())).mean()) / spread if spread else 0.0


@dataclass
class TreesOnTable:
    """Boosted trees beside the rows they were fitted on."""

    model: TreesModel
    data: TableData
    seed: int
    name: str = "trees"
    family: str = "trees"
    architecture: str = "boosted-trees"

    @classmethod
    def fit(cls, data: TableData, seed: int) -> TreesOnTable:
        rows = data.train_rows
        model = TreesModel.fit(data.problem, data.encoded.rows(rows).for_trees(), data.learnt()[rows], data.encoded.codes.shape[1], seed)
        return cls(model, data, seed)

    def again(self, rows: IntArray) -> TreesOnTable:
        return self.fit(replace(self.data, train_rows=rows), self.seed)

    @property
    def parameters(self) -> int:
        return self.model.parameters

    def scores(self, rows: IntArray) -> FloatArray:
        scores = self.model.scores(self.data.encoded.rows(rows).for_trees())
        return self.data.told(scores) if self.data.problem.type is ProblemType.REGRESSION else scores

    def save(self, folder: Path) -> None:
        self.model.save(folder)


def baselines(prepared: Prepared, request: Request) -> Iterator[Callable[[], Baseline]]:
    assert isinstance(prepared, TableData)
    data = prepared
    yield lambda: Majority.fit(data.problem, data.targets[data.train_rows])
    yield lambda: TreesOnTable.fit(data, request.spec.seed)


def build(prepared: Prepared, request: Request) -> Task:
    from kargah.recipes.tabular.task import build_task

    assert isinstance(prepared, TableData)
    return build_task(prepared, request)


__all__ = ["BASELINE_LIBRARIES", "TableData", "baselines", "build", "prepare"]
