"""The form for a new training: made from the recipe's spec, filled with what the data says, the same as YAML, curl, CLI and Python."""

from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from fastapi import APIRouter
from pydantic import ValidationError
from sqlalchemy.orm import Session
from starlette.requests import Request
from starlette.responses import Response

from kargah.datasets import service as datasets
from kargah.datasets.schemas import DatasetOut, Suggestion
from kargah.jobs import service as jobs
from kargah.jobs.schemas import JobOut
from kargah.jobs.states import TERMINAL, State
from kargah.jobs.terms import Terms
from kargah.kit.errors import KargahError, NotFound
from kargah.models import service as models
from kargah.models.schemas import ModelOut, ModelVersionOut
from kargah.monitoring import outlook
from kargah.monitoring.outlook import Outlook
from kargah.recipes import catalogue
from kargah.recipes.base import Recipe
from kargah.recipes.columns import Column
from kargah.runs import service as runs
from kargah.store.access import Actor
from kargah.training import checkpoints
from kargah.training import service as training
from kargah.training.schemas import TrainingRequest, TrainingStarted
from kargah.web.deps import Ask
from kargah.web.idempotency import once_of_form
from kargah.web.pages import mixing, same_as, spec_form, teachers, terms_form
from kargah.web.pages.access import see
from kargah.web.pages.dashboard import recipe_icon
from kargah.web.pages.forms import Errors, errors_of, schema_errors
from kargah.web.pages.render import render
from kargah.web.pages.run_controls import outlook_text
from kargah.web.pages.shell import page_of
from kargah.web.pages.spec_form import Given, Option
from kargah.web.pages.terms_form import Said
from kargah.web.pages.words import Words

router = APIRouter(include_in_schema=False)
MOST_DATASETS = 50
MOST_MIXED = 32
#: A training may come after one of the newest that are not over.
MOST_ACTIVE = 30
ACTIVE = [state for state in State if state not in TERMINAL]
SCRATCH, BASE = "scratch", "base_model"
#: A change of one of these makes the columns be guessed anew.
RESHAPING = {"dataset", "recipe"}


@dataclass(frozen=True)
class Materials:
    """What one can train with: data that is ready, the columns of the chosen data (``others``: of those mixed in), what could be learnt
    from them, base models, and those that were ``trained`` here."""

    ready: list[DatasetOut]
    chosen: list[str]
    columns: list[Column]
    others: dict[str, list[Column]]
    suggestions: list[Suggestion]
    bases: list[ModelOut]
    trained: list[ModelOut]
    active: list[JobOut] = field(default_factory=list)


@dataclass(frozen=True)
class Begins:
    """The checkpoint of another training with whose weights this one would begin."""

    job_id: str
    name: str
    step: int
    title: str


@dataclass(frozen=True)
class Filled:
    """A form as far as it is filled in."""

    recipe: Recipe
    roles: dict[str, list[str]]
    given: Given
    start: str
    base_model: str
    title: str
    said: Said
    teacher_model: str = ""
    begins: Begins | None = None
    errors: Errors = field(default_factory=dict)


@router.get("/runs/new")
async def new_training(request: Request, ask: Ask, like: str | None = None, checkpoint: str = "") -> Response:
    given = await ask(given_of_run, like, checkpoint) if like else given_of(request.query_params.multi_items())
    materials = await ask(materials_for, given.get("dataset", []))
    filled = _filled(_words(request), materials, given, await ask(begins_of, given, ask.settings.home))
    start = await ask(outlook.of_new, filled.said.priority, filled.said.terms)
    return _page(request, materials, filled, start)


@router.post("/runs/new")
async def start_training(request: Request, ask: Ask) -> Response:
    form = await request.form()
    given = given_of([(name, str(value)) for name, value in form.multi_items()])
    materials = await ask.read(materials_for, given.get("dataset", []))
    begins = await ask.read(begins_of, given, ask.settings.home)
    filled = _filled(_words(request), materials, given, begins)
    try:
        _checked(request, materials, filled)
        wanted = request_of(materials, filled, dry_run="dry_run" in given)
        body = f"{wanted.model_dump_json()} {begins}"
        made = await once_of_form(ask, given.get("_once", [""])[-1], body, partial(_start, wanted, begins, ask.settings.home))
    except _Refused as refused:
        errors, status = refused.errors, 422
    except KargahError as error:
        errors, status = errors_of(request, error), error.status
    else:
        return see(f"/runs/{made['run_id']}?done=run_queued")
    return _page(request, materials, _filled(_words(request), materials, given, begins, errors), None, status)


