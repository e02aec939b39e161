"""Two or more runs beside each other: curves, settings that differ, what they came to, and whether that is a difference at all."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any
from urllib.parse import urlencode

from fastapi import APIRouter, Query
from sqlalchemy.orm import Session
from starlette.requests import Request
from starlette.responses import Response

from kargah.jobs import history
from kargah.jobs import service as jobs
from kargah.monitoring.trainings import Named
from kargah.recipes.metrics import LOWER_IS_BETTER
from kargah.runs.schemas import RunOut
from kargah.store.access import Actor
from kargah.web.deps import Ask
from kargah.web.pages import charts, figures, verdicts
from kargah.web.pages.picking import choices_of, newest
from kargah.web.pages.render import render
from kargah.web.pages.run_data import find
from kargah.web.pages.run_views import latin, value_text
from kargah.web.pages.shell import page_of
from kargah.web.pages.words import Words

router = APIRouter(include_in_schema=False)
MOST = 8
#: Of a model, after its metrics: name → whether less is better.
COSTS = {"train_seconds": True, "size_bytes": True, "parameters": True}


@dataclass(frozen=True)
class Compared:
    """A run as a column. ``tail``: the end of its id, to tell namesakes apart."""

    run: RunOut
    title: str
    tail: str
    colour: int
    without: str
    data: tuple[str, ...]
    base: str
    total_steps: int | None

    @property
    def model(self) -> dict[str, Any]:
        """The recommended model of what came out; empty for a run that made none."""
        summary = self.run.summary
        found: dict[str, Any] = (summary.get("models") or {}).get(summary.get("recommended")) or {}
        return found


@dataclass(frozen=True)
class Cell:
    text: str
    differs: bool = False
    best: bool = False
    interval: str = ""


@dataclass(frozen=True)
class Row:
    name: str
    label: str
    cells: list[Cell]


@router.get("/compare")
async def compare(request: Request, ask: Ask, run: Annotated[list[str] | None, Query()] = None, every: bool = False) -> Response:
    """``every``: also the settings that are the same."""
    asked = list(dict.fromkeys(run or []))[:MOST]
    compared, recent = await ask(_load, asked)
    page = page_of(request, "compare")
    words = page.words
    rows = settings_of(words, compared)
    differing = [row for row in rows if any(cell.differs for cell in row.cells)]
    ids = [("run", one.run.id) for one in compared]
    return render(
        "compare.html",
        page,
        compared=compared,
        choices=[choice for choice in choices_of(words, recent) if choice.run_id not in {one.run.id for one in compared}],
        enough=len(compared) > 1,
        full=len(compared) >= MOST,
        verdict=verdicts.between(words, [(one.title, one.run.summary, one.data) for one in compared]),
        settings=rows if every else differing,
        counted=words.text("compare.counted", n=len(differing), all=len(rows)),
        every=every,
        toggle="/compare?" + urlencode([*ids, *([] if every else [("every", "true")])]),
        results=results_of(words, compared),
        chart=chart_of(words, compared),
    )


def _load(session: Session, actor: Actor, run_ids: Sequence[str]) -> tuple[list[Compared], list[Named]]:
    found = [find(session, actor, run_id) for run_id in run_ids]
    found = list({run.id: run for run in found}.values())
    twice = {run.title for run in found if sum(other.title == run.title for other in found) > 1}
    return [_compared(session, actor, run, found, index, run.title in twice) for index, run in enumerate(found)], newest(session, actor)


def _compared(session: Session, actor: Actor, run: RunOut, all_runs: list[RunOut], index: int, is_namesake: bool) -> Compared:
    plan = jobs.get_for(session, actor, run.job_id).plan if run.job_id else {}
    said = history.life_cycle(session, run.job_id, "Running") if run.job_id else []
    tail = run.id[-4:]
    return Compared(
        run=run,
        title=f"{run.title} · {tail}" if is_namesake else run.title,
        tail=tail,
        colour=index + 1,
        without="/compare?" + urlencode([("run", other.id) for other in all_runs if other is not run]),
        data=tuple(sorted(str(dataset.get("version_id") or dataset.get("title")) for dataset in plan.get("datasets", []))),
        base=(plan.get("base_model") or {}).get("title", ""),
        total_steps=said[-1].payload.get("total_steps") if said else None,
    )


def settings_of(words: Words, compared: list[Compared]) -> list[Row]:
    """Each setting of any of the runs, as really used; a value that is not the first run's is marked."""
    recipes = _row(words, "recipe", [words.text(f"recipe.{one.run.recipe}.title") for one in compared])
    bases = _row(words, "base_model", [one.base or words.text("run.from_scratch") for one in compared])
    names = list(dict.fromkeys(name for one in compared for name in one.run.params))
    return [recipes, bases, *(_row(words, name, [_setting(one.run.params, name) for one in compared]) for name in names)]


