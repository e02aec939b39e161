"""A run as its page shows it: every value finished, in the reader's language."""

import re
from dataclasses import dataclass
from typing import Any

from kargah.jobs.schemas import EventOut, JobOut
from kargah.jobs.states import State
from kargah.models.schemas import ModelVersionOut
from kargah.recipes.metrics import OF_QUALITY, SHARES
from kargah.runs.schemas import RunOut
from kargah.training.failures import Fix
from kargah.web.pages import figures
from kargah.web.pages.parts import Badge, Progress, badge_of, progress_of
from kargah.web.pages.words import Words

STOPPABLE = {State.QUEUED, State.STARTING, State.LOADING, State.RUNNING, State.PAUSING, State.PAUSED}
SOURCES = {"chosen": ("info", "chosen"), "adapted": ("warn", "adapt"), "inherited": ("QUEUED", "inherit")}
ORDER_OF_SOURCES = ("chosen", "adapted", "inherited")
MOST_LABELS = 12
TIMELINE = 8
#: What colours a terminal or moves its cursor.
CONTROLS = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[@-Z\\-_])|[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
ISOLATES = dict.fromkeys((0x2066, 0x2067, 0x2068, 0x2069))
#: Events that people are told of, and the class of their mark.
TOLD = {"Queued", "Waiting", "Running", "Saved", "Paused", "Resumed", "Stopped", "Finished", "Failed", "Asked", "Interrupted", "Logged"}


#: What a custom script says itself, its traceback among it: for the log alone.
OF_SCRIPTS = frozenset({"script.said", "script.last_words"})


@dataclass(frozen=True)
class RunData:
    """What the page stands on, read in one transaction. ``position``: the last event known to it; the stream goes on from there."""

    run: RunOut
    job: JobOut
    position: int
    events: list[EventOut]
    versions: list[ModelVersionOut]
    plan: dict[str, Any]
    fix: Fix | None = None


@dataclass(frozen=True)
class JobRow:
    badge: Badge
    title: str
    href: str
    id: str
    when: str
    progress: Progress
    metric: str
    metric_value: str
    is_over: bool
    can_stop: bool


@dataclass(frozen=True)
class Why:
    name: str
    label: str
    value: str
    style: str
    icon: str
    source: str
    reason: str


@dataclass(frozen=True)
class Told:
    text: str
    when: str
    iso: str
    style: str = ""


@dataclass(frozen=True)
class Attempt:
    """One process that worked on a job: when it was begun, and how it ended ("" while it goes on)."""

    number: str
    when: str
    iso: str
    end: str
    style: str


@dataclass(frozen=True)
class LogLine:
    position: int
    clock: str
    iso: str
    style: str
    kind: str
    text: str
    direction: str


@dataclass(frozen=True)
class ModelRow:
    version_id: str
    name: str
    family: str
    value: str
    interval: str
    others: list[str]
    seconds: str
    size: str
    recommended: bool
    width: int
    zip_address: str
    file_name: str


@dataclass(frozen=True)
class Cell:
    text: str
    heat: int


@dataclass(frozen=True)
class ClassRow:
    label: str
    cells: list[str]


@dataclass(frozen=True)
class Matrix:
    labels: list[str]
    rows: list[tuple[str, list[Cell]]]


def row_of(words: Words, job: JobOut) -> JobRow:
    metrics = job.progress.get("metrics") or {}
    key = next((key for key in ("eval_loss", "loss") if metrics.get(key) is not None), "")
    return JobRow(
        badge=badge_of(words, job.state),
        title=job.title,
        href=f"/runs/{job.id}",
        id=job.id,
        when=words.ago(job.finished_at or job.started_at or job.queued_at),
        progress=progress_of(words, job),
        metric=figures.metric_name(words, key) if key else "",
        metric_value=figures.short(metrics.get(key)) if key else "",
        is_over=job.is_over,
        can_stop=job.state in STOPPABLE,
    )


def whys_of(words: Words, params: dict[str, Any]) -> list[Why]:
    """What was chosen first, then what the data decided, then what was left as it is."""
    found = [_why(words, name, said) for name, said in params.items()]
    order = {words.text(f"source.{source}"): index for index, source in enumerate(ORDER_OF_SOURCES)}
    return sorted(found, key=lambda why: order.get(why.source, len(order)))


def _why(words: Words, name: str, said: dict[str, Any]) -> Why:
    source = str(said.get("source", "inherited"))
    style, icon = SOURCES.get(source, SOURCES["inherited"])
    reason = words.first(str(said.get("why", "")), "", **words.amounts(said.get("params") or {})) if said.get("why") else ""
    return Why(
        name, words.first(f"spec.{name}.label", name), value_text(said.get("value")), style, icon, words.text(f"source.{source}"), reason
    )


def _apart(text: str) -> str:
    """A name in another script, isolated so that it does not turn around what stands beside it."""
    return text if text.isascii() else f"\u2068{text}\u2069"


def value_text(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return figures.short(value)
    if isinstance(value, dict):
        return ", ".join(f"{name}={_apart(value_text(item))}" for name, item in value.items())
    if isinstance(value, list):
        return ", ".join(_apart(str(item)) for item in value[:6]) + (" …" if len(value) > 6 else "")
    return "–" if value is None else str(value)


_MARKS = {"Running": "now", "Resumed": "now", "Interrupted": "attn", "Failed": "ill"}


def timeline_of(words: Words, events: list[EventOut]) -> list[Told]:
    """«رخدادها و هشدارها»: the last ones, the newest first."""
    told = [event for event in events if event.kind in TOLD and not (event.kind == "Saved" and not event.payload.get("best"))]
    told = [event for event in told if event.payload.get("code") not in OF_SCRIPTS]
    told = [event for before, event in zip([None, *told], told, strict=False) if not (before and before.kind == event.kind == "Running")]
    return [_told(words, event) for event in reversed(told[-TIMELINE:])]


def warnings_of(words: Words, events: list[EventOut]) -> list[Told]:
    """What was warned of and may still matter, the newest first; the same words once."""
    logged = [event for event in events if event.kind == "Logged" and event.payload.get("code") not in OF_SCRIPTS]
    warned = [event for event in logged if event.payload.get("level") in {"warning", "error"}]
    once = {said_by(words, event): event for event in warned}
    return [_told(words, event) for event in reversed(list(once.values())[-TIMELINE:])]


#: How an attempt may end, and the class of its mark.
_ENDS = {"Interrupted": "attn", "Paused": "", "Stopped": "", "Finished": "now", "Failed": "ill"}


def attempts_of(words: Words, data: RunData) -> list[Attempt]:
    """Each attempt, the newest first; a job that began once has nothing to tell."""
    begun = [(index, event) for index, event in enumerate(data.events) if event.kind == "Claimed"]
    if len(begun) < 2:
        return []
    borders = [index for index, _ in begun[1:]] + [len(data.events)]
    return [_attempt(words, event, data.events[index:border]) for (index, event), border in zip(begun, borders, strict=True)][::-1]


def _attempt(words: Words, claimed: EventOut, events: list[EventOut]) -> Attempt:
    last = next((event for event in reversed(events) if event.kind in _ENDS), None)
    return Attempt(
        number=words.number(claimed.payload.get("attempt")),
        when=words.date(claimed.at),
        iso=claimed.at.isoformat(),
        end=said_by(words, last) if last else "",
        style=_ENDS[last.kind] if last else "now",
    )


def readable(text: str) -> str:
    """Without what steers a terminal; of a line that was written over, what stood there last."""
    lines = CONTROLS.sub("", text.replace("\r\n", "\n")).split("\n")
    return "\n".join(line.rstrip("\r").rpartition("\r")[2] for line in lines)


def bare(text: str) -> str:
    """For a file: without the marks that keep an id from turning a Persian line around."""
    return text.translate(ISOLATES)


def _told(words: Words, event: EventOut) -> Told:
    style = _MARKS.get(event.kind, "")
    return Told(said_by(words, event), words.ago(event.at), event.at.isoformat(), style)


def said_by(words: Words, event: EventOut) -> str:
    """One event in words."""
    payload = event.payload
    if event.kind == "Logged":
        return words.message("log", payload)
    if event.kind in {"Failed", "Interrupted", "Waiting"}:
        prefix = {"Failed": "error", "Interrupted": "interrupted", "Waiting": "waiting"}[event.kind]
        return words.text(f"event.{event.kind}", reason=words.message(prefix, payload))
    if event.kind == "Asked":
        return words.first(f"event.Asked.{payload.get('action')}", "event.Asked")
    if event.kind == "Paused" and payload.get("code"):
        return words.message("paused", payload)
    params = {name: value for name, value in payload.items() if isinstance(value, str | int | float)}
    return words.first(f"event.{event.kind}", event.kind, **words.amounts(params))


def log_lines(words: Words, events: list[EventOut]) -> list[LogLine]:
    """The newest first. Steps and evaluations are figures to copy: names of the field, Latin digits."""
    return [_log_line(words, event) for event in reversed(events) if event.kind != "Progress"]


def _log_line(words: Words, event: EventOut) -> LogLine:
    kind, style = _LOG_KINDS.get(event.kind, ("info", ""))
    if event.kind == "Logged":
        kind, style = event.payload.get("level", "info"), {"warning": "w", "error": "e"}.get(event.payload.get("level", ""), "")
    figures_said = event.kind in {"Step", "Evaluated", "Saved"}
    text = _figures(event) if figures_said else readable(said_by(words, event))
    return LogLine(
        event.position, words.clock(event.at), event.at.isoformat(), style, kind[:5], text, "ltr" if figures_said else words.direction
    )


_LOG_KINDS = {
    "Step": ("step", ""),
    "Evaluated": ("eval", "o"),
    "Saved": ("save", "o"),
    "Failed": ("error", "e"),
    "Interrupted": ("warn", "w"),
}


def _figures(event: EventOut) -> str:
    payload = event.payload
    if event.kind == "Saved":
        return f"step {payload['step']} {payload['path']} {payload['size_bytes']} bytes{' best' if payload.get('best') else ''}"
    name = f"{payload['model']} {payload['split']} " if event.kind == "Evaluated" and payload.get("model") != "model" else ""
    metrics = " ".join(f"{key} {figures.short(value)}" for key, value in payload["metrics"].items() if value is not None)
    return f"{name}step {payload['step']} epoch {payload['epoch']:.2f} {metrics}"


def model_rows(words: Words, versions: list[ModelVersionOut]) -> list[ModelRow]:
    return [_model_row(words, version) for version in figures.ranked(versions)]


def how_measured(words: Words, versions: list[ModelVersionOut]) -> str:
    """On which rows the figures of a table of models stand."""
    return words.text("result.how_test" if any(version.detail.get("split") == "test" for version in versions) else "result.how")


def taught_by(words: Words, summary: dict[str, Any]) -> str:
    """The teacher's figure on the same rows; empty where there was none, or it was not measured."""
    teacher, key = summary.get("teacher"), summary.get("primary_metric") or ""
    if not teacher or (value := teacher["metrics"].get(key)) is None:
        return ""
    ends = teacher.get("interval") or {}
    told = {end: figures.reading(words, key, of_end) for end, of_end in ends.items()}
    between = words.text("result.teacher_between", **told) if told else ""
    metric, reading = figures.metric_name(words, key), figures.reading(words, key, value)
    return words.text("result.teacher", title=teacher["title"], metric=metric, value=reading, between=between)


def name_of(words: Words, version: ModelVersionOut) -> str:
    return words.first(f"model.{version.architecture}", f"model.{version.name}", f"family.{version.family}", version.name)


def _model_row(words: Words, version: ModelVersionOut) -> ModelRow:
    key = version.primary_metric or ""
    value, interval = version.metrics.get(key), figures.interval_of(version)
    others = [other for other in metric_columns([version]) if other != key]
    return ModelRow(
        version_id=version.id,
        name=name_of(words, version),
        family=version.architecture,
        value=latin(key, value),
        interval=f"{latin(key, interval[0])} – {latin(key, interval[1])}" if interval else "",
        others=[latin(other, version.metrics.get(other)) for other in others],
        seconds=words.duration_or_less(version.detail.get("train_seconds")),
        size=words.size(version.size_bytes),
        recommended=version.recommended,
        width=round(100 * value) if value is not None and key in SHARES else 0,
        zip_address=f"/api/v1/models/{version.id}/zip",
        file_name=f"{version.name}.zip",
    )


def latin(key: str, value: float | None) -> str:
    """In tables that one copies from: Latin digits."""
    if value is None:
        return "–"
    return f"{100 * value:.1f}%" if key in SHARES else figures.short(value)


def metric_columns(versions: list[ModelVersionOut]) -> list[str]:
    """All metrics that a table of these models shows, the primary one first."""
    primary = versions[0].primary_metric or "" if versions else ""
    return [primary, *(key for key in OF_QUALITY if key != primary and any(version.metrics.get(key) is not None for version in versions))]


def classes_of(detail: dict[str, Any]) -> list[ClassRow]:
    return [
        ClassRow(str(row["label"]), [f"{row['precision']:.3f}", f"{row['recall']:.3f}", f"{row['f1']:.3f}", f"{row['support']:,}"])
        for row in detail.get("classes") or []
    ]


def sources_of(words: Words, detail: dict[str, Any]) -> tuple[list[str], list[ClassRow]]:
    """(names of metrics, a row for each data set that was mixed in); both empty for a single one."""
    told = detail.get("sources") or []
    keys = list(
        dict.fromkeys(key for source in told for key, value in source["metrics"].items() if value is not None and key != "eval_loss")
    )
    rows = [
        ClassRow(
            source["title"],
            [
                f"{source['weight']:g}",
                f"{source['train_rows']:,}",
                f"{source['rows']:,}",
                *(latin(key, source["metrics"].get(key)) for key in keys),
            ],
        )
        for source in told
    ]
    return [figures.metric_name(words, key) for key in keys], rows


def matrix_of(detail: dict[str, Any]) -> Matrix | None:
    """Rows are what is true, columns what was said; the shade is the share of the row."""
    confusion = detail.get("confusion")
    if not confusion or len(confusion["labels"]) > MOST_LABELS:
        return None
    labels = [str(label) for label in confusion["labels"]]
    rows = [[Cell(f"{count:,}", _heat(count, sum(counts))) for count in counts] for counts in confusion["counts"]]
    return Matrix(labels, list(zip(labels, rows, strict=True)))


def _heat(count: int, total: int) -> int:
    return 0 if not count else 1 + min(3, int(3.999 * count / max(1, total)))
