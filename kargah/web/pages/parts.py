"""Small finished things that many pages show: the badge of a state, the tiles of a progress, the links of a list."""

import math
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from kargah.jobs.schemas import JobOut
from kargah.jobs.states import State, documented
from kargah.web.pages.words import Words

MOST_TILES = 24
STARTING = {State.STARTING, State.LOADING}
ICONS = {
    "QUEUED": "clock",
    "STARTING": "adapt",
    "LOADING": "adapt",
    "RUNNING": "star",
    "PAUSING": "pause",
    "PAUSED": "pause",
    "STOPPING": "stop",
    "STOPPED": "stop",
    "COMPLETED": "done",
    "ERROR": "error",
}
STYLES = {"STOPPING": "STOPPED"}
TILE_COLOURS = {"PAUSED": "amber", "PAUSING": "amber", "STOPPED": "grey", "QUEUED": "grey", "LOADING": "blue", "STARTING": "blue"}


@dataclass(frozen=True)
class Badge:
    style: str
    icon: str
    text: str
    pulse: bool = False


@dataclass(frozen=True)
class Progress:
    """``tiles``: 100 for a laid one, a part for the one being laid, 0 for those to come."""

    percent_text: str
    whole_percent: int
    tiles: list[int]
    colour: str
    facts: list[str]
    remaining: str


@dataclass(frozen=True)
class Pages:
    first: str
    next: str


def badge_of(words: Words, state: str) -> Badge:
    shown = documented(state)
    return Badge(STYLES.get(shown, shown), ICONS[shown], words.text(f"state.{shown}"), pulse=shown == "RUNNING")


def pages_of(path: str, query: dict[str, str], next_cursor: str | None) -> Pages:
    kept = {name: value for name, value in query.items() if value and name not in {"cursor", "done"}}
    first = f"{path}?{urlencode(kept)}" if kept else path
    return Pages(
        first=first if query.get("cursor") else "",
        next=f"{path}?{urlencode({**kept, 'cursor': next_cursor})}" if next_cursor else "",
    )


def progress_of(words: Words, job: JobOut) -> Progress:
    known = job.progress
    share = 1.0 if job.state == State.COMPLETED else min(max(float(known.get("percent") or 0) / 100, 0.0), 1.0)
    whole = math.floor(share * 100)
    return Progress(
        percent_text=words.percent(whole / 100, 0),
        whole_percent=whole,
        tiles=_tiles(share, known.get("total_epochs")),
        colour=TILE_COLOURS.get(job.state, ""),
        facts=_facts(words, {} if _was_a_rehearsal(job) else known),
        remaining=_remaining(words, job),
    )


def _was_a_rehearsal(job: JobOut) -> bool:
    """Over without a step of those that it spoke of: its whole length was never its work."""
    return job.state == State.COMPLETED and bool(job.progress.get("total_steps")) and not job.progress.get("step")


def _tiles(share: float, total_epochs: Any) -> list[int]:
    """One tile an epoch; without epochs, or with too many, as many as can be told apart."""
    count = math.ceil(total_epochs) if total_epochs and 1 < total_epochs <= MOST_TILES else MOST_TILES if total_epochs else 1
    return [max(0, min(100, math.floor((share * count - index) * 100))) for index in range(count)]


def _facts(words: Words, known: dict[str, Any]) -> list[str]:
    facts = []
    if known.get("total_epochs"):
        total = math.ceil(known["total_epochs"])
        epoch = min(total, math.floor(float(known.get("epoch") or 0)) + 1)
        facts.append(words.text("run.epoch", epoch=epoch, total=total))
    if known.get("total_steps"):
        facts.append(words.text("run.step", step=int(known.get("step") or 0), total=int(known["total_steps"])))
    elif known.get("code"):
        facts.append(words.message("progress", known))
    if known.get("done") is not None and known.get("unit") and not known.get("total_steps"):
        facts.append(_done(words, known))
    return facts


def _done(words: Words, known: dict[str, Any]) -> str:
    def amount(value: float) -> str:
        return words.size(value) if known["unit"] == "bytes" else words.number(value, 0)

    unit = words.optional(f"unit.{known['unit']}")
    if known.get("total"):
        return words.text("progress.of", done=amount(known["done"]), total=amount(known["total"]), unit=unit)
    return words.text("progress.done", done=amount(known["done"]), unit=unit)


def _remaining(words: Words, job: JobOut) -> str:
    seconds = job.progress.get("eta_seconds")
    if job.state != State.RUNNING or seconds is None:
        return ""
    return words.text("run.eta", left=words.duration(_rounded(float(seconds))))


def _rounded(seconds: float) -> float:
    """A forecast is not known to the second: to ten seconds under five minutes, to the minute above."""
    grain = 1 if seconds < 15 else 10 if seconds < 300 else 60
    return max(1.0, round(seconds / grain) * grain)
