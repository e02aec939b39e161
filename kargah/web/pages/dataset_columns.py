"""The columns of a data set closely: how values and lengths are spread, and what stands in them most often."""

from dataclasses import dataclass

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from kargah.datasets import rows
from kargah.datasets.rows import Statistics
from kargah.recipes.columns import Column, ColumnKind
from kargah.web.deps import Ask
from kargah.web.pages import histograms
from kargah.web.pages.dataset_views import MOST_LABELS, NAMES, bars_of, kind_text
from kargah.web.pages.figures import Bar, Figure
from kargah.web.pages.histograms import Histogram
from kargah.web.pages.render import render
from kargah.web.pages.shell import page_of
from kargah.web.pages.words import Words

router = APIRouter(include_in_schema=False)


@dataclass(frozen=True)
class Closely:
    name: str
    kind: str
    figures: list[Figure]
    histogram: Histogram | None
    measure: str
    sampled: str
    bars: list[Bar]


@router.get("/datasets/{dataset_id}/columns")
async def show_columns(dataset_id: str, request: Request, ask: Ask) -> Response:
    table = await ask.read(rows.table_of, dataset_id, ask.settings.home)
    found = {column.name: column for column in await rows.statistics(table, ask.settings.home)}
    page = page_of(request, "datasets", crumbs=((table.title, f"/datasets/{dataset_id}"),))
    columns = [_closely(page.words, column, found.get(column.name)) for column in table.columns]
    return render("dataset_columns.html", page, title=table.title, columns=columns)


def _closely(words: Words, column: Column, measured: Statistics | None) -> Closely:
    shown = None if column.kind in NAMES else measured
    return Closely(
        name=column.name,
        kind=kind_text(words, column),
        figures=histograms.figures_of(words, shown) if shown else [Figure(words.text("dataset.distinct"), words.number(column.distinct))],
        histogram=histograms.histogram_of(words, shown) if shown else None,
        measure=words.text(f"statistics.measure.{shown.measure}") if shown else "",
        sampled=words.text("statistics.sampled", every=shown.every) if shown and shown.every > 1 else "",
        bars=bars_of(words, column, MOST_LABELS) if shown is None or column.kind is ColumnKind.INTEGER else [],
    )
