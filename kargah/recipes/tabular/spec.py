"""Learn one column of a table from the others: numbers, categories and short texts."""

from typing import Literal

from kargah.recipes import hints
from kargah.recipes.base import AUTO, SPLIT, Match, Question, Recipe, Role, Roles, Spec, knob
from kargah.recipes.columns import Column, ColumnKind


class TabularSpec(Spec):
    """``log_target`` learns the logarithm of the target; ``auto`` does so for positive targets with a heavy right tail."""

    problem_type: Literal["auto", "classification", "regression"] = knob(AUTO, group="data")
    log_target: Literal["auto", "yes", "no"] = knob(AUTO, group="data")
    hidden_size: int | None = knob(None, group="model", ge=4, le=4096)
    num_layers: int | None = knob(None, group="model", ge=1, le=12)
    dropout: float | None = knob(None, group="model", ge=0, lt=1)
    class_weights: Literal["none", "balanced"] = knob("none", group="training")
    primary_metric: Literal["auto", "accuracy", "macro_f1", "weighted_f1", "mae", "rmse", "r2"] = knob(AUTO, group="evaluation")


def guess(columns: list[Column]) -> Match | None:
    """The target is the column named so, or else the last one that can be learnt; features are all others but identifiers."""
    usable = [column for column in columns if column.distinct > 1 and column.kind is not ColumnKind.EMPTY]
    targets = [column for column in usable if hints.holds_classes(column) or hints.holds_numbers(column)]
    if len(usable) < 2 or not targets:
        return None
    target, why = _target(targets)
    features = [column for column in usable if column is not target and _is_feature(column)]
    if not features:
        return None
    problem_type = "classification" if hints.holds_classes(target) else "regression"
    reasons = ((why, {"column": target.name}), (f"guess.problem.{problem_type}", {"column": target.name, "distinct": target.distinct}))
    roles: dict[str, str | list[str]] = {"target": target.name, "features": [column.name for column in features]}
    return Match(_score(features, why), roles, reasons, {"problem_type": problem_type})


def _is_feature(column: Column) -> bool:
    return column.kind is not ColumnKind.LIST and not hints.is_identifier(column)


def _target(targets: list[Column]) -> tuple[Column, str]:
    exact = [column for column in targets if hints.named_exactly(column, "target")]
    named = exact or [column for column in targets if hints.named(column, "target")]
    return (named[-1], "guess.target_named") if named else (targets[-1], "guess.target_last")


def _score(features: list[Column], why: str) -> float:
    """Numbers and categories speak for a table; long texts among the features speak for another task."""
    tabular = sum(not hints.holds_text(column) for column in features) / len(features)
    return round(0.15 + 0.55 * tabular + 0.1 * (why == "guess.target_named"), 3)


def asked_features(columns: Roles) -> list[Question]:
    features = columns.get("features") or []
    names = [features] if isinstance(features, str) else features
    return [Question(name, long=False, is_column=True, required=False) for name in names]


RECIPE = Recipe(
    name="tabular",
    spec=TabularSpec,
    roles=(Role("target"), Role("features", required=False, many=True), SPLIT),
    target="target",
    runtime="kargah.recipes.tabular",
    guess=guess,
    questions=asked_features,
    pipeline_tags={"": "tabular-classification", "regression": "tabular-regression"},
    evaluates=True,
    gains_by_gpu=lambda _spec, _has_base_model: False,
)
