"""What can be done about the problems of a data set: mends that its report offers, and trainings that it calls for."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from kargah.contract.fixes import AnyFix, Normalise, is_safe
from kargah.datasets.schemas import DatasetDetail, JsonDict, Suggestion
from kargah.recipes import catalogue
from kargah.web.pages.words import Words

NORMALISE = "normalise"


@dataclass(frozen=True)
class FixButton:
    """``value``: the place of the fix in the report, as ``problem.fix``. ``label``: with how much it touches."""

    value: str
    kind: str
    label: str
    is_safe: bool


@dataclass(frozen=True)
class Way:
    """What can be done about a problem without changing the data: a training that is set up for it."""

    href: str
    label: str


def fixes_of(report: dict[str, Any], places: Iterable[str] | None = None) -> list[JsonDict]:
    """The fixes that the report offers at ``places``, else all safe ones. One of the places is ``NORMALISE``."""
    offered = {
        f"{place}.{number}": fix
        for place, found in enumerate(report.get("problems", []))
        for number, fix in enumerate(found.get("fixes") or [])
    }
    offered[NORMALISE] = Normalise().model_dump(mode="json")
    if places is None:
        return [fix for fix in offered.values() if is_safe(AnyFix.validate_python(fix))]
    return [offered[place] for place in places if place in offered]


def buttons_of(words: Words, found: dict[str, Any], place: int) -> list[FixButton]:
    """Reports of earlier releases do not say how much each fix touches: as much as the problem."""
    offered = found.get("fixes") or []
    touches = found.get("touches") or [{"count": found["count"], "is_estimate": False}] * len(offered)
    return [
        FixButton(f"{place}.{number}", fix["kind"], _with_count(words, fix, touched), is_safe(AnyFix.validate_python(fix)))
        for number, (fix, touched) in enumerate(zip(offered, touches, strict=True))
    ]


def _with_count(words: Words, fix: JsonDict, touched: JsonDict) -> str:
    key = "dataset.fix_about" if touched["is_estimate"] else "dataset.fix_count"
    return words.text(key, fix=fix_text(words, fix), n=words.number(touched["count"]))


def fix_text(words: Words, fix: JsonDict) -> str:
    """What a fix does: the text for its kind and its manner, the more exact before the plainer."""
    near, drop = "near" if fix.get("near") else None, "drop" if fix.get("otherwise") == "drop" else None
    manner = ".".join(filter(None, [fix.get("by"), fix.get("to"), fix.get("calendar"), near]))
    plain = f"fix.{fix['kind']}.{manner}" if manner else f"fix.{fix['kind']}"
    params = {**fix, "languages": words.text("list.comma").join(language_text(words, name) for name in fix.get("languages", []))}
    return words.first(*([f"{plain}.{drop}"] if drop else []), plain, f"fix.{fix['kind']}", **params)


def language_text(words: Words, name: str) -> str:
    return words.first(f"language.{name}", name)


@dataclass(frozen=True)
class Ways:
    """Trainings that a problem calls for, by what would be learnt from this data set."""

    words: Words
    dataset: DatasetDetail
    suggestions: list[Suggestion]

    def of(self, found: JsonDict) -> list[Way]:
        if not self.suggestions or not found["columns"]:
            return []
        first, column = self.suggestions[0], found["columns"][0]
        takes_weights = "class_weights" in catalogue.get(first.recipe).spec.model_fields
        if found["code"] == "IMBALANCE" and takes_weights and column in (first.columns.get("label"), first.columns.get("target")):
            return [self._training("class_weights", first.recipe, {"spec.class_weights": "balanced"})]
        if found["code"] == "ONE_SIDE_TELLS" and first.recipe == "text-classification":
            return [self._training("one_side", first.recipe, {"role.text": column, "role.label": str(found["params"]["target"])})]
        return []

    def _training(self, name: str, recipe: str, given: dict[str, str]) -> Way:
        asked = urlencode({"dataset": self.dataset.id, "recipe": recipe, **given})
        return Way(f"/runs/new?{asked}", self.words.text(f"dataset.way.{name}"))
