"""A data set as its pages show it: every value finished, in the reader's language."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any, get_args

from kargah.contract.fixes import Meaning
from kargah.datasets.rows import Statistics
from kargah.datasets.schemas import DatasetDetail, DatasetOut, JsonDict, Lineage, Preview, Suggestion, VersionSummary
from kargah.jobs.schemas import EventOut, JobOut
from kargah.recipes.columns import Column, ColumnKind
from kargah.web.pages import figures, histograms
from kargah.web.pages.dataset_fixes import FixButton, Way, Ways, buttons_of, fix_text, language_text
from kargah.web.pages.figures import Bar, Figure
from kargah.web.pages.histograms import Histogram
from kargah.web.pages.parts import Badge, Progress, progress_of
from kargah.web.pages.words import Words

RUNNING = ["QUEUED", "STARTING", "LOADING", "RUNNING", "STOPPING"]
#: What a fetch says of its progress: what it has got is kept when it is paused.
FETCHING = "datasets.fetching"
SEVERITIES = {"error": ("error", "a-r"), "warning": ("warn", "a-y"), "info": ("info", "")}
MOST_LABELS = 12
MOST_SMALL_BARS = 4
#: Of these the lengths say little: their values are names.
NAMES = (ColumnKind.CATEGORY, ColumnKind.BOOLEAN)
LINES_SHOWN = 5
LONGEST_CELL = 600
#: Characters that turn a text around or cannot be seen: shown by their code.
HIDDEN = {
    code: f"⟨U+{code:04X}⟩" for code in (0x200E, 0x200F, 0x202A, 0x202B, 0x202C, 0x202D, 0x202E, 0x2066, 0x2067, 0x2068, 0x2069, 0xFEFF)
}


@dataclass(frozen=True)
class DatasetRow:
    id: str
    title: str
    href: str
    badge: Badge
    facts: list[str]
    when: str
    progress: Progress | None
    can_train: bool


@dataclass(frozen=True)
class Problem:
    code: str
    severity: str
    icon: str
    style: str
    title: str
    body: str
    count: str
    fixes: list[FixButton]
    ways: list[Way]


@dataclass(frozen=True)
class ColumnRow:
    name: str
    kind: str
    distinct: str
    nulls: str
    range: str
    examples: list[str]
    bars: list[Bar]
    histogram: Histogram | None
    filled: int


@dataclass(frozen=True)
class VersionRow:
    """``error``: why it could not be read, "" when it could. ``made``: from what and by whom, "" when from a file."""

    id: str
    number: str
    made: str
    compare: str
    can_choose: bool
    label: str
    badge: Badge
    is_current: bool
    file: str
    rows: str
    size: str
    when: str
    error: str


@dataclass(frozen=True)
class Labels:
    column: str
    bars: list[Bar]
    more: str


@dataclass(frozen=True)
class Guess:
    recipe: str
    title: str
    reasons: list[str]
    href: str


def badge_of(words: Words, state: str, problems: int = 0) -> Badge:
    if state == "READY":
        return (
            Badge("warn", "warn", words.text("dataset.has_problems", n=problems))
            if problems
            else Badge("ready", "check", words.text("state.READY"))
        )
    return (
        Badge("LOADING", "adapt", words.text("state.IMPORTING"))
        if state == "IMPORTING"
        else Badge("ERROR", "error", words.text("state.ERROR"))
    )


def import_of(dataset: DatasetOut) -> str:
    """The id of the job that imports, or imported, the shown version."""
    return (dataset.version.job_id if dataset.version else None) or ""


def row_of(words: Words, dataset: DatasetOut, job: JobOut | None) -> DatasetRow:
    version = dataset.version
    facts = [words.text("dataset.rows", n=version.rows)] if version and version.rows is not None else []
    facts += [words.size(version.source_size_bytes), version.source_filename] if version else []
    return DatasetRow(
        id=dataset.id,
        title=dataset.title,
        href=f"/datasets/{dataset.id}",
        badge=badge_of(words, version.state if version else "FAILED"),
        facts=facts,
        when=words.ago(dataset.created_at),
        progress=progress_of(words, job) if job else None,
        can_train=bool(version and version.state == "READY"),
    )


def values_of(
    words: Words,
    dataset: DatasetDetail,
    job: JobOut | None,
    suggestions: list[Suggestion],
    preview: Preview | None,
    measured: list[Statistics],
) -> dict[str, Any]:
    version, statistics = dataset.version, {column.name: column for column in measured}
    report = (version.report if version else None) or {}
    columns = (version.columns if version else None) or []
    ways = Ways(words, dataset, suggestions)
    problems = [_problem(words, found, place, ways) for place, found in enumerate(report.get("problems", []))]
    severe = sum(found["severity"] == "error" for found in report.get("problems", []))
    return {
        "dataset": dataset,
        "trashed": dataset.trashed_at is not None,
        "state": version.state if version and not dataset.trashed_at else "FAILED",
        "badge": badge_of(words, version.state if version else "FAILED", severe),
        "facts": _facts(words, dataset),
        "tags": words.text("list.comma").join(dataset.tags),
        "progress": _progress(words, job) if job and not job.is_over else None,
        "is_fetching": bool(job and _is_fetching(job)),
        "can_stop": bool(job and job.state in (*RUNNING, "PAUSED")),
        "can_pause": bool(job and job.state == "RUNNING" and _is_fetching(job)),
        "can_resume": bool(job and job.state == "PAUSED"),
        "error": words.error(version.error) if version and version.error else "",
        "strip": _strip(words, dataset, report),
        "problems": problems,
        "safe_fixes": sum(fix.is_safe for problem in problems for fix in problem.fixes),
        "is_mending": any(version.state == "IMPORTING" and version.lineage for version in dataset.versions),
        "columns": [_column(words, column, statistics.get(column.name)) for column in columns],
        "meanings": [(meaning, words.text(f"meaning.{meaning}")) for meaning in get_args(Meaning)],
        "versions": [_version(words, dataset, version) for version in dataset.versions],
        "labels": _labels(words, columns, suggestions),
        "normalised": _normalised(words, report),
        "guesses": [_guess(words, dataset, suggestion) for suggestion in suggestions],
        "preview": _preview(preview) if preview else None,
        "preview_count": words.text("dataset.preview_count", shown=len(preview.rows), total=preview.total_rows) if preview else "",
    }


def _is_fetching(job: JobOut) -> bool:
    return job.progress.get("code") == FETCHING


def _progress(words: Words, job: JobOut) -> Progress:
    """Of a fetch by what has come; as a phase of its own it counts for nothing in the job's own percent."""
    progress, known = progress_of(words, job), job.progress
    if not _is_fetching(job) or not known.get("total"):
        return progress
    percent = min(100, int(100 * known["done"] / known["total"]))
    return replace(progress, percent_text=words.percent(percent / 100, 0), whole_percent=percent)


