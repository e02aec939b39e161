"""The terms of a training in its form: when, after what, how long and with how much it may run; as people write them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pydantic import ValidationError

from kargah.jobs.schemas import JobOut
from kargah.jobs.terms import Retry, Terms
from kargah.kit import i18n, moments
from kargah.kit.clock import utc_now
from kargah.web.pages.forms import Errors
from kargah.web.pages.hours import zone_of
from kargah.web.pages.spec_form import Given, Group, Option, SpecField, number_of
from kargah.web.pages.words import Words

PREFIX = "terms."
GIB, HOUR_SECONDS = 1 << 30, 3600
#: Field → the kind of its input.
FIELDS: Mapping[str, str] = {
    "priority": "number",
    "after": "many",
    "if_after_fails": "choice",
    "not_before": "text",
    "deadline": "text",
    "window_start": "text",
    "window_end": "text",
    "time_limit_hours": "number",
    "memory_limit_gib": "number",
    "max_attempts": "number",
}
#: Where a schema of Terms says what is wrong, and the field beside which it is said.
_PLACES = {"time_limit_seconds": "time_limit_hours", "memory_limit_bytes": "memory_limit_gib", "retry": "max_attempts", "after": "after"}
_ENDS = {"if_after_fails": ("fail", "hold")}


@dataclass(frozen=True)
class Said:
    """What was read; fields that could not be are in ``errors`` (by the name in the form) and left out."""

    priority: int
    terms: Terms
    errors: Errors


def read(words: Words, given: Given) -> Said:
    typed = {name: latest.strip() for name in _READERS if (latest := (given.get(PREFIX + name) or [""])[-1]).strip()}
    errors: Errors = {}
    after = list(dict.fromkeys(value.strip() for value in given.get(PREFIX + "after", []) if value.strip()))
    values = {name: value for name, text in typed.items() if (value := _value(words, name, text, errors)) is not None}
    priority = int(values.pop("priority", 0))
    if after:
        values["after"] = after
    _agree(words, values, errors)
    try:
        terms = Terms.model_validate(_as_terms(words, values))
    except ValidationError as problem:
        for entry in problem.errors(include_url=False, include_input=False):
            place = _PLACES.get(str(entry["loc"][0]), str(entry["loc"][0]))
            errors[PREFIX + place] = words.first(f"terms.{place}.bad", "reason.other")
            values.pop(place, None)
        terms = Terms.model_validate(_as_terms(words, values))
    return Said(priority, terms, errors)


def _value(words: Words, name: str, text: str, errors: Errors) -> Any:
    try:
        return _READERS[name](words, text)
    except (ValueError, OverflowError):
        errors[PREFIX + name] = words.text(f"terms.{name}.bad")
        return None


def _number(least: float, most: float, whole: bool = False) -> Callable[[Words, str], float]:
    def reader(_: Words, text: str) -> float:
        value = number_of(text)
        if isinstance(value, str) or not least <= value <= most or (whole and value != int(value)):
            raise ValueError(text)
        return int(value) if whole else value

    return reader


def _moment(words: Words, text: str) -> datetime:
    found = moments.moment_of(text, i18n.zone_of(words.language), utc_now())
    if found <= utc_now():
        raise ValueError(text)
    return found


def _choice(name: str) -> Callable[[Words, str], str]:
    def reader(_: Words, text: str) -> str:
        if text not in _ENDS[name]:
            raise ValueError(text)
        return text

    return reader


_READERS: Mapping[str, Callable[[Words, str], Any]] = {
    "priority": _number(-100, 100, whole=True),
    "if_after_fails": _choice("if_after_fails"),
    "not_before": _moment,
    "deadline": _moment,
    "window_start": lambda _, text: moments.clock_of(text),
    "window_end": lambda _, text: moments.clock_of(text),
    "time_limit_hours": _number(1 / HOUR_SECONDS, 10_000),
    "memory_limit_gib": _number(1 / 64, 1 << 20),
    "max_attempts": _number(1, 1000, whole=True),
}


def _agree(words: Words, values: dict[str, Any], errors: Errors) -> None:
    """What two fields say together: one end of the hours alone, a deadline before the start."""
    for one, other in (("window_start", "window_end"), ("window_end", "window_start")):
        if one in values and other not in values:
            errors.setdefault(PREFIX + other, words.text("terms.window.needs_both"))
    if "deadline" in values and values["deadline"] <= values.get("not_before", utc_now()):
        errors[PREFIX + "deadline"] = words.text("terms.deadline.too_early")
        del values["deadline"]


def _as_terms(words: Words, values: Mapping[str, Any]) -> dict[str, Any]:
    terms: dict[str, Any] = {name: values[name] for name in ("after", "if_after_fails", "not_before", "deadline") if name in values}
    if "window_start" in values and "window_end" in values:
        terms["window"] = {"start": values["window_start"], "end": values["window_end"], "zone": zone_of(words)}
    if "max_attempts" in values:
        terms["retry"] = Retry(max_attempts=values["max_attempts"])
    if "time_limit_hours" in values:
        terms["time_limit_seconds"] = values["time_limit_hours"] * HOUR_SECONDS
    if "memory_limit_gib" in values:
        terms["memory_limit_bytes"] = round(values["memory_limit_gib"] * GIB)
    return terms


def given_of(priority: int, terms: Terms) -> dict[str, list[str]]:
    """The form as it was filled in for an earlier training, without what was about that one time: after what, from when, until when."""
    known: dict[str, Any] = {
        "priority": priority or None,
        "window_start": terms.window and f"{terms.window.start:%H:%M}",
        "window_end": terms.window and f"{terms.window.end:%H:%M}",
        "time_limit_hours": terms.time_limit_seconds and f"{terms.time_limit_seconds / HOUR_SECONDS:g}",
        "memory_limit_gib": terms.memory_limit_bytes and f"{terms.memory_limit_bytes / GIB:g}",
        "max_attempts": terms.retry.max_attempts if terms.retry != Retry() else None,
    }
    return {PREFIX + name: [str(value)] for name, value in known.items() if value is not None}


def group_of(words: Words, given: Given, active: list[JobOut], errors: Errors) -> Group:
    """``active``: trainings that are not over, after any of which this one may come."""
    return Group(words.text("group.terms"), basic=False, fields=[_field(words, name, given, active, errors) for name in FIELDS])


def _field(words: Words, name: str, given: Given, active: list[JobOut], errors: Errors) -> SpecField:
    value = (given.get(PREFIX + name) or [""])[-1]
    return SpecField(
        name=name,
        form_name=PREFIX + name,
        label=words.text(f"terms.{name}.label"),
        help=words.text(f"terms.{name}.help"),
        kind=FIELDS[name],
        value=value,
        placeholder=words.text(f"terms.{name}.example") if words.has(f"terms.{name}.example") else "",
        checked=False,
        basic=False,
        options=_options(words, name, given, active),
        error=errors.get(PREFIX + name, ""),
        facts=[(words.text("train.default"), words.text(f"terms.{name}.default")), (words.text("train.name"), _NAMES[name])],
        manual=f"/help/jobs#{name}",
    )


_NAMES = {
    "priority": "priority",
    "window_start": "terms.window.start",
    "window_end": "terms.window.end",
    "time_limit_hours": "terms.time_limit_seconds",
    "memory_limit_gib": "terms.memory_limit_bytes",
    "max_attempts": "terms.retry.max_attempts",
    **{name: f"terms.{name}" for name in ("after", "if_after_fails", "not_before", "deadline")},
}


def _options(words: Words, name: str, given: Given, active: list[JobOut]) -> list[Option]:
    chosen = given.get(PREFIX + name) or [""]
    if name == "after":
        return [Option(job.id, job.title, job.id in chosen) for job in active]
    return [Option(choice, words.text(f"terms.{name}.{choice}"), choice == (chosen[-1] or "fail")) for choice in _ENDS.get(name, ())]
