"""The form that starts an evaluation: a model, data, another model beside it, which columns it reads, and what parts the rows."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fastapi import APIRouter
from pydantic import ValidationError
from sqlalchemy.orm import Session
from starlette.datastructures import FormData, QueryParams
from starlette.requests import Request
from starlette.responses import Response

from kargah.datasets import service as datasets
from kargah.kit.errors import KargahError
from kargah.models import service as models
from kargah.recipes import catalogue, hints
from kargah.recipes.columns import Column, ColumnKind
from kargah.store.access import Actor, require_creator
from kargah.training import evaluations
from kargah.training.schemas import EvaluationRequest
from kargah.web.deps import Ask, Asking
from kargah.web.idempotency import once_of_form
from kargah.web.pages.access import see
from kargah.web.pages.forms import Errors, errors_of, schema_errors
from kargah.web.pages.render import render
from kargah.web.pages.shell import page_of
from kargah.web.pages.words import Words

router = APIRouter(include_in_schema=False)
MOST_CHOICES = 100
#: A column of more values parts the rows into pieces that say nothing.
MOST_PARTS = 100
PARTS = ("all", "validation", "test")
#: What a role's own select is called; and what says that the columns were there to be ticked.
ROLE, TICKED = "column.", "slices"
_KINDS = {ColumnKind.TEXT, ColumnKind.CATEGORY, ColumnKind.INTEGER, ColumnKind.BOOLEAN}
Choices = list[tuple[str, str]]


@dataclass(frozen=True)
class Filled:
    """A form as far as it is filled in. ``columns``: role → column, where one is chosen; ``slices``: null where nobody was asked."""

    model: str
    dataset: str
    against: str
    part: str
    columns: dict[str, str]
    slices: list[str] | None

    @classmethod
    def of(cls, given: FormData | QueryParams) -> "Filled":
        """A change of model or data makes the columns be proposed anew."""
        told = {name: str(value).strip() for name, value in given.multi_items()}
        anew = told.get("changed") in ("model", "dataset")
        roles = {name.removeprefix(ROLE): value for name, value in told.items() if name.startswith(ROLE) and value}
        slices = [str(value) for value in given.getlist("slice")] if TICKED in told else None
        part = told.get("part", "all")
        return cls(
            model=told.get("model", "")[:64], dataset=told.get("dataset", "")[:64], against=told.get("against", "")[:64],
            part=part if part in PARTS else "all", columns={} if anew else roles, slices=None if anew else slices,
        )  # fmt: skip

    @property
    def wish(self) -> EvaluationRequest:
        """Raises ValidationError."""
        stated = {"model": self.model or "-", "dataset": self.dataset or "-", "against": self.against or None, "part": self.part}
        return EvaluationRequest.model_validate({**stated, "columns": self.columns, "slices": self.slices})


@dataclass(frozen=True)
class Materials:
    """``versions`` of models that can be measured; ``roles``: of the chosen one, those of one column; ``columns``: of the chosen data."""

    versions: Choices
    datasets: Choices
    roles: dict[str, str]
    columns: list[Column]


@router.get("/evaluations/new")
async def new_evaluation(request: Request, ask: Ask) -> Response:
    require_creator(ask.actor)
    return await _page(request, ask, Filled.of(request.query_params))


@router.post("/evaluations")
async def start(request: Request, ask: Ask) -> Response:
    require_creator(ask.actor)
    form = await request.form()
    filled, home = Filled.of(form), ask.settings.home
    try:
        wish = filled.wish
        made = await once_of_form(
            ask, str(form.get("_once", "")), wish.model_dump_json(), lambda session, actor: evaluations.start(session, actor, wish, home)
        )
    except ValidationError as problem:
        return await _page(request, ask, filled, schema_errors(request, problem), 422)
    except KargahError as error:
        field = {"NOT_FOUND": "model"} if error.code == "NOT_FOUND" else None
        return await _page(request, ask, filled, errors_of(request, error, field), error.status)
    return see(f"/evaluations/{made['id']}")


async def _page(request: Request, ask: Asking, filled: Filled, errors: Errors | None = None, status: int = 200) -> Response:
    page = page_of(request, "evaluations", crumbs=((Words(request.state.language).text("evaluation.new"), ""),))
    words = page.words
    known = await ask.read(_materials, words, filled, ask.settings.home)
    named = {column.name for column in known.columns}
    ticked = filled.slices
    if ticked is None:
        ticked = [column.name for column in known.columns if hints.named_exactly(column, "source")]
    own: dict[str, Any] = {
        "roles": [(role, words.first(f"role.{role}", role), taken, taken in named) for role, taken in known.roles.items()],
        "columns": [column.name for column in known.columns],
        "slices": [(column.name, column.name in ticked) for column in known.columns if _parts(column) or column.name in ticked],
        "chosen": filled.columns,
    }
    return render(
        "evaluation_new.html",
        page,
        status=status,
        models=_with(known.versions, filled.model),
        others=[("", words.text("evaluation.nobody")), *known.versions],
        datasets=_with(known.datasets, filled.dataset),
        parts=[(part, words.text(f"evaluation.part.{part}")) for part in PARTS],
        values={"model": filled.model, "dataset": filled.dataset, "against": filled.against, "part": filled.part},
        errors=errors or {},
        **own,
    )


def _parts(column: Column) -> bool:
    return column.kind in _KINDS and 2 <= column.distinct <= MOST_PARTS


def _with(choices: Choices, chosen: str) -> Choices:
    """What was named in the address, though it stand too far down to be offered (or be a training that is not over)."""
    return choices if not chosen or chosen in {value for value, _ in choices} else [(chosen, chosen), *choices]


def _materials(session: Session, actor: Actor, words: Words, filled: Filled, home: Path) -> Materials:
    """The newest first; of a model or data that are none there are no columns, and the start will say why."""
    known = models.list_for(session, actor, limit=MOST_CHOICES).items
    versions = [
        (version.id, f"{model.title} · {words.first(f'model.{version.architecture}', version.name)}")
        for model in known
        if model.recipe in catalogue.RECIPES and catalogue.get(model.recipe).evaluates
        for version in sorted(model.versions, key=lambda one: not one.recommended)
    ][:MOST_CHOICES]
    data = [(one.id, one.title) for one in datasets.list_for(session, actor, limit=MOST_CHOICES).items]
    model, dataset = (
        chosen or (choices[0][0] if choices else "") for chosen, choices in ((filled.model, versions), (filled.dataset, data))
    )
    try:
        roles = evaluations.roles_of(session, actor, model, home) if model and dataset else {}
        columns = evaluations.columns_of(session, actor, dataset) if roles else []
    except KargahError:
        return Materials(versions, data, {}, [])
    return Materials(versions, data, {role: taken for role, taken in roles.items() if isinstance(taken, str)}, columns)