def _words(request: Request) -> Words:
    return Words(request.state.language)


def _start(wanted: TrainingRequest, begins: Begins | None, home: Path, session: Session, actor: Actor) -> TrainingStarted:
    if begins is not None:
        return checkpoints.begin_at(session, actor, begins.job_id, begins.name, wanted, home)
    return training.start(session, actor, wanted)


class _Refused(Exception):
    def __init__(self, errors: Errors) -> None:
        self.errors = errors


def _checked(request: Request, materials: Materials, filled: Filled) -> None:
    """Every field that is wrong at once, each beside itself."""
    wrong = dict(filled.said.errors)
    if mixing.has_bad_weight(materials.chosen, filled.given):
        wrong["weight"] = _words(request).text("train.weight_bad", greatest=mixing.GREATEST_WEIGHT)
    try:
        filled.recipe.spec.model_validate(spec_form.spec_given(filled.recipe, filled.given))
    except ValidationError as problem:
        wrong |= {f"spec.{name}": text for name, text in schema_errors(request, problem).items()}
    if wrong:
        raise _Refused(wrong)


def given_of(pairs: list[tuple[str, str]]) -> dict[str, list[str]]:
    given: dict[str, list[str]] = {}
    for name, value in pairs:
        given.setdefault(name, []).append(value)
    return given


def begins_of(session: Session, actor: Actor, given: Given, home: Path) -> Begins | None:
    """Raises NotFound for a checkpoint that is there no more."""
    job_id, name = _one(given, "from_job"), _one(given, "checkpoint")
    if not job_id or not name:
        return None
    found = next((one for one in checkpoints.list_for(session, actor, job_id, home) if one.name == name), None)
    if found is None:
        raise NotFound(kind="checkpoints", id=name)
    return Begins(job_id, name, found.step, jobs.show(session, actor, job_id).title)


def given_of_run(session: Session, actor: Actor, run_id: str, checkpoint: str = "") -> dict[str, list[str]]:
    """The form as it was filled in for an earlier run: only what was chosen then. ``checkpoint``: one of its own, to begin with."""
    run = runs.get_for(session, actor, run_id)
    job = jobs.get_for(session, actor, run.job_id or "")
    plan = job.plan
    of_version = {
        dataset.version.id: dataset.id for dataset in datasets.list_for(session, actor, limit=MOST_DATASETS).items if dataset.version
    }
    given: dict[str, list[str]] = {"recipe": [plan["recipe"]], "title": [plan["title"]]}
    given |= terms_form.given_of(job.priority, Terms.model_validate(job.terms))
    if checkpoint:
        given |= {"from_job": [job.id], "checkpoint": [checkpoint]}
    used = [(of_version[dataset["version_id"]], dataset) for dataset in plan["datasets"] if dataset["version_id"] in of_version]
    given["dataset"] = [dataset_id for dataset_id, _ in used]
    for dataset_id, dataset in used:
        given |= mixing.given_of(dataset_id, dataset, plan["spec"].get("columns") or {})
    for name in plan["chosen"]:
        value = plan["spec"].get(name)
        if name != "columns" and value is not None:
            given[spec_form.PREFIX + name] = [spec_form.text_of(value)] if value is not False else []
    for role, taken in (plan["spec"].get("columns") or {}).items():
        given[spec_form.ROLE_PREFIX + role] = [taken] if isinstance(taken, str) else taken
    if plan.get("base_model"):
        given |= {"start": [BASE], "base_model": [plan["base_model"]["version_id"]]}
    if plan.get("teacher_model"):
        given["teacher_model"] = [plan["teacher_model"]["version_id"]]
    return given


