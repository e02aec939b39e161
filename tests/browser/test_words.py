"""Words of forms and pages: every field, role, choice and state has its text in both languages."""

import re
from pathlib import Path

import pytest

from kargah.jobs.states import State
from kargah.kit.i18n import LANGUAGES, has_text
from kargah.recipes.base import Recipe
from kargah.recipes.catalogue import RECIPES
from kargah.recipes.columns import ColumnKind

WEB = Path(__file__).parents[2] / "kargah" / "web"
SAID = re.compile(r"""\bt\(\s*['"]([a-z][\w.-]*)['"](?!\s*~)""")


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("recipe", RECIPES.values(), ids=lambda recipe: recipe.name)
def test_every_field_and_role_of_a_recipe_is_explained(recipe: Recipe, language: str) -> None:
    keys = [f"recipe.{recipe.name}.title", f"recipe.{recipe.name}.help"]
    keys += [f"spec.{name}.{part}" for name in recipe.spec.model_fields for part in ("label", "help")]
    keys += [f"role.{role.name}{part}" for role in recipe.roles for part in ("", ".help")]
    assert [key for key in keys if not has_text(language, key)] == []


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("recipe", RECIPES.values(), ids=lambda recipe: recipe.name)
def test_every_choice_and_group_of_a_recipe_has_a_name(recipe: Recipe, language: str) -> None:
    properties = recipe.spec.model_json_schema()["properties"].values()
    groups = {f"group.{schema['group']}" for schema in properties}
    choices = {choice for schema in properties for choice in schema.get("enum", [])}
    unnamed = [choice for choice in choices if not (has_text(language, f"choice.{choice}") or has_text(language, f"metric.{choice}"))]
    assert unnamed == []
    assert [group for group in groups if not has_text(language, group)] == []


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_state_and_kind_of_column_has_a_word(language: str) -> None:
    keys = [f"state.{state}" for state in State] + [f"kind.{kind}" for kind in ColumnKind]
    assert [key for key in keys if not has_text(language, key)] == []


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_text_that_a_template_asks_for_is_there(language: str) -> None:
    asked = {key for path in (WEB / "templates").glob("*.html") for key in SAID.findall(path.read_text(encoding="utf-8"))}
    assert sorted(key for key in asked if not has_text(language, key)) == []


def test_templates_and_scripts_hold_no_persian_and_no_inline_style() -> None:
    for path in [*(WEB / "templates").rglob("*.html"), *(WEB / "static" / "js").glob("*.js")]:
        text = path.read_text(encoding="utf-8")
        assert not re.search(r"[\u0620-\u064a\u066e-\u06d3]", text), path.name
        assert not re.search(r"<[^>]+\sstyle=|<style|<script>|\son\w+=\"", text), path.name


def test_the_css_is_logical_and_keeps_to_the_tokens() -> None:
    css = re.sub(r"/\*.*?\*/", "", (WEB / "static" / "pages.css").read_text(encoding="utf-8"), flags=re.S)
    assert re.findall(r"(?<![\w-])(?:left|right)(?![\w-])[^;]*;", css) == []
    assert re.findall(r"#[0-9a-f]{3,8}\b", css) == []
