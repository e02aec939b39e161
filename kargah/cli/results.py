"""The models of a training side by side: the trained one and its baselines, with their 95 % intervals."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from kargah.cli import screen
from kargah.cli.words import language, t
from kargah.contract.results import ModelOutput, TrainResult
from kargah.kit import i18n

if TYPE_CHECKING:
    from kargah.client import ModelVersion

HEADINGS = (
    "cli.results.model",
    "cli.results.family",
    "cli.results.quality",
    "cli.results.interval",
    "cli.results.parameters",
    "cli.results.seconds",
)


@dataclass(frozen=True)
class Line:
    """One model of a training, wherever it was trained."""

    name: str
    family: str
    recommended: bool
    metric: str
    value: float | None
    interval: tuple[float, float] | None
    parameters: int
    seconds: float | None


def show(result: TrainResult) -> None:
    if result.dry_run:
        screen.say("cli.results.dry_run")
        _foreseen(result.forecast)
        return
    _table([_of_output(model, result) for model in result.models], result.lower_is_better)
    show_teacher(result.teacher.model_dump() if result.teacher else None, result.primary_metric)


def show_teacher(teacher: dict[str, Any] | None, metric: str) -> None:
    """On the rows that its students are told of."""
    if teacher is not None and teacher["metrics"].get(metric) is not None:
        screen.say("cli.results.teacher", title=teacher["title"], metric=metric, value=shown(teacher["metrics"][metric]))


def _foreseen(forecast: dict[str, Any]) -> None:
    """What has a name, in the forecast's own order; then each setting with its source and reason."""
    for name, value in forecast.items():
        if i18n.has_text(language(), f"forecast.{name}"):
            screen.say("cli.results.forecast", name=t(f"forecast.{name}"), value=shown(i18n.amount(language(), _counted(name), value)))
    choices = [_choice(choice) for choice in forecast.get("choices", [])]
    screen.table(["cli.results.setting", "cli.results.value", "cli.results.source", "cli.results.why"], choices)


def _counted(name: str) -> str:
    """A rate of seconds is no duration."""
    return "" if name == "seconds_per_step" else name


def _choice(choice: dict[str, Any]) -> list[str]:
    label = f"spec.{choice['name']}.label"
    name = t(label) if i18n.has_text(language(), label) else choice["name"]
    return [name, shown(choice["value"]), t(f"source.{choice['source']}"), t(choice["why"], **choice.get("params", {}))]


def show_versions(versions: "Sequence[ModelVersion]") -> None:
    """Models as a server tells of them, in its order: the recommended one first."""
    _table([_of_version(version) for version in versions], None)


def _table(lines: list[Line], lower_is_better: bool | None) -> None:
    if lower_is_better is not None:
        known = [line for line in lines if line.value is not None]
        unknown = [line for line in lines if line.value is None]
        lines = sorted(known, key=lambda line: line.value or 0.0, reverse=not lower_is_better) + unknown
    screen.table(HEADINGS, map(_row, lines), numbers_from=2)


def _of_output(model: ModelOutput, result: TrainResult) -> Line:
    metric, interval = result.primary_metric, model.interval
    return Line(
        name=model.name,
        family=model.family,
        recommended=model.name == result.recommended,
        metric=metric,
        value=model.metrics.get(metric),
        interval=(interval.low, interval.high) if interval else None,
        parameters=model.parameters,
        seconds=model.train_seconds,
    )


def _of_version(version: "ModelVersion") -> Line:
    metric, interval = version.primary_metric or "", version.detail.get("interval")
    return Line(
        name=version.name,
        family=version.family,
        recommended=version.recommended,
        metric=metric,
        value=version.metrics.get(metric),
        interval=(interval["low"], interval["high"]) if interval else None,
        parameters=version.parameters,
        seconds=version.detail.get("train_seconds"),
    )


def _row(line: Line) -> list[str]:
    between = "–" if line.interval is None else " – ".join(shown(end) for end in line.interval)
    seconds = "–" if line.seconds is None else i18n.number(language(), line.seconds, 1)
    quality = f"{line.metric} {shown(line.value)}"
    family, parameters = t(f"cli.family.{line.family}"), i18n.number(language(), line.parameters)
    return [line.name + (" ✓" if line.recommended else ""), family, quality, between, parameters, seconds]


def shown(value: Any) -> str:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return "–" if value is None else str(value)
    return i18n.number(language(), value, 0 if isinstance(value, int) else 4)