def materials_for(session: Session, actor: Actor, wanted: list[str]) -> Materials:
    ready = [one for one in datasets.list_for(session, actor, limit=MOST_DATASETS).items if one.version and one.version.state == "READY"]
    known = {dataset.id for dataset in ready}
    for dataset_id in wanted:
        if dataset_id not in known:
            ready.insert(0, datasets.get_for(session, actor, dataset_id))
    chosen = list(dict.fromkeys(wanted)) or [dataset.id for dataset in ready[:1]]
    is_ready = bool(chosen) and next(one for one in ready if one.id == chosen[0]).current_version_id is not None
    return Materials(
        ready=ready,
        chosen=chosen,
        columns=datasets.columns(session, actor, chosen[0]) if is_ready else [],
        others={one: datasets.columns(session, actor, one) for one in chosen[1:MOST_MIXED] if one in known},
        suggestions=datasets.suggest(session, actor, chosen[0]) if is_ready else [],
        bases=models.list_for(session, actor, source="local").items,
        trained=models.list_for(session, actor, source="training").items,
        active=jobs.list_for(session, actor, kind="train", states=ACTIVE, limit=MOST_ACTIVE).items,
    )


def _filled(words: Words, materials: Materials, given: dict[str, list[str]], begins: Begins | None, errors: Errors | None = None) -> Filled:
    changed = _one(given, "changed")
    asked = _one(given, "recipe") if changed != "dataset" else ""
    name = (
        asked if asked in catalogue.RECIPES else materials.suggestions[0].recipe if materials.suggestions else next(iter(catalogue.RECIPES))
    )
    recipe = catalogue.get(name)
    roles = spec_form.roles_given(recipe, given)
    if changed in RESHAPING or not any(roles.values()):
        roles = _guessed(materials, recipe)
    bases = BASE in recipe.starts_from and bool(_bases(materials, recipe))
    start = BASE if bases and _one(given, "start") == BASE else SCRATCH
    said = terms_form.read(words, given)
    base_model, title = _one(given, "base_model"), _one(given, "title")
    teacher = _one(given, "teacher_model") if recipe.learns_from_teachers else ""
    return Filled(recipe, roles, given, start, base_model, title, said, teacher, begins, errors or said.errors)


def _bases(materials: Materials, recipe: Recipe) -> list[tuple[str, ModelVersionOut]]:
    """(title, version): what was brought, then the transformer of each training: decoders for recipes that write, others for others."""
    writes = "text-generation" in recipe.pipeline_tags.values()
    brought = [(model.title, version) for model in materials.bases for version in model.versions[:1]]
    for model in materials.trained:
        fit = (one for one in model.versions if one.family == "network" and "For" in one.architecture)
        version = next((one for one in fit if one.architecture.endswith("ForCausalLM") == writes), None)
        brought += [(model.title, version)] if version and version.id not in {known.id for _, known in brought} else []
    return brought


def _teachers(words: Words, materials: Materials, filled: Filled) -> list[Option]:
    """Of several data sets mixed, the labels are known when they are read."""
    columns = materials.columns if len(materials.chosen) == 1 else []
    return teachers.options_of(words, filled.recipe, materials.trained, columns, filled.roles, filled.teacher_model)


def _guessed(materials: Materials, recipe: Recipe) -> dict[str, list[str]]:
    match = next((suggestion for suggestion in materials.suggestions if suggestion.recipe == recipe.name), None)
    return {role: [taken] if isinstance(taken, str) else taken for role, taken in match.columns.items()} if match else {}


def _one(given: Given, name: str) -> str:
    values = given.get(name) or [""]
    return values[-1]


def request_of(materials: Materials, filled: Filled, dry_run: bool = False) -> TrainingRequest:
    """A rehearsal waits for nothing but its turn; what limits the real one limits it too."""
    said = filled.said
    limits = said.terms.model_dump(include={"time_limit_seconds", "memory_limit_bytes"}, exclude_none=True)
    spec: dict[str, Any] = spec_form.spec_given(filled.recipe, filled.given)
    columns = spec_form.columns_of(filled.recipe, filled.roles)
    if columns:  # a proposed role without a column was declined, not forgotten
        columns |= {role: "" for role in _guessed(materials, filled.recipe) if not filled.roles.get(role)}
    return TrainingRequest(
        recipe=filled.recipe.name,
        title=filled.title.strip()[:300] or None,
        datasets=mixing.uses_of(materials.chosen[:MOST_MIXED], filled.roles, filled.given),
        base_model=filled.base_model[:64] or None if filled.start == BASE else None,
        teacher_model=filled.teacher_model[:64] or None,
        spec={**({"columns": columns} if columns else {}), **spec},
        dry_run=dry_run,
        priority=said.priority,
        terms=Terms.model_validate(limits) if dry_run else said.terms,
    )


