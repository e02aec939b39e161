"""A page hands its template every name that stands in it, and in what it includes: one that is missing is a 500 on a rare branch."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest
from jinja2 import Environment, meta, nodes

import kargah.web
from kargah.web.pages.render import environment

WEB = Path(kargah.web.__file__).parent
#: What a template asks for on a branch that this call does not take.
NOT_REACHED = {"register.html": {"errors", "intro", "values"}}


def renders() -> Iterator[tuple[str, str, set[str]]]:
    """(where, template, names) of every call that spells all names out."""
    for path in sorted(WEB.rglob("*.py")):
        for call in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(call, ast.Call) or not isinstance(call.func, ast.Name) or call.func.id != "render":
                continue
            names, template = [keyword.arg for keyword in call.keywords], call.args[0]
            if isinstance(template, ast.Constant) and None not in names:
                yield f"{path.name}:{call.lineno}", str(template.value), {name for name in names if name}


def asked_for(templates: Environment, name: str) -> tuple[set[str], set[str]]:
    """(names that are asked for, names that are made) in a template, what it extends and what it includes."""
    tree = templates.parse((WEB / "templates" / name).read_text(encoding="utf-8"))
    asked, made = meta.find_undeclared_variables(tree), {one.name for one in tree.find_all(nodes.Name) if one.ctx == "store"}
    made |= {one.name for one in tree.find_all(nodes.Macro)} | {one.target for one in tree.find_all(nodes.Import)}
    for one in (*tree.find_all(nodes.Extends), *tree.find_all(nodes.Include)):
        assert isinstance(one.template, nodes.Const), name
        theirs = asked_for(templates, one.template.value)
        asked, made = asked | theirs[0], made | theirs[1]
    return asked, made


@pytest.mark.parametrize(("where", "template", "given"), list(renders()))
def test_a_template_gets_all_that_it_names(where: str, template: str, given: set[str]) -> None:
    templates = environment("en")
    asked, made = asked_for(templates, template)
    assert asked - made - given - set(templates.globals) - {"page"} <= NOT_REACHED.get(template, set()), where


def test_most_pages_are_looked_at() -> None:
    assert len(list(renders())) > 30
