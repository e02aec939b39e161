"""The recipes there are, by name: our own, then those of other packages (``plugins``). Importing this reaches no training code."""

from dataclasses import replace

from kargah.kit.errors import BadInput
from kargah.recipes import hints, plugins
from kargah.recipes.base import Match, Recipe
from kargah.recipes.causal_lm import spec as causal_lm
from kargah.recipes.columns import Column
from kargah.recipes.embeddings import spec as embeddings
from kargah.recipes.masked_lm import spec as masked_lm
from kargah.recipes.preference import spec as preference
from kargah.recipes.question_answering import spec as question_answering
from kargah.recipes.seq2seq import spec as seq2seq
from kargah.recipes.sft import spec as sft
from kargah.recipes.tabular import spec as tabular
from kargah.recipes.tasks import Task, by_structure
from kargah.recipes.text_classification import spec as text_classification
from kargah.recipes.token_classification import spec as token_classification

_SPECS = (
    text_classification,
    tabular,
    token_classification,
    question_answering,
    causal_lm,
    sft,
    preference,
    embeddings,
    masked_lm,
    seq2seq,
)
_OWN = {spec.RECIPE.name: spec.RECIPE for spec in _SPECS}
_FOREIGN, REFUSED = plugins.load(_OWN)
RECIPES: dict[str, Recipe] = _OWN | {recipe.name: recipe for recipe in _FOREIGN}


class UnknownRecipe(BadInput):
    code = "UNKNOWN_RECIPE"


def get(name: str) -> Recipe:
    try:
        return RECIPES[name]
    except KeyError:
        raise UnknownRecipe(field="recipe", name=name, known=", ".join(RECIPES)) from None


def guess(columns: list[Column], aimed: bool = False) -> list[tuple[Recipe, Match]]:
    """Recipes that could learn from these columns, the most likely first.

    Where the form of the columns tells the task (conversations, answers in a text …), only a recipe for that task is
    proposed, unless the user ``aimed`` at a column.
    """
    matches = [(recipe, match) for recipe in RECIPES.values() if (match := match_of(recipe, columns)) is not None]
    task = None if aimed else by_structure(columns)
    if task is not None:
        matches = [pair for pair in matches if task.name in pair[0].structures]
    return sorted(matches, key=lambda pair: pair[1].score, reverse=True)


def match_of(recipe: Recipe, columns: list[Column]) -> Match | None:
    """What one recipe could learn. A column that says which rows train and which test is not learnt from: it is the ``split``."""
    splits = [column.name for column in columns if hints.is_split(column)]
    match = recipe.guess([column for column in columns if column.name not in splits])
    if match is None or not splits:
        return match
    reason = ("guess.split_column", {"column": splits[0]})
    return replace(match, columns={**match.columns, "split": splits[0]}, reasons=(*match.reasons, reason))


def task_of(columns: list[Column]) -> Task | None:
    """What the table is for: what its form tells, else what the likeliest recipe would learn."""
    task = by_structure(columns)
    if task is not None and task.name != text_classification.RECIPE.name:
        return replace(task, has_recipe=any(task.name in recipe.structures for recipe in RECIPES.values()))
    matches = guess(columns)
    if not matches:
        return None
    recipe, match = matches[0]
    roles = {role: taken for role, taken in match.columns.items() if isinstance(taken, str)}
    return Task(_task_name(recipe.name, match), roles, has_recipe=True)


def _task_name(recipe: str, match: Match) -> str:
    problem = match.spec.get("problem_type")
    if recipe == "tabular":
        return f"tabular-{problem}"
    return "text-regression" if problem == "regression" else "text-pair-classification" if "text_pair" in match.columns else recipe
