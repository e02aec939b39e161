"""The models of a training side by side: the trained one and its baselines, with their 95 % intervals."""

from typing import Any

from kargah.cli import screen
from kargah.cli.words import language, t
from kargah.contract.results import ModelOutput, TrainResult
from kargah.kit import i18n


def show(result: TrainResult) -> None:
    if result.dry_run:
        screen.say("cli.results.dry_run")
        for name, value in result.forecast.items():
            screen.say("cli.results.forecast", name=name, value=_shown(value))
        return
    metric = result.primary_metric
    ranked = sorted(result.models, key=lambda model: _rank(model, metric, result.lower_is_better))
    headings = ["cli.results.model", "cli.results.family", metric, "cli.results.interval", "cli.results.parameters", "cli.results.seconds"]
    screen.table(headings, (_row(model, metric, result.recommended) for model in ranked), numbers_from=2)


def best_of(result: TrainResult) -> ModelOutput | None:
    return next((model for model in result.models if model.name == result.recommended), None)


def _row(model: ModelOutput, metric: str, recommended: str | None) -> list[str]:
    mark = " ✓" if model.name == recommended else ""
    interval = model.interval
    between = f"{_shown(interval.low)} – {_shown(interval.high)}" if interval else "–"
    seconds = i18n.number(language(), model.train_seconds, 1)
    family = t(f"cli.family.{model.family}")
    return [model.name + mark, family, _shown(model.metrics.get(metric)), between, i18n.number(language(), model.parameters), seconds]


def _rank(model: ModelOutput, metric: str, lower_is_better: bool) -> float:
    value = model.metrics.get(metric)
    if value is None:
        return float("inf")
    return value if lower_is_better else -value


def _shown(value: Any) -> str:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return "–" if value is None else str(value)
    return i18n.number(language(), value, 0 if isinstance(value, int) else 4)
