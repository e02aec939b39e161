"""What <run-chart> is told of a run: which curves belong together, their names and colours, the whole plan, the checkpoints."""

from typing import Any

from kargah.recipes.metrics import OF_QUALITY
from kargah.web.pages import figures
from kargah.web.pages.run_views import RunData
from kargah.web.pages.words import Words

#: Group → its curves. The first is what training says at each step, the second what is measured on held-out data.
GROUPS: dict[str, tuple[str, ...]] = {
    "loss": ("loss", "eval_loss"),
    "quality": OF_QUALITY,
    "speed": ("samples_per_second", "tokens_per_second"),
    "learning_rate": ("learning_rate",),
}
#: What a page asks for of each curve: more than a screen has columns.
CURVE_POINTS = 4000
COLOURS = 8
SPARSE = {"eval_loss", *GROUPS["quality"]}
NOISY = {"loss", "samples_per_second", "tokens_per_second"}


def chart_of(words: Words, data: RunData) -> dict[str, Any]:
    running = next((event.payload for event in reversed(data.events) if event.kind == "Running"), {})
    return {
        "groups": [_group(words, name, keys) for name, keys in GROUPS.items()],
        "counted": "loss",
        "name": data.run.id,
        "max_points": CURVE_POINTS,
        "total_steps": running.get("total_steps"),
        "total_epochs": running.get("total_epochs"),
        "saved": [
            {"step": event.payload["step"], "best": event.payload.get("best", False)} for event in data.events if event.kind == "Saved"
        ],
    }


def _group(words: Words, name: str, keys: tuple[str, ...]) -> dict[str, Any]:
    return {
        "key": name,
        "title": words.text(f"chart.{name}"),
        "from_zero": name in {"loss", "speed", "learning_rate"},
        "series": [_series(words, key, index) for index, key in enumerate(keys)],
    }


def _series(words: Words, key: str, index: int) -> dict[str, Any]:
    colour = 1 + index % COLOURS
    return {"key": key, "label": figures.metric_name(words, key), "colour": colour, "sparse": key in SPARSE, "noisy": key in NOISY}
