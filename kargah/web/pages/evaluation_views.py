"""An evaluation as its page shows it: every value finished, in the reader's language."""

from collections.abc import Sequence
from dataclasses import dataclass

from kargah.contract.results import Calibration, Compared, EvaluateResult, Measured, ModelMeasured, Paired, SliceMeasured
from kargah.recipes.metrics import LOWER_IS_BETTER, OF_QUALITY, SHARES
from kargah.training.schemas import EvaluationOut, EvaluationSummary
from kargah.web.pages import figures
from kargah.web.pages.parts import Badge, badge_of
from kargah.web.pages.run_views import Matrix, latin, matrix_of
from kargah.web.pages.words import Words

_WIDTH = 100
#: Below so many rows a figure says little by itself.
FEW_ROWS = 30


@dataclass(frozen=True)
class Line:
    """A metric of one or two models. ``values`` and ``intervals`` stand beside them; ``best``: the place of the better one, or -1."""

    name: str
    values: list[str]
    intervals: list[str]
    best: int = -1


@dataclass(frozen=True)
class SliceLine:
    """``bars``: (width 0–100, value, interval) for each model."""

    label: str
    rows: str
    few: bool
    bars: list[tuple[int, str, str]]


@dataclass(frozen=True)
class SliceTable:
    title: str
    metric: str
    lines: list[SliceLine]


@dataclass(frozen=True)
class Column:
    """A bar of the calibration picture, in its units; ``rows``: what the table below it says."""

    x: float
    y: float
    height: float
    cells: list[str]


@dataclass(frozen=True)
class CalibrationView:
    name: str
    error: str
    about: str
    columns: list[Column]


@dataclass(frozen=True)
class VerdictView:
    text: str
    sure: bool
    also: list[str]


@dataclass(frozen=True)
class EvaluationLine:
    """A line of the list."""

    id: str
    title: str
    model: str
    other: str
    dataset: str
    badge: Badge
    metric: str
    value: str
    interval: str
    verdict: str
    when: str


def line_of(words: Words, found: EvaluationSummary) -> EvaluationLine:
    metric = found.primary_metric or ""
    return EvaluationLine(
        id=found.id,
        title=found.title,
        model=found.model_title or "–",
        other=found.other_title or "",
        dataset=words.text("evaluation.of_version", title=found.dataset_title, number=found.dataset_number),
        badge=badge_of(words, found.job.state),
        metric=figures.metric_name(words, metric) if metric else "",
        value=latin(metric, found.primary.value) if found.primary else "",
        interval=_between(metric, found.primary),
        verdict=words.text(f"evaluation.short.{found.verdict}") if found.verdict else "",
        when=words.ago(found.created_at),
    )


def _between(metric: str, measured: Measured | None) -> str:
    if measured is None or measured.low is None or measured.high is None:
        return ""
    return f"{latin(metric, measured.low)} – {latin(metric, measured.high)}"


def metric_lines(words: Words, result: EvaluateResult) -> list[Line]:
    """The primary metric first, then those of quality, then the others."""
    known = list(dict.fromkeys(name for model in result.models for name in model.metrics))
    first = [result.primary_metric, *(name for name in OF_QUALITY if name in known)]
    return [_metric_line(words, name, result.models) for name in dict.fromkeys([*first, *known])]


def _metric_line(words: Words, name: str, models: Sequence[ModelMeasured]) -> Line:
    told = [model.metrics.get(name, Measured(value=None)) for model in models]
    known = [one.value for one in told if one.value is not None]
    best = -1
    if len(known) == len(told) > 1 and len(set(known)) > 1:
        best = known.index(min(known) if name in LOWER_IS_BETTER else max(known))
    values, intervals = [latin(name, one.value) for one in told], [_between(name, one) for one in told]
    label = words.text("evaluation.loss") if name == "eval_loss" else figures.metric_name(words, name)
    return Line(label, values, intervals, best)


def verdict_of(words: Words, result: EvaluateResult) -> VerdictView | None:
    """Whether the first model is better than the second, in one sentence, and what it stands on."""
    if result.paired is None:
        return None
    return _verdict(words, result.paired, result.models[0].title, result.models[1].title)


def _verdict(words: Words, told: Paired, first: str, second: str) -> VerdictView:
    titles = {"first": first, "second": second}
    also = [_difference(words, told)]
    if told.mcnemar is not None:
        counts = {"only_first": told.mcnemar.only_first, "only_second": told.mcnemar.only_second}
        also.append(words.text("evaluation.mcnemar", **titles, **counts, p=figures.in_digits(words, told.mcnemar.p_value)))
    return VerdictView(words.text(f"evaluation.verdict.{told.verdict}", **titles), told.verdict != "none", also)


