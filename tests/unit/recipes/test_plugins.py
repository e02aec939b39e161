"""Recipes of other packages: found by their entry points, tried apart, named when they are left out."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

EXAMPLE = Path(__file__).parents[3] / "examples" / "kargah-letters"
BROKEN = {
    "brings_torch": "from kargah.recipes.tabular.spec import RECIPE\nimport torch\n",
    "raises": "raise RuntimeError('no such luck')\n",
    "names_something_else": "RECIPE = 3\n",
    "takes_a_name": "from kargah.recipes.tabular.spec import RECIPE\n",
}


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder of installed packages: the example, and four that are no good."""
    folder = tmp_path_factory.mktemp("packages")
    command = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--no-build-isolation", "--target", str(folder), str(EXAMPLE)]
    subprocess.run(command, check=True, capture_output=True)
    for name, content in BROKEN.items():
        (folder / f"{name}.py").write_text(content)
        about = folder / f"{name}-1.0.dist-info"
        about.mkdir()
        (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        (about / "entry_points.txt").write_text(f"[kargah.recipes]\n{name} = {name}:RECIPE\n")
    yield folder


def told(packages: Path, script: str) -> Any:
    """What a fresh interpreter with these packages prints."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(packages), str(EXAMPLE.parents[1])]), "OMP_NUM_THREADS": "1"}
    answer = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, env=environment, check=False)
    assert answer.returncode == 0, answer.stderr
    return json.loads(answer.stdout.splitlines()[-1])


def test_a_recipe_of_another_package_stands_among_ours_with_its_own_words(packages: Path) -> None:
    script = """
import json, sys
from kargah.kit import i18n
from kargah.recipes import catalogue
print(json.dumps([list(catalogue.RECIPES)[-1], i18n.text("fa", "recipe.letters.title"), "torch" in sys.modules, "numpy" in sys.modules]))
"""
    assert told(packages, script) == ["letters", "حرف‌ها", False, False]


def test_one_that_breaks_or_brings_what_a_server_must_not_carry_is_left_out_and_named(packages: Path) -> None:
    script = """
import json
from kargah.recipes import catalogue
print(json.dumps({refused.name: [refused.why, refused.detail] for refused in catalogue.REFUSED}))
"""
    refused = told(packages, script)
    assert refused["brings_torch"] == ["heavy", "torch, numpy"]
    assert refused["raises"] == ["broken", "RuntimeError: no such luck"]
    assert refused["names_something_else"] == ["no_recipe", "int"]
    assert refused["takes_a_name"] == ["taken", "tabular"]
    assert "letters" not in refused


def test_child_processes_do_not_try_again(packages: Path) -> None:
    script = """
import json, subprocess, sys
from kargah.recipes import catalogue, plugins
plugins._trial = None
print(json.dumps([recipe.name for recipe in plugins.load(())[0]]))
"""
    assert told(packages, script) == ["letters", "tabular"]


def test_the_example_trains_from_the_terminal_and_answers(packages: Path, tmp_path: Path) -> None:
    (tmp_path / "plan.yaml").write_text(
        f"datasets: [{EXAMPLE}/kargah_letters/samples/letters.csv]\nrecipe: letters\noutput: model\nspec: {{epochs: 20}}\n"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(packages), str(EXAMPLE.parents[1])]), "OMP_NUM_THREADS": "1"}

    def kargah(*arguments: str) -> str:
        command = [sys.executable, "-m", "kargah", "--language", "en", *arguments]
        ended = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
        assert ended.returncode == 0, ended.stderr + ended.stdout
        return ended.stdout

    assert "left out" in kargah("recipes")
    kargah("train", "plan.yaml")
    answers = json.loads(kargah("predict", "model", "هوا آرام است", "the air is calm", "--json"))
    assert [answer["label"] for answer in answers] == ["فارسی", "English"]
