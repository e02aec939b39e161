"""Recipes of other packages: entry points of the group ``kargah.recipes``, each of which names a ``Recipe`` (``package.spec:RECIPE``).

The server imports specs, so a foreign one is first tried in a process of its own: one that breaks, or that brings in libraries of
training, is left out and named. What was found is told to child processes, which do not try again.
"""

import json
import os
import subprocess
import sys
from collections.abc import Collection
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from importlib.util import find_spec
from pathlib import Path

from kargah.kit import i18n
from kargah.recipes.base import Recipe

GROUP = "kargah.recipes"
_TRIED = "KARGAH_RECIPES_TRIED"
_LIMIT_SECONDS = 60.0
#: What a server must not carry.
_HEAVY = ("torch", "numpy", "transformers", "sklearn", "scipy", "pandas", "tensorflow", "jax")
_TRIAL = """
import sys
from importlib.metadata import EntryPoint
from kargah.recipes.base import Recipe
found = EntryPoint("", sys.argv[1], "").load()
heavy = [name for name in sys.argv[2].split(",") if name in sys.modules]
print("heavy:" + ", ".join(heavy) if heavy else "" if isinstance(found, Recipe) else "no_recipe:" + type(found).__name__)
"""


@dataclass(frozen=True)
class Refusal:
    """``why``: broken, heavy, no_recipe or taken (its name is another recipe's)."""

    package: str
    name: str
    why: str
    detail: str


def load(taken: Collection[str]) -> tuple[list[Recipe], list[Refusal]]:
    """All recipes of other packages, and those that were left out."""
    points, recipes, refused = sorted(entry_points(group=GROUP), key=lambda point: point.name), list[Recipe](), list[Refusal]()
    tried: dict[str, str] = json.loads(os.environ.get(_TRIED, "{}")) if points else {}
    for point in points:
        key = f"{point.value}@{point.dist.version if point.dist else ''}"
        if key not in tried:
            tried[key] = "being tried"  # the trial itself finds this, should its spec import the catalogue
            os.environ[_TRIED] = json.dumps(tried)
            tried[key] = _trial(point)
            os.environ[_TRIED] = json.dumps(tried)
        recipe, refusal = _judged(point, tried[key], {*taken, *(recipe.name for recipe in recipes)})
        recipes += [recipe] if recipe else []
        refused += [refusal] if refusal else []
    return recipes, refused


def _trial(point: EntryPoint) -> str:
    """What is wrong with it, or ""."""
    command = [sys.executable, "-c", _TRIAL, point.value, ",".join(_HEAVY)]
    try:
        answer = subprocess.run(command, capture_output=True, text=True, timeout=_LIMIT_SECONDS, check=False)
    except subprocess.TimeoutExpired:
        return f"broken:{_LIMIT_SECONDS:.0f} s"
    lines = (answer.stderr if answer.returncode else answer.stdout).strip().splitlines()
    return f"broken:{lines[-1] if lines else answer.returncode}" if answer.returncode else lines[-1] if lines else ""


def _judged(point: EntryPoint, fault: str, taken: Collection[str]) -> tuple[Recipe | None, Refusal | None]:
    package = point.dist.name if point.dist else point.module
    why, _, detail = fault.partition(":")
    if fault:
        return None, Refusal(package, point.name, why, detail)
    recipe: Recipe = point.load()
    if recipe.name in taken:
        return None, Refusal(package, point.name, "taken", recipe.name)
    for folder in _folders(recipe.runtime):
        i18n.add_texts(folder / "locale")
    return recipe, None


def _folders(package: str) -> list[Path]:
    found = find_spec(package)
    return [Path(folder) for folder in found.submodule_search_locations or ()] if found else []
