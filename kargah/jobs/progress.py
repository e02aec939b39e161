"""The latest picture of a job, for lists: drawn from its events, one after the other."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from kargah.contract.events import Evaluated, Event, Finished, Progress, Resumed, Running, Step

Picture = dict[str, Any]
UNKNOWN = object()


def drawn(picture: Picture, events: Sequence[Event]) -> Picture:
    """A new picture; keys as in tables.Job. ``percent`` never goes back."""
    fresh = {**picture, "metrics": {**picture.get("metrics", {})}}
    for event in events:
        _draw(fresh, event)
    percent = fresh.pop("percent_now", None)
    if percent is not None:
        fresh["percent"] = max(fresh.get("percent", 0.0), round(min(percent, 100.0), 2))
    return fresh


def _draw(picture: Picture, event: Event) -> None:
    if isinstance(event, Step):
        picture.update(step=event.step, epoch=event.epoch)
        picture["metrics"] |= event.metrics
        _forecast(picture, event.step, event.at)
    elif isinstance(event, Progress):
        # A phase of its own; the pace of the steps is measured anew after it.
        picture.update(done=event.done, total=event.total, unit=event.unit, code=event.code, params=event.params, since=None)
        if event.total and picture.get("total_steps", UNKNOWN) is None:
            picture["percent_now"] = 100 * event.done / event.total  # work that runs and has no steps; else it is a phase of its own
    elif isinstance(event, Running):
        picture.update(total_steps=event.total_steps, total_epochs=event.total_epochs, since=None, eta_seconds=None)
    elif isinstance(event, Evaluated) and event.model == "model":
        picture["metrics"] |= event.metrics
    elif isinstance(event, Resumed):
        picture.update(step=event.from_step, since=None)
    elif isinstance(event, Finished):
        picture.update(percent_now=100.0, eta_seconds=0.0)


def _forecast(picture: Picture, step: int, at: datetime) -> None:
    """Remaining seconds by the pace since this attempt began to run; ``since`` is [first step, its time]."""
    total = picture.get("total_steps")
    if not total:
        return
    picture["percent_now"] = 100 * step / total
    first, began = picture.get("since") or (step, at.timestamp())
    picture["since"] = [first, began]
    if step > first:
        picture["eta_seconds"] = round(max(0.0, (at.timestamp() - began) / (step - first) * (total - step)), 1)
