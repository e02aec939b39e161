"""Starting a training, and what can be learned at all."""

from typing import Any

from fastapi import APIRouter
from fastapi.responses import Response
from pydantic import BaseModel

from kargah.kit import i18n
from kargah.recipes import catalogue
from kargah.recipes.base import Recipe
from kargah.training import service as training
from kargah.training.schemas import TrainingRequest, TrainingStarted
from kargah.web import idempotency
from kargah.web.deps import Ask

router = APIRouter(prefix="/api/v1", tags=["training"])


class RoleOut(BaseModel):
    name: str
    label: str
    required: bool
    many: bool


class RecipeOut(BaseModel):
    """``spec`` is the JSON schema of TrainingRequest.spec, with labels and help in the reader's language."""

    name: str
    version: int
    title: str
    help: str
    starts_from: list[str]
    roles: list[RoleOut]
    spec: dict[str, Any]


@router.post("/trainings", status_code=201, response_model=TrainingStarted)
async def start_training(request: TrainingRequest, ask: Ask, key: idempotency.Key = None) -> Response:
    """Queue a training; what ``spec`` leaves out is chosen from the data and shown with its reason."""
    return await idempotency.once(ask, key, request.model_dump_json(), training.start, request)


@router.get("/recipes")
async def list_recipes(ask: Ask) -> list[RecipeOut]:
    return [_shown(recipe, ask.language) for recipe in catalogue.RECIPES.values()]


@router.get("/recipes/{name}")
async def show_recipe(name: str, ask: Ask) -> RecipeOut:
    return _shown(catalogue.get(name), ask.language)


def _shown(recipe: Recipe, language: str) -> RecipeOut:
    schema = recipe.spec.model_json_schema()
    for name, field in schema["properties"].items():
        field["title"] = i18n.text(language, f"spec.{name}.label")
        field["description"] = i18n.text(language, f"spec.{name}.help")
    roles = [
        RoleOut(name=role.name, label=i18n.text(language, f"role.{role.name}"), required=role.required, many=role.many)
        for role in recipe.roles
    ]
    return RecipeOut(
        name=recipe.name,
        version=recipe.version,
        title=i18n.text(language, f"recipe.{recipe.name}.title"),
        help=i18n.text(language, f"recipe.{recipe.name}.help"),
        starts_from=list(recipe.starts_from),
        roles=roles,
        spec=schema,
    )