def _facts(words: Words, dataset: DatasetDetail) -> list[str]:
    facts = [words.text("dataset.added", when=words.date(dataset.created_at))]
    if dataset.version:
        facts.append(dataset.version.source_filename)
    if dataset.licence:
        facts.append(words.text("dataset.licence", name=dataset.licence))
    return facts


def _strip(words: Words, dataset: DatasetDetail, report: dict[str, Any]) -> list[Figure]:
    version = dataset.version
    if version is None or version.state != "READY":
        return []
    dropped = int(report.get("rows_dropped") or 0)
    return [
        Figure(words.text("dataset.row_count"), words.number(version.rows), words.text("dataset.dropped", n=dropped) if dropped else ""),
        Figure(words.text("dataset.column_count"), words.number(len(version.columns or []))),
        Figure(words.text("dataset.size"), words.size(version.source_size_bytes)),
        Figure(words.text("dataset.format"), str(version.format or "").upper()),
        Figure(words.text("dataset.encoding"), str(version.encoding or "").upper()),
    ]


def found_so_far(words: Words, events: Iterable[EventOut]) -> list[str]:
    """What an import that still reads has met, in words."""
    told = [event.payload.get("params") or {} for event in events if event.payload.get("code") == "datasets.found"]
    return [_title(words, str(params.get("found")), params, params.get("columns") or [], int(params.get("count") or 0)) for params in told]