def _page(request: Request, materials: Materials, filled: Filled, start: Outlook | None, status: int = 200) -> Response:
    page = page_of(request, "runs", crumbs=((Words(request.state.language).text("nav.new"), ""),))
    words = page.words
    terms = terms_form.group_of(words, filled.given, materials.active, filled.errors)
    groups = [*spec_form.groups_of(words, filled.recipe, filled.given, filled.errors), terms]
    return render(
        "new_training.html",
        page,
        status=status,
        recipes=[_recipe_choice(words, name, filled, materials) for name in catalogue.RECIPES],
        datasets=[_dataset_choice(words, dataset, materials) for dataset in materials.ready],
        roles=spec_form.roles_of(words, filled.recipe, materials.columns, filled.roles, filled.errors),
        mixed=mixing.fields_of(words, _mixed(materials), materials.others, filled.roles, filled.given),
        reasons=_reasons(words, materials, filled),
        can_base=BASE in filled.recipe.starts_from,
        bases=[Option(version.id, title, version.id == filled.base_model) for title, version in _bases(materials, filled.recipe)],
        start=filled.start,
        can_be_taught=filled.recipe.learns_from_teachers,
        teachers=_teachers(words, materials, filled),
        groups=groups,
        field_count=sum(len(group.fields) for group in groups),
        view="all" if _one(filled.given, "view") == "all" or _hidden_error(groups) else "basic",
        title=filled.title,
        title_hint=next((dataset.title for dataset in materials.ready if dataset.id in materials.chosen), ""),
        errors=filled.errors,
        other_error=_other_error(filled),
        same=_same(materials, filled, str(request.base_url).rstrip("/")),
        begins=filled.begins,
        outlook=outlook_text(words, start),
        blocked="" if materials.columns else words.text("train.needs_data" if not materials.ready else "train.choose_data"),
    )


def _mixed(materials: Materials) -> list[DatasetOut]:
    by_id = {dataset.id: dataset for dataset in materials.ready}
    return [by_id[dataset_id] for dataset_id in materials.chosen if dataset_id in by_id]


def _same(materials: Materials, filled: Filled, server: str) -> same_as.SameAs:
    request, begins = request_of(materials, filled), filled.begins
    return same_as.of(request, server) if begins is None else same_as.of_continued(request, server, begins.job_id, begins.name)


def _recipe_choice(words: Words, name: str, filled: Filled, materials: Materials) -> dict[str, Any]:
    guessed = bool(materials.suggestions) and materials.suggestions[0].recipe == name
    return {
        "name": name,
        "icon": recipe_icon(name),
        "title": words.text(f"recipe.{name}.title"),
        "help": words.text("train.guessed") if guessed else words.text(f"recipe.{name}.help"),
        "chosen": name == filled.recipe.name,
    }


def _dataset_choice(words: Words, dataset: DatasetOut, materials: Materials) -> dict[str, Any]:
    version = dataset.version
    facts = f"{words.text('dataset.rows', n=version.rows)} · {words.size(version.source_size_bytes)}" if version and version.rows else ""
    return {"id": dataset.id, "title": dataset.title, "facts": facts, "chosen": dataset.id in materials.chosen}


def _reasons(words: Words, materials: Materials, filled: Filled) -> list[str]:
    match = next((suggestion for suggestion in materials.suggestions if suggestion.recipe == filled.recipe.name), None)
    if match is None or filled.roles != _guessed(materials, filled.recipe):
        return []
    return [words.text(reason.code, **reason.params) for reason in match.reasons]


def _hidden_error(groups: list[spec_form.Group]) -> bool:
    return any(found.error and not found.basic for group in groups for found in group.fields)


def _other_error(filled: Filled) -> str:
    """What is wrong with no field of the form."""
    shown = {"datasets", "base_model", "teacher_model", "title", "weight"}
    return next((text for name, text in filled.errors.items() if name not in shown and not name.startswith(("spec.", "terms."))), "")
