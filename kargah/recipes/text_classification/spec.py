"""Classify, or score, one text or a pair of texts."""

from typing import Literal

from kargah.recipes import hints
from kargah.recipes.base import AUTO, SPLIT, Match, Recipe, Role, asked_roles, knob
from kargah.recipes.columns import Column, ColumnKind
from kargah.recipes.errors import SettingUnfit
from kargah.recipes.spec_parts import GrowingSpec, TaughtSpec, check_new_tokens

Preset = Literal["auto", "bag", "cnn", "bilstm", "transformer"]
ProblemType = Literal["auto", "single_label", "multi_label", "regression"]


class TextClassificationSpec(TaughtSpec, GrowingSpec):
    """``preset`` counts only when starting from scratch; with a base model the architecture is the base's. ``focal_gamma`` counts with the
    focal loss only.

    ``frozen_encoder``: of a base model only the head learns. ``label_thresholds``: of several labels, from which score on each is said.
    """

    preset: Preset = knob(AUTO, basic=True, group="model")
    frozen_encoder: bool = knob(False, basic=True, group="model")
    problem_type: ProblemType = knob(AUTO, group="data")
    label_separator: str | None = knob(None, group="data", max_length=8)
    max_length: int | None = knob(None, group="model", ge=4, le=8192)
    vocab_size: int | None = knob(None, group="model", ge=100, le=1_000_000)
    hidden_size: int | None = knob(None, group="model", ge=8, le=4096)
    num_layers: int | None = knob(None, group="model", ge=1, le=48)
    dropout: float | None = knob(None, group="model", ge=0, lt=1)
    precision: Literal["auto", "fp32", "bf16"] = knob(AUTO, group="hardware")
    compile: bool = knob(False, group="hardware")
    class_weights: Literal["none", "balanced"] = knob("none", group="training")
    loss: Literal["cross_entropy", "focal"] = knob("cross_entropy", group="training")
    focal_gamma: float = knob(2.0, group="training", gt=0, le=10)
    label_smoothing: float = knob(0.0, group="training", ge=0, lt=1)
    label_thresholds: Literal["half", "per_label"] = knob("half", group="evaluation")
    primary_metric: Literal["auto", "accuracy", "macro_f1", "weighted_f1", "micro_f1", "mae", "rmse", "r2"] = knob(AUTO, group="evaluation")


def guess(columns: list[Column]) -> Match | None:
    """Texts are the columns of free text; the label is the column that is named so, or else the one that holds classes."""
    texts = [column for column in columns if hints.holds_text(column) and not hints.named_exactly(column, "label")]
    if not texts:
        return None
    label = _label(columns, texts)
    if label is None:
        return None
    first, second = _pair(texts)
    roles: dict[str, str | list[str]] = {"text": first.name, "label": label.name}
    reasons: list[tuple[str, dict[str, object]]] = [("guess.text_column", {"column": first.name})]
    reasons.append(("guess.label_column", {"column": label.name}))
    if second is not None:
        roles["text_pair"] = second.name
        reasons.append(("guess.pair_columns", {"first": first.name, "second": second.name}))
    problem_type = _problem_type(label)
    reasons.append((f"guess.problem.{problem_type}", {"column": label.name, "distinct": label.distinct}))
    return Match(_score(columns, first, label), roles, tuple(reasons), {"problem_type": problem_type})


def _label(columns: list[Column], texts: list[Column]) -> Column | None:
    names = {column.name for column in texts}  # there may be thousands, and to compare columns whole is slow
    others = [column for column in columns if column.name not in names and not hints.is_identifier(column) and column.distinct > 1]
    usable = [c for c in others if c.kind is ColumnKind.LIST or hints.holds_classes(c) or hints.holds_numbers(c)]
    ranked = sorted(usable, key=_label_rank, reverse=True)
    return ranked[0] if ranked else None


def _label_rank(column: Column) -> tuple[bool, bool, bool]:
    return hints.named_exactly(column, "label"), hints.named(column, "label") or hints.named(column, "score"), hints.holds_classes(column)


def _pair(texts: list[Column]) -> tuple[Column, Column | None]:
    """Two texts are a pair when their names say so, or when there are just two and neither is the other's title."""
    firsts = [column for column in texts if hints.named(column, "first")]
    seconds = [column for column in texts if hints.named(column, "second")]
    if seconds and len(texts) > 1:
        second = seconds[0]
        first = next(column for column in [*firsts, *texts] if column is not second)
        return first, second
    named = [column for column in texts if hints.named(column, "text")]
    longest = max(named or texts, key=lambda column: column.mean_length or 0)
    return longest, None


def _problem_type(label: Column) -> str:
    if label.kind is ColumnKind.LIST:
        return "multi_label"
    return "single_label" if hints.holds_classes(label) else "regression"


def _score(columns: list[Column], text: Column, label: Column) -> float:
    """Sure when a text is the bulk of the table; unsure when it is one short column among many."""
    score = 0.55 + 0.2 * hints.named(text, "text") + 0.15 * (hints.named(label, "label") or hints.named(label, "score"))
    features = [column for column in columns if column is not label and not hints.is_identifier(column)]
    texts = sum(hints.holds_text(column) for column in features)
    return round(max(0.05, score + 0.05 * ((text.mean_length or 0) > 30) - 0.5 * (1 - texts / len(features))), 3)


def check(spec: TextClassificationSpec, has_base_model: bool) -> None:
    """Raises SettingUnfit for what was set and could do nothing, as far as it is known what is learnt."""
    check_new_tokens(spec, has_base_model)
    unfit = {"frozen_encoder": spec.frozen_encoder and not has_base_model}
    unfit["label_thresholds"] = spec.label_thresholds == "per_label" and spec.problem_type not in (AUTO, "multi_label")
    if spec.problem_type == "regression":
        unfit |= {"loss": spec.loss == "focal", "class_weights": spec.class_weights != "none", "label_smoothing": spec.label_smoothing > 0}
    if wrong := next((name for name, is_unfit in unfit.items() if is_unfit), None):
        raise SettingUnfit(field=f"spec.{wrong}", setting=wrong, value=str(getattr(spec, wrong)), problem=spec.problem_type)


def gains_by_gpu(spec: TextClassificationSpec, has_base_model: bool) -> bool:
    """Above a frozen encoder only a small head learns."""
    return (has_base_model and not spec.frozen_encoder) or spec.preset == "transformer"


RECIPE = Recipe(
    name="text-classification",
    spec=TextClassificationSpec,
    roles=(Role("text"), Role("text_pair", required=False), Role("label", many=True), SPLIT),
    target="label",
    runtime="kargah.recipes.text_classification",
    guess=guess,
    questions=asked_roles("text", "text_pair"),
    pipeline_tags={"": "text-classification"},
    starts_from=("scratch", "base_model"),
    structures=("text-classification",),
    learns_from_teachers=True,
    evaluates=True,
    check=check,
    gains_by_gpu=gains_by_gpu,
)