def _title(words: Words, code: str, params: JsonDict, columns: list[str], count: int) -> str:
    return words.first(f"problem.{code}", code, **_shown(words, params, columns, count))


def _shown(words: Words, params: JsonDict, columns: list[str], count: int) -> JsonDict:
    """What texts of problems speak of, in the reader's words."""
    shown = {**words.amounts(params), "count": count, "columns": words.text("list.comma").join(columns)}
    if "languages" in params:
        shown["languages"] = _languages(words, params["languages"])
    if "meant" in params:
        shown["meant"] = words.first(f"meaning.{params['meant']}", str(params["meant"]))
    return shown


def _languages(words: Words, shares: Any) -> str:
    """{persian: 80.0, latin: 20.0} in words."""
    known = shares.items() if isinstance(shares, dict) else ()
    return words.text("list.comma").join(f"{language_text(words, name)} {words.percent(share / 100)}" for name, share in known)


def _problem(words: Words, found: dict[str, Any], place: int, ways: Ways) -> Problem:
    icon, style = SEVERITIES.get(found["severity"], SEVERITIES["info"])
    params = _shown(words, found.get("params") or {}, found["columns"], found["count"])
    texts = [f"problem.{found['code']}.help", *([f"problem.{found['code']}.examples"] if params.get("examples") else [])]
    body = [*(words.optional_with(text, params) for text in texts), _lines(words, found["lines"], found["count"])]
    body.append(_lines(words, found.get("rows") or [], found["count"], "dataset.rows_at"))
    columns = words.text("dataset.in_column", columns=params["columns"]) if found["columns"] else ""
    return Problem(
        code=found["code"],
        severity=words.first(f"severity.{found['severity']}", str(found["severity"])),
        icon=icon,
        style=style,
        title=words.first(f"problem.{found['code']}", found["code"], **params),
        body=" ".join(part for part in (*body, columns) if part),
        count=_extent(words, found),
        fixes=buttons_of(words, found, place),
        ways=ways.of(found),
    )


def _extent(words: Words, found: JsonDict) -> str:
    """How many, and what share of the rows where rows are what is counted."""
    count, share = words.number(found["count"]), found.get("share")
    is_of_rows = bool(found["lines"] or found.get("rows"))
    return f"{count} ({words.percent(share)})" if is_of_rows and share else count


def _lines(words: Words, lines: list[int], count: int, key: str = "dataset.lines") -> str:
    if not lines:
        return ""
    shown = words.text("list.comma").join(words.digits(str(line)) for line in lines[:LINES_SHOWN])
    return words.text(f"{key}_more" if count > LINES_SHOWN else key, lines=shown)


def _column(words: Words, column: Column, measured: Statistics | None) -> ColumnRow:
    distinct = words.number(column.distinct) if column.distinct_is_exact else words.text("dataset.at_least", n=column.distinct)
    return ColumnRow(
        name=column.name,
        kind=kind_text(words, column),
        distinct=distinct,
        nulls=words.number(column.nulls) if column.nulls else "–",
        range=_range(words, column),
        examples=[cell(example, 60) for example in column.examples[:3]],
        bars=bars_of(words, column, MOST_SMALL_BARS),
        histogram=histograms.histogram_of(words, measured) if measured and column.kind not in NAMES else None,
        filled=round(100 * (1 - column.nulls / column.rows)) if column.rows else 0,
    )


def kind_text(words: Words, column: Column) -> str:
    """What a person said that it is, else what its values are."""
    return (
        words.text("dataset.kind_said", kind=words.text(f"meaning.{column.meant}")) if column.meant else words.text(f"kind.{column.kind}")
    )