def _setting(params: dict[str, Any], name: str) -> str:
    return value_text(params[name].get("value")) if name in params else "—"


def _row(words: Words, name: str, texts: list[str]) -> Row:
    return Row(name, words.first(f"spec.{name}.label", f"compare.{name}", name), [Cell(text, text != texts[0]) for text in texts])


def results_of(words: Words, compared: list[Compared]) -> list[Row]:
    """The recommended models' metrics, the primary one first and with its interval; then what they cost."""
    models = [one.model for one in compared]
    if not any(models):
        return []
    primary = next((str(model["primary_metric"]) for model in models if model.get("primary_metric")), "")
    known = dict.fromkeys(key for model in models for key, value in (model.get("metrics") or {}).items() if value is not None)
    keys = [primary, *(key for key in known if key != primary)] if primary in known else list(known)
    named = Row("", words.text("compare.model"), [Cell(_name_of(words, model) if model else "—") for model in models])
    costs = [_cost_row(words, key, models) for key in COSTS]
    return [named, *(_metric_row(words, key, models) for key in keys), *costs]


def _name_of(words: Words, model: dict[str, Any]) -> str:
    return words.first(f"model.{model.get('architecture')}", f"family.{model.get('family')}", str(model.get("architecture")))


def _metric_row(words: Words, key: str, models: list[dict[str, Any]]) -> Row:
    values = [(model.get("metrics") or {}).get(key) for model in models]
    texts = [latin(key, value) for value in values]
    best = _best(values, texts, lower=key in LOWER_IS_BETTER)
    cells = [Cell(text, best=text == best, interval=_interval(model, key)) for text, model in zip(texts, models, strict=True)]
    return Row(key, figures.metric_name(words, key), cells)


def _cost_row(words: Words, key: str, models: list[dict[str, Any]]) -> Row:
    said = {"train_seconds": words.duration_or_less, "size_bytes": words.size, "parameters": words.number}[key]
    values = [model.get(key) for model in models]
    texts = [said(value) for value in values]
    best = _best(values, texts, lower=COSTS[key])
    return Row(key, words.text(f"compare.{key}"), [Cell(text, best=text == best) for text in texts])


def _best(values: list[float | None], texts: list[str], *, lower: bool) -> str | None:
    """What is said of the best value; None where there is nothing to choose: of no two values different things are said."""
    known = sorted((value, text) for value, text in zip(values, texts, strict=True) if value is not None)
    return known[0 if lower else -1][1] if len({text for _, text in known}) > 1 else None


def _interval(model: dict[str, Any], key: str) -> str:
    interval = model.get("interval")
    if not interval or key != model.get("primary_metric"):
        return ""
    return f"{latin(key, interval['low'])} – {latin(key, interval['high'])}"


def chart_of(words: Words, compared: list[Compared]) -> dict[str, Any]:
    keys = ("eval_loss", "loss", "accuracy", "macro_f1", "r2", "rmse", "learning_rate", "samples_per_second")
    known = {key for one in compared for key in one.run.metrics}
    groups = [_group(words, key) for key in keys if key in known or key == "loss"]
    return {"name": "compare", "groups": groups, "runs": [_line(one) for one in compared]}


def _group(words: Words, key: str) -> dict[str, Any]:
    title = figures.metric_name(words, key)
    return {"key": key, "title": title, "from_zero": "loss" in key, "noisy": key in charts.NOISY, "sparse": key in charts.SPARSE}


def _line(one: Compared) -> dict[str, Any]:
    about = {"id": one.run.id, "label": one.title, "tip": one.tail, "colour": one.colour}
    return {**about, "total_steps": one.total_steps, "src": f"/runs/{one.run.id}/curve"}
