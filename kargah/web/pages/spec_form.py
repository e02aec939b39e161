"""A form from a recipe's spec: its fields as the page shows them, and what was typed as values of the spec."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from kargah.kit.i18n import latin_digits
from kargah.recipes.base import AUTO, Recipe, Role
from kargah.recipes.columns import Column
from kargah.web.pages.forms import Errors
from kargah.web.pages.words import Words

PREFIX, ROLE_PREFIX, SHOWN_PREFIX = "spec.", "role.", "shown."
GROUPS = ("training", "model", "data", "evaluation", "baselines", "hardware", "reproducibility")

#: What came from a form: each field with all its values.
Given = Mapping[str, list[str]]


@dataclass(frozen=True)
class Option:
    value: str
    text: str
    chosen: bool


@dataclass(frozen=True)
class SpecField:
    """``kind``: number, text, choice, many (of ``options``) or switch. ``facts``: its name in YAML, its default, what it takes."""

    name: str
    form_name: str
    label: str
    help: str
    kind: str
    value: str
    placeholder: str
    checked: bool
    basic: bool
    options: list[Option]
    error: str
    facts: list[tuple[str, str]]
    manual: str


@dataclass(frozen=True)
class Group:
    title: str
    basic: bool
    fields: list[SpecField]


@dataclass(frozen=True)
class RoleField:
    form_name: str
    label: str
    help: str
    required: bool
    many: bool
    options: list[Option]
    error: str


def groups_of(words: Words, recipe: Recipe, given: Given, errors: Errors) -> list[Group]:
    """All fields but the column roles, in groups; a group with no basic field shows only among "all"."""
    by_group: dict[str, list[SpecField]] = {name: [] for name in GROUPS}
    for name, schema in _properties(recipe).items():
        by_group.setdefault(str(schema.get("group", "training")), []).append(_field(words, recipe, name, schema, given, errors))
    return [
        Group(words.text(f"group.{group}"), any(field.basic for field in fields), sorted(fields, key=lambda field: not field.basic))
        for group, fields in by_group.items()
        if fields
    ]


def _properties(recipe: Recipe) -> dict[str, dict[str, Any]]:
    return {name: schema for name, schema in recipe.spec.model_json_schema()["properties"].items() if name != "columns"}


def _field(words: Words, recipe: Recipe, name: str, schema: dict[str, Any], given: Given, errors: Errors) -> SpecField:
    default, kind, typed = schema.get("default"), _kind(schema), given.get(PREFIX + name, [])
    value = typed[-1] if typed else ""
    shown = PREFIX + name in given or SHOWN_PREFIX + name in given
    return SpecField(
        name=name,
        form_name=PREFIX + name,
        label=words.first(f"spec.{recipe.name}.{name}.label", f"spec.{name}.label", name),
        help=words.optional(f"spec.{recipe.name}.{name}.help") or words.optional(f"spec.{name}.help"),
        kind=kind,
        value=value,
        placeholder=words.text("choice.auto") if default is None else _written(default),
        checked=bool(typed) if shown else bool(default),
        basic=bool(schema.get("basic")),
        options=[_choice(words, choice, value or str(default)) for choice in schema.get("enum", [])],
        error=errors.get(PREFIX + name, ""),
        facts=_facts(words, name, schema),
        manual=f"/help/{recipe.name}#{name}",
    )


def _facts(words: Words, name: str, schema: dict[str, Any]) -> list[tuple[str, str]]:
    default = schema.get("default")
    shown = words.text("train.decided") if default in (None, AUTO) else words.first(f"choice.{default}", _written(default))
    facts = [(words.text("train.default"), shown), (words.text("train.name"), name)]
    taken = _range(schema)
    return [facts[0], (words.text("train.range"), taken), facts[1]] if taken else facts


def _range(schema: dict[str, Any]) -> str:
    """As one writes it: ``0 < … ≤ 10``."""
    ends = {key: value for option in [schema, *schema.get("anyOf", [])] for key, value in option.items()}
    low = next((f"{_written(ends[key])} {sign} " for key, sign in (("minimum", "≤"), ("exclusiveMinimum", "<")) if key in ends), "")
    high = next((f" {sign} {_written(ends[key])}" for key, sign in (("maximum", "≤"), ("exclusiveMaximum", "<")) if key in ends), "")
    return f"\u2066{low}…{high}\u2069" if low or high else ""


def _written(value: Any) -> str:
    """As one would type it: 30 and not 30.0."""
    return f"{value:g}" if isinstance(value, float) else str(value)


def _kind(schema: dict[str, Any]) -> str:
    if "enum" in schema:
        return "choice"
    types = {schema.get("type"), *(option.get("type") for option in schema.get("anyOf", []))}
    return "switch" if "boolean" in types else "number" if types & {"integer", "number"} else "text"


def _choice(words: Words, choice: str, chosen: str) -> Option:
    return Option(choice, words.first(f"choice.{choice}", f"metric.{choice}", choice), choice == chosen)


def roles_of(words: Words, recipe: Recipe, columns: list[Column], taken: Mapping[str, list[str]], errors: Errors) -> list[RoleField]:
    return [_role(words, role, columns, taken.get(role.name, []), errors) for role in recipe.roles]


def _role(words: Words, role: Role, columns: list[Column], taken: list[str], errors: Errors) -> RoleField:
    options = [Option(column.name, column.name, column.name in taken) for column in columns]
    if not role.many and not role.required:
        options.insert(0, Option("", words.text("choice.none"), not taken))
    return RoleField(
        form_name=ROLE_PREFIX + role.name,
        label=words.text(f"role.{role.name}"),
        help=words.optional(f"role.{role.name}.help"),
        required=role.required,
        many=role.many,
        options=options,
        error=errors.get(f"{PREFIX}columns.{role.name}", ""),
    )


def spec_given(recipe: Recipe, given: Given) -> dict[str, Any]:
    """Only what was set: an empty field, and a choice left at its default, are decided later and shown with the reason."""
    spec: dict[str, Any] = {}
    for name, schema in _properties(recipe).items():
        value = _typed(schema, given.get(PREFIX + name, []), SHOWN_PREFIX + name in given)
        if value is not None and value != schema.get("default") and value != AUTO:
            spec[name] = value
    return spec


def _typed(schema: dict[str, Any], typed: list[str], shown: bool) -> Any:
    """The value as the spec has it; what is no number stays text, and the spec says what is wrong with it."""
    kind = _kind(schema)
    if kind == "switch":
        return bool(typed) if shown or typed else None
    text = typed[-1].strip() if typed else ""
    if not text:
        return None
    return number_of(text) if kind == "number" else text


def number_of(text: str) -> int | float | str:
    """Persian, Arabic and Latin digits, «٫», «٬» and «٪»; what is no number is given back as it is."""
    latin = latin_digits(text).replace(",", "").replace(" ", "")
    share = latin.endswith("%")
    try:
        value = float(latin.removesuffix("%"))
    except ValueError:
        return text
    value = value / 100 if share else value
    return int(value) if value.is_integer() and "e" not in latin.lower() and "." not in latin else value


def text_of(value: Any) -> str:
    """As a person would have typed it."""
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def roles_given(recipe: Recipe, given: Given) -> dict[str, list[str]]:
    return {role.name: [name for name in given.get(ROLE_PREFIX + role.name, []) if name] for role in recipe.roles}


def columns_of(recipe: Recipe, roles: Mapping[str, list[str]]) -> dict[str, str | list[str]]:
    """As the spec wants it: one column as text, several as a list; roles without a column are left out."""
    found: dict[str, str | list[str]] = {}
    for role in recipe.roles:
        taken = roles.get(role.name) or []
        if taken:
            found[role.name] = taken if role.many and len(taken) > 1 else taken[0]
    return found