def compared_of(words: Words, told: Compared, found: EvaluationOut, other: EvaluationOut) -> VerdictView:
    """Of two evaluations: which model is better, on how many rows, and that others were left out."""
    first, second = found.model_title or found.title, other.model_title or other.title
    verdict = _verdict(words, told.paired, first, second)
    verdict.also.append(words.text("evaluation.common_rows", rows=told.rows))
    if told.only_first or told.only_second:
        counts = {"only_first": told.only_first, "only_second": told.only_second}
        verdict.also.append(words.text("evaluation.rows_differ", first=first, second=second, **counts))
    return verdict


def choice_of(words: Words, one: EvaluationSummary) -> str:
    """What is in a <select> holds no markup."""
    part = "" if one.part == "all" else words.text(f"evaluation.part.{one.part}")
    value = latin(one.primary_metric or "", one.primary.value) if one.primary else ""
    return " · ".join(filter(None, [one.model_title or one.title, value, part, words.date(one.created_at)]))


def _difference(words: Words, told: Paired) -> str:
    metric = figures.metric_name(words, told.metric)
    value = figures.reading(words, told.metric, told.difference.value)
    low, high = (figures.reading(words, told.metric, edge) for edge in (told.difference.low, told.difference.high))
    return words.text("evaluation.difference", metric=metric, value=value, low=low, high=high)


def slice_tables(words: Words, result: EvaluateResult) -> list[SliceTable]:
    """One for each way in which the rows were parted."""
    ways = dict.fromkeys((one.by, one.column) for one in result.models[0].slices)
    return [_slice_table(words, by, column, result.models) for by, column in ways]


def _slice_table(words: Words, by: str, column: str | None, models: Sequence[ModelMeasured]) -> SliceTable:
    own = [[one for one in model.slices if (one.by, one.column) == (by, column)] for model in models]
    metric = own[0][0].metric
    title = words.text("evaluation.slice.column", column=column) if by == "column" else words.text(f"evaluation.slice.{by}")
    most = max((abs(one.measured.value or 0.0) for part in own for one in part), default=0.0)
    full = 1.0 if metric in SHARES else most or 1.0
    lines = [_slice_line(words, list(parts), full) for parts in zip(*own, strict=False)]
    return SliceTable(title, figures.metric_name(words, metric), lines)


def _slice_line(words: Words, parts: Sequence[SliceMeasured], full: float) -> SliceLine:
    first = parts[0]
    bars = [
        (max(0, min(_WIDTH, round(_WIDTH * (one.measured.value or 0.0) / full))), latin(one.metric, one.measured.value),
         _between(one.metric, one.measured))
        for one in parts
    ]  # fmt: skip
    return SliceLine(_slice_label(words, first), words.number(first.rows, 0), first.rows < FEW_ROWS, bars)


def _slice_label(words: Words, one: SliceMeasured) -> str:
    if one.low is not None and one.high is not None:
        low, high = (figures.in_digits(words, edge) for edge in (one.low, one.high))
        return low if low == high else words.text("evaluation.between", low=low, high=high)
    if one.by == "normalised":
        return words.text(f"evaluation.normalised.{one.value}")
    return words.first(f"evaluation.label.{one.value}", one.value) if one.value else words.text("evaluation.no_value")


def calibrations(words: Words, result: EvaluateResult) -> list[CalibrationView]:
    return [_calibration(words, model.title, model.calibration) for model in result.models if model.calibration is not None]


def _calibration(words: Words, name: str, told: Calibration) -> CalibrationView:
    columns = [
        Column(
            x=_WIDTH * part.low,
            y=_WIDTH * (1 - part.right),
            height=_WIDTH * part.right,
            cells=[f"{part.low:.1f} – {part.high:.1f}", f"{part.count:,}", f"{100 * part.stated:.1f}%", f"{100 * part.right:.1f}%"],
        )
        for part in told.bins
    ]
    about = words.text("evaluation.calibration_about", error=words.percent(told.expected_error), answers=told.answers)
    return CalibrationView(name, words.percent(told.expected_error), about, columns)


def matrices(result: EvaluateResult) -> list[tuple[str, Matrix]]:
    found = ((model.title, matrix_of(model.detail)) for model in result.models)
    return [(title, matrix) for title, matrix in found if matrix is not None]


def left_out(words: Words, result: EvaluateResult) -> list[tuple[str, str, str]]:
    """(kind of note, what, which)."""
    return [
        ("warn" if why == "taught" else "info", words.text(f"evaluation.left_out.{why}", count=count), _taught(words, result, why))
        for why, count in result.left_out.items()
    ]


def _taught(words: Words, result: EvaluateResult, why: str) -> str:
    if why != "taught":
        return ""
    named = words.text("list.comma").join(words.number(row, 0) for row in result.taught_rows)
    more = len(result.taught_rows) < result.left_out["taught"]
    return words.text("evaluation.taught_rows_more" if more else "evaluation.taught_rows", rows=named)
