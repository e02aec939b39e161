"""Metrics as people read them: names, digits, which is better, and which pairs cannot be told apart."""

import math
from dataclasses import dataclass
from typing import Any

from kargah.models.schemas import ModelVersionOut
from kargah.recipes.metrics import LOWER_IS_BETTER, OF_QUALITY, SHARES
from kargah.web.pages.words import Words

#: How many figures the strip of a run shows: the losses, then qualities, then the speed.
STRIP_LENGTH = 5
#: What is smaller keeps its exponent: a dozen zeros are no easier to read.
SMALLEST_WRITTEN_OUT = 1e-12


@dataclass(frozen=True)
class Figure:
    label: str
    text: str
    small: str = ""


@dataclass(frozen=True)
class Bar:
    """``width`` 0–100, as a <progress> takes it; ``colour`` 1–8."""

    label: str
    width: int
    text: str
    count: str = ""
    colour: int = 1


def metric_name(words: Words, key: str) -> str:
    return words.first(f"metric.{key}", key)


def reading(words: Words, key: str, value: float | None) -> str:
    """For reading: shares in percent, others short."""
    if value is None:
        return "–"
    return words.percent(value) if key in SHARES else in_digits(words, value)


def in_digits(words: Words, value: float) -> str:
    """Short, in the reader's digits. Among Persian ones the letter of an exponent has no place, and a minus stays at the left."""
    if words.direction == "ltr" or not math.isfinite(value):
        return short(value)
    size = abs(value)
    if SMALLEST_WRITTEN_OUT <= size < 1e-3:
        text = f"{size:.{2 - math.floor(math.log10(size))}f}".rstrip("0")
    else:
        text = f"{size:,.0f}" if size >= 1e7 else short(size)
    return ("\u200e\u2212" if value < 0 else "") + words.digits(text)


def short(value: float | None) -> str:
    """For copying, in Latin digits: four significant figures."""
    if value is None:
        return "–"
    if value != 0 and (abs(value) < 1e-3 or abs(value) >= 1e7):
        mantissa, exponent = f"{value:.2e}".split("e")
        return f"{mantissa.rstrip('0').rstrip('.')}e{int(exponent)}"
    return f"{value:,.0f}" if float(value).is_integer() else f"{value:,.4g}" if abs(value) < 1000 else f"{value:,.0f}"


def of_data(value: float, text: str) -> str:
    """``text`` says a value of people's own data: four digits stand together, since many are years."""
    return text.replace(",", "").replace("٬", "") if abs(value) < 10_000 else text


def strip_of(words: Words, metrics: dict[str, float | None], best: dict[str, float]) -> list[Figure]:
    losses, qualities, speed = (
        [key for key in keys if metrics.get(key) is not None] for keys in (("loss", "eval_loss"), OF_QUALITY, ("samples_per_second",))
    )
    known = [*losses, *qualities[: STRIP_LENGTH - len(losses) - len(speed)], *speed]
    return [Figure(metric_name(words, key), reading(words, key, metrics[key]), _best(words, key, best)) for key in known]


def best_of(evaluations: list[dict[str, Any]]) -> dict[str, float]:
    """The best value of each metric over all evaluations."""
    best: dict[str, float] = {}
    for metrics in evaluations:
        for key, value in metrics.items():
            if value is not None:
                choose = min if key in LOWER_IS_BETTER else max
                best[key] = choose(best.get(key, value), value)
    return best


def _best(words: Words, key: str, best: dict[str, float]) -> str:
    if key == "samples_per_second":
        return words.text("metric.per_second")
    return words.text("metric.best", value=reading(words, key, best[key])) if key in best else ""


def interval_of(version: ModelVersionOut) -> tuple[float, float] | None:
    interval = version.detail.get("interval")
    return (float(interval["low"]), float(interval["high"])) if interval else None


def verdict_of(versions: list[ModelVersionOut]) -> str:
    """What an honest reader may say of the network beside the baselines: a text key, or "" when there is nothing to compare."""
    networks = [version for version in versions if version.family == "network"]
    others = [version for version in versions if version.family != "network"]
    key = versions[0].primary_metric if versions else None
    if not networks or not others or key is None:
        return ""
    network, rival = _best_by(networks, key), _best_by(others, key)
    if network is None or rival is None:
        return ""
    mine, theirs = interval_of(network), interval_of(rival)
    if mine and theirs and mine[0] <= theirs[1] and theirs[0] <= mine[1]:
        return "result.verdict.tie"
    return "result.verdict.network" if _is_better(network, rival, key) else "result.verdict.baseline"


def ranked(versions: list[ModelVersionOut]) -> list[ModelVersionOut]:
    """The best by the primary metric first; what has no value last."""
    key = (versions[0].primary_metric or "") if versions else ""
    sign = 1 if key in LOWER_IS_BETTER else -1
    return sorted(versions, key=lambda version: (version.metrics.get(key) is None, sign * (version.metrics.get(key) or 0)))


def _best_by(versions: list[ModelVersionOut], key: str) -> ModelVersionOut | None:
    known = [version for version in versions if version.metrics.get(key) is not None]
    return ranked(known)[0] if known else None


def _is_better(one: ModelVersionOut, other: ModelVersionOut, key: str) -> bool:
    return ranked([one, other])[0] is one and one.metrics.get(key) != other.metrics.get(key)
