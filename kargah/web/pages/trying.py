"""Try a model: which questions it takes, the form for them, and its answers."""

from dataclasses import dataclass, field
from typing import Any

from fastapi import APIRouter
from sqlalchemy.orm import Session
from starlette.requests import Request
from starlette.responses import Response

from kargah.jobs import service as jobs
from kargah.kit.errors import KargahError
from kargah.models import service as models
from kargah.models.schemas import ModelVersionOut
from kargah.recipes import catalogue
from kargah.runs import service as runs
from kargah.serving import service as serving
from kargah.store.access import Actor
from kargah.web.deps import Ask
from kargah.web.pages.answers import Answer, answer_of
from kargah.web.pages.forms import errors_of, form_of
from kargah.web.pages.render import render
from kargah.web.pages.run_views import RunData, name_of
from kargah.web.pages.shell import page_of
from kargah.web.pages.words import Words

router = APIRouter(include_in_schema=False)


@dataclass(frozen=True)
class Place:
    """One field of a question: ``name`` in the form, ``label`` is the column's own name when it is one."""

    name: str
    label: str
    long: bool
    required: bool
    is_column: bool


@dataclass(frozen=True)
class TryIt:
    """``choices``: (version id, name, is chosen)."""

    version_id: str
    choices: list[tuple[str, str, bool]]
    places: list[Place]
    values: dict[str, str] = field(default_factory=dict)
    errors: dict[str, str] = field(default_factory=dict)
    answer: Answer | None = None


def of_versions(words: Words, data: RunData, model: str | None = None) -> TryIt | None:
    """Of a run's models the asked one, else the recommended."""
    usable = [version for version in data.versions if version.family != "base"]
    if not usable:
        return None
    chosen = next((version for version in usable if version.id == model), next((one for one in usable if one.recommended), usable[0]))
    return _try_it(words, chosen, usable, data.plan)


def _try_it(words: Words, chosen: ModelVersionOut, versions: list[ModelVersionOut], plan: dict[str, Any], **more: Any) -> TryIt:
    choices = [(version.id, name_of(words, version), version.id == chosen.id) for version in versions]
    return TryIt(chosen.id, choices, places_of(words, plan), **more)


def places_of(words: Words, plan: dict[str, Any]) -> list[Place]:
    questions = catalogue.get(plan["recipe"]).questions(plan["spec"].get("columns") or {})
    return [
        Place(f"in-{index}", asked.name, asked.long, asked.required, is_column=True)
        if asked.is_column
        else Place(asked.name, words.text(f"role.{asked.name}"), asked.long, asked.required, is_column=False)
        for index, asked in enumerate(questions)
    ]


def _plan_of(session: Session, actor: Actor, version_id: str) -> tuple[ModelVersionOut, list[ModelVersionOut], dict[str, Any]]:
    """The version, those of the same run, and the plan they were trained by."""
    version = serving.check_servable(session, actor, version_id)
    job_id = runs.get_for(session, actor, version.run_id).job_id if version.run_id else None
    if job_id is None:
        raise serving.ModelNotServable(field="model", id=version_id)
    return version, models.versions_of_run(session, actor, version.run_id or ""), jobs.get_for(session, actor, job_id).plan


@router.get("/models/versions/{version_id}/try")
async def try_page(version_id: str, request: Request, ask: Ask) -> Response:
    version, versions, plan = await ask(_plan_of, version_id)
    page = page_of(request, "models", crumbs=((str(plan["title"]), ""),))
    return render("try_page.html", page, try_it=_try_it(page.words, version, versions, plan), title=plan["title"])


@router.post("/models/versions/{version_id}/try")
async def try_version(version_id: str, request: Request, ask: Ask) -> Response:
    values = await form_of(request)
    version, versions, plan = await ask.read(_plan_of, values.get("version") or version_id)
    page = page_of(request, "models", crumbs=((str(plan["title"]), ""),))
    places = places_of(page.words, plan)
    try:
        found = await serving.predict(ask, version.id, [_question(places, values)])
        more: dict[str, Any] = {"answer": answer_of(page.words, found.outputs[0])}
        status = 200
    except KargahError as error:
        more, status = {"errors": {"": errors_of(request, error, {})[""]}}, error.status
    try_it = _try_it(page.words, version, versions, plan, values=values, **more)
    return render("try_page.html", page, status=status, try_it=try_it, title=plan["title"])


def _question(places: list[Place], values: dict[str, str]) -> dict[str, Any]:
    """What was left empty is not asked, unless it is a column's: there it is a gap."""
    asked = [place for place in places if values.get(place.name) or place.required or place.is_column]
    return {place.label if place.is_column else place.name: values.get(place.name, "") for place in asked}