def bars_of(words: Words, column: Column, most: int) -> list[Bar]:
    """The most frequent values beside the first of them; none where every value stands once."""
    longest = max((label.count for label in column.top), default=0)
    if longest < 2:
        return []
    return [
        Bar(cell(label.value, 60), round(100 * label.count / longest), words.percent(label.count / column.rows), words.number(label.count))
        for label in column.top[:most]
    ]


def _version(words: Words, dataset: DatasetDetail, version: VersionSummary) -> VersionRow:
    is_current = version.id == dataset.current_version_id
    return VersionRow(
        id=version.id,
        number=words.number(version.number),
        made=_made(words, version.lineage) if version.lineage else "",
        compare=f"/datasets/{dataset.id}/difference?since={version.lineage.parent_id}&version={version.id}"
        if version.lineage and version.state == "READY"
        else "",
        can_choose=version.state == "READY" and not is_current,
        label=words.text("dataset.uses_version", number=version.number),
        badge=badge_of(words, version.state),
        is_current=is_current,
        file=cell(version.source_filename, 120),
        rows=words.number(version.rows) if version.rows is not None else "–",
        size=words.size(version.source_size_bytes),
        when=words.date(version.created_at),
        error=words.error(version.error) if version.error else "",
    )


def _made(words: Words, lineage: Lineage) -> str:
    names = [fix_text(words, fix) for fix in lineage.fixes]
    made = words.text("dataset.made_from", number=lineage.parent_number, fixes=words.text("list.comma").join(dict.fromkeys(names)))
    by = words.text("dataset.made_by", name=lineage.by) if lineage.by else ""
    return " · ".join(part for part in (made, by, lineage.why) if part)


def _range(words: Words, column: Column) -> str:
    if column.minimum is not None and column.maximum is not None:
        low, high = (figures.of_data(value, figures.short(value)) for value in (column.minimum, column.maximum))
        return f"\u2066{low} – {high}\u2069"
    if column.mean_length is not None:
        return words.text("dataset.length", mean=round(column.mean_length), longest=column.max_length or 0)
    return ""


def _labels(words: Words, columns: list[Column], suggestions: list[Suggestion]) -> Labels | None:
    """The bars of the column that would be learnt, when it holds classes."""
    roles = suggestions[0].columns if suggestions else {}
    named = roles.get("label") or roles.get("target")
    name = named[0] if isinstance(named, list) and named else named
    column = next((column for column in columns if column.name == name and column.top), None)
    if column is None:
        return None
    hidden = len(column.top) - MOST_LABELS
    return Labels(column.name, bars_of(words, column, MOST_LABELS), words.text("dataset.more_labels", n=hidden) if hidden > 0 else "")


def _normalised(words: Words, report: dict[str, Any]) -> list[Figure]:
    """What the normaliser would change when a model reads these texts."""
    counts = (report.get("normaliser") or {}).get("counts") or {}
    known = [(name, count) for name, count in counts.items() if isinstance(count, int) and count]
    return [
        Figure(words.first(f"normaliser.{name}", name), words.number(count)) for name, count in sorted(known, key=lambda pair: -pair[1])
    ]


def _guess(words: Words, dataset: DatasetDetail, suggestion: Suggestion) -> Guess:
    reasons = [words.text(reason.code, **reason.params) for reason in suggestion.reasons]
    href = f"/runs/new?dataset={dataset.id}&recipe={suggestion.recipe}"
    return Guess(suggestion.recipe, words.text(f"recipe.{suggestion.recipe}.title"), reasons, href)


def _preview(preview: Preview) -> dict[str, Any]:
    rows = [(str(number), [cell(row.get(name)) for name in preview.columns]) for number, row in enumerate(preview.rows, start=1)]
    return {"columns": preview.columns, "rows": rows}


def cell(value: Any, longest: int = LONGEST_CELL) -> str:
    """A cell as itself: cut when long, what is hidden shown by its code."""
    if value is None:
        return ""
    text = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
    shown = text[:longest].translate(HIDDEN)
    return shown + ("…" if len(text) > longest else "")
