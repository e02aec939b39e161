"""Every recipe there is, tiny: trained, interrupted and resumed to the very same weights, asked, loaded again in bare transformers.

    scripts/recipes.py [--only NAME]

In every family of its models (``preset``). The small table is the one that each recipe brings. The last line counts; the exit status
says whether all held.
"""

import argparse
import hashlib
import json
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests"), str(ROOT / "tests" / "workers")]

from attempts import Job, events_of, of_kind  # noqa: E402
from support.forge import Forge  # noqa: E402
from test_resuming import SMALL, SPEC, families, sample_of  # noqa: E402

from kargah.recipes.base import Recipe  # noqa: E402
from kargah.recipes.predictor import about, load_predictor  # noqa: E402

RELOADED = """
import inspect, json, sys, transformers
folder = sys.argv[1]
name = json.load(open(folder + "/config.json"))["architectures"][0]
model = getattr(transformers, name).from_pretrained(folder)
tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
ids = tokenizer("کتاب خوب است", return_tensors="pt")
wanted = inspect.signature(model.forward).parameters
asked = {key: value for key, value in ids.items() if key in wanted}
asked |= {"decoder_input_ids": ids["input_ids"]} if model.config.is_encoder_decoder else {}
model.eval()(**asked)
"""


@dataclass
class Outcome:
    """``reloaded`` is null where the model is no class of transformers."""

    title: str
    same_weights: bool
    answered: bool
    reloaded: bool | None
    seconds: float

    @property
    def holds(self) -> bool:
        return self.same_weights and self.answered and self.reloaded is not False

    def line(self) -> str:
        marks = [{True: "yes", False: "NO", None: "–"}[value] for value in (self.same_weights, self.answered, self.reloaded)]
        return f"{self.title:36} {marks[0]:^18} {marks[1]:^9} {marks[2]:^14} {self.seconds:6.1f} s"


def tried(forge: Forge, recipe: Recipe, preset: str | None, home: Path) -> Outcome:
    began, table = time.monotonic(), sample_of(recipe)
    spec = {**SPEC, **{name: value for name, value in SMALL.items() if name in recipe.spec.model_fields}}
    spec |= {"preset": preset} if preset else {}
    whole = Job(home / "whole", recipe.name, table, spec=spec).lay_out()
    forge.run(whole)
    total = of_kind(events_of(whole), "Running")[0].total_steps
    job = Job(home / "killed", recipe.name, table, spec=spec)
    forge.run(job.lay_out(), "SIGKILL", total * 2 // 3)
    resumed = job.lay_out()
    forge.run(resumed)
    models = [directory.outputs / "model" for directory in (whole, resumed)]
    same = digest_of(models[0]) == digest_of(models[1]) != ""
    title = f"{recipe.name} ({preset})" if preset else recipe.name
    return Outcome(title, same, answers(recipe, models[1], table), reloads(models[1]), time.monotonic() - began)


def digest_of(folder: Path) -> str:
    """Of all weights; "" where there are none."""
    digest, found = hashlib.sha256(), sorted(folder.rglob("*.safetensors"))
    for path in found:
        digest.update(path.read_bytes())
    return digest.hexdigest() if found else ""


def answers(recipe: Recipe, folder: Path, table: dict[str, list[Any]]) -> bool:
    """Asked with the first row of its own table."""
    columns = about(folder)["columns"]
    question = {}
    for asked in (asked for asked in recipe.questions(columns) if asked.required or asked.is_column):
        name = asked.name if asked.is_column else columns.get(asked.name, asked.name)
        question[asked.name] = plain(table[name][0] if name in table else "کتاب")
    if recipe.name == "masked-lm":
        question["text"] = f"[MASK] {question['text']}"
    answer = load_predictor(folder).predict([question])
    return len(answer) == 1 and bool(answer[0])


def plain(value: Any) -> Any:
    """A list of words as a text, a conversation as its first turn."""
    if isinstance(value, list) and value:
        return value[0]["content"] if isinstance(value[0], dict) else " ".join(map(str, value))
    return value


def reloads(folder: Path) -> bool | None:
    """In a process that knows nothing of Kargah."""
    config = folder / "config.json"
    if not config.exists() or not is_of_transformers(json.loads(config.read_bytes())):
        return None
    command = [sys.executable, "-I", "-c", RELOADED, str(folder)]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def is_of_transformers(config: dict[str, Any]) -> bool:
    return "model_type" in config and not str((config.get("architectures") or ["Kargah"])[0]).startswith("Kargah")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", help="the recipe of this name")
    options = parser.parse_args()
    wanted = [case.values for case in families() if options.only in (None, case.values[0].name)]
    print(f"{'':36} {'resumed the same':^18} {'answered':^9} {'transformers':^14}")
    forge, outcomes = Forge(), []
    try:
        for number, (recipe, preset) in enumerate(wanted):
            with tempfile.TemporaryDirectory() as home:
                outcomes.append(tried(forge, recipe, preset, Path(home) / str(number)))
            print(outcomes[-1].line(), flush=True)
    finally:
        forge.close()
    held, names = sum(outcome.holds for outcome in outcomes), {recipe.name for recipe, _ in wanted}
    loaded = sum(outcome.reloaded is True for outcome in outcomes)
    print(f"{len(names)} recipes in {len(outcomes)} families: {held} hold, {loaded} of them reloaded in bare transformers")
    return 0 if held == len(outcomes) else 1


if __name__ == "__main__":
    sys.exit(main())
