"""What a training was foreseen to take, part by part, and what it took in the end."""

from dataclasses import dataclass
from typing import Any

from kargah.kit import i18n
from kargah.web.pages import run_views as views
from kargah.web.pages.figures import Figure
from kargah.web.pages.run_views import Why, whys_of
from kargah.web.pages.words import Words

#: In the order in which they are read.
SHOWN = (
    "total_seconds", "train_seconds", "evaluation_seconds", "total_steps", "seconds_per_step", "peak_memory_bytes", "disk_bytes",
    "free_disk_bytes", "model_bytes", "train_rows", "validation_rows",
)  # fmt: skip
MEMORY_PARTS = ("base_bytes", "weights_bytes", "gradients_bytes", "optimizer_bytes", "activations_bytes", "kept_bytes")
#: What is foreseen and what comes may differ by so much.
TOLERANCES = {"total_seconds": 0.20, "peak_memory_bytes": 0.15}
_OF_MEMORY = {"peak_memory_bytes", *MEMORY_PARTS}


@dataclass(frozen=True)
class Forecast:
    """Of a dry run: what a real one would take. ``choices``: each setting with its source and reason."""

    verdict: str
    fits: bool
    figures: list[Figure]
    memory: list[Figure]
    choices: list[Why]
    measured: str


@dataclass(frozen=True)
class Compared:
    """``difference``: of the outcome from the forecast, "" until it is known; ``good``: inside what is promised."""

    name: str
    foreseen: str
    outcome: str
    difference: str
    good: bool


def forecast_of(words: Words, data: views.RunData) -> Forecast | None:
    said = (data.job.result or {}).get("forecast") or {}
    if not said:
        return None
    lack = _lack(words, said)
    return Forecast(
        verdict=lack or words.text("fit.yes"),
        fits=not lack,
        figures=_figures(words, said, SHOWN),
        memory=_figures(words, said, MEMORY_PARTS),
        choices=whys_of(words, {choice["name"]: choice for choice in said.get("choices") or []}),
        measured=words.text("fit.measured", n=said["measured_steps"]) if said.get("measured_steps") else "",
    )


def _lack(words: Words, said: dict[str, Any]) -> str:
    """What there is too little of, "" where it fits."""
    needed, free = said.get("disk_bytes", 0), said.get("free_disk_bytes", 0)
    if needed > free:
        return words.text("fit.no", need=words.size(needed), free=words.size(free))
    peak, most = said.get("peak_memory_bytes", 0), said.get("reachable_memory_bytes")
    if most is not None and peak > most:
        return words.text("fit.no_memory", need=i18n.memory(words.language, peak), free=i18n.memory(words.language, most))
    return ""


def compared_of(words: Words, data: views.RunData) -> list[Compared]:
    """Time and memory as they were foreseen, beside what they came to be; nothing before the first steps have foreseen anything."""
    foreseen, outcome = data.run.summary.get("foreseen") or {}, data.run.summary.get("outcome") or {}
    return [_compared(words, key, foreseen[key], outcome, foreseen.get("total_steps")) for key in TOLERANCES if foreseen.get(key)]


def _compared(words: Words, key: str, foreseen: float, outcome: dict[str, Any], total_steps: int | None) -> Compared:
    """A training that ended early is held against its part of the forecast."""
    taken, steps = outcome.get(key), outcome.get("total_steps")
    if taken and key == "total_seconds" and steps and total_steps:
        foreseen = foreseen * steps / total_steps
    share = taken / foreseen - 1 if taken and foreseen else None
    return Compared(
        name=words.text(f"forecast.{key}"),
        foreseen=_amount(words, key, foreseen),
        outcome=_amount(words, key, taken) if taken else "",
        difference=""
        if share is None
        else words.text("forecast.more" if share >= 0 else "forecast.less", share=words.percent(abs(share), 0)),
        good=share is not None and abs(share) <= TOLERANCES[key],
    )


def _figures(words: Words, said: dict[str, Any], keys: tuple[str, ...]) -> list[Figure]:
    return [Figure(words.text(f"forecast.{key}"), _amount(words, key, said[key])) for key in keys if said.get(key) is not None]


def _amount(words: Words, key: str, value: float) -> str:
    if key in _OF_MEMORY:
        return i18n.memory(words.language, value)
    if key == "seconds_per_step":
        return words.number(value)
    if key.endswith("_seconds"):
        return words.duration_or_less(value)
    return words.size(value) if key.endswith("_bytes") else words.number(value)
