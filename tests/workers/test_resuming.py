"""Every recipe there is, in every family of its models: interrupted at any step, it ends with the very weights it would have had."""

import random
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any, get_args

import pytest
from attempts import Job, events_of, of_kind, read_csv, read_jsonl
from support.forge import Forge
from test_training import counted_steps, weights

from kargah.contract.attempt import AttemptDirectory
from kargah.recipes import catalogue
from kargah.recipes.base import Recipe

#: Small where a recipe has such a setting; saved seldom enough that a kill loses steps.
SMALL = {"hidden_size": 16, "num_layers": 1, "vocab_size": 400, "dropout": 0.2, "max_length": 32}
SPEC = {"epochs": 3, "batch_size": 16, "checkpoint_seconds": 3600, "checkpoint_steps": 4, "baselines": False}
WAYS = {"pause": "Paused", "SIGTERM": "Interrupted", "SIGKILL": None}


def families() -> Iterator[Any]:
    for recipe in catalogue.RECIPES.values():
        preset = recipe.spec.model_fields.get("preset")
        for name in [name for name in get_args(preset.annotation) if name != "auto"] if preset else [None]:
            yield pytest.param(recipe, name, id=f"{recipe.name}-{name}" if name else recipe.name)


def cases() -> Iterator[Any]:
    """Each family as it comes, and one whose weights are averaged and whose loss has all that a loss can have."""
    for case in families():
        recipe, preset = case.values
        yield pytest.param(recipe, {"preset": preset} if preset else {}, id=case.id)
    averaged = {"ema_decay": 0.9, "loss": "focal", "class_weights": "balanced", "label_smoothing": 0.1}
    yield pytest.param(catalogue.get("text-classification"), {"preset": "transformer", **averaged}, id="averaged-weights")
    yield pytest.param(catalogue.get("masked-lm"), {"new_tokens": 40}, id="new-tokens")
    hidden = {"distillation_hidden_share": 0.5, "vocab_size": None}
    yield pytest.param(catalogue.get("causal-lm"), hidden, id="from-a-teacher")
    for name in ("text-classification", "token-classification"):
        yield pytest.param(catalogue.get(name), {**hidden, "preset": "transformer"}, id=f"hidden-states-{name}")


def sample_of(recipe: Recipe) -> dict[str, list[Any]]:
    """The small table that every recipe brings."""
    found = find_spec(recipe.runtime)
    assert found is not None and found.submodule_search_locations
    samples = sorted((Path(found.submodule_search_locations[0]) / "samples").glob("*.*"))
    assert samples, f"{recipe.name} brings no samples/*.csv or *.jsonl: what it promises cannot be tried"
    return read_csv(samples[0]) if samples[0].suffix == ".csv" else read_jsonl(samples[0])


@pytest.fixture(scope="module")
def forge() -> Iterator[Forge]:
    made = Forge()
    yield made
    made.close()


def finished(forge: Forge, job: Job) -> AttemptDirectory:
    directory = job.lay_out()
    assert forge.run(directory) == 0, directory.log.read_text()
    assert events_of(directory)[-1].kind == "Finished", events_of(directory)[-1]
    return directory


def begun_with(forge: Forge, home: Path, recipe: Recipe, more: dict[str, Any]) -> dict[str, Path]:
    """A base model that knows no word of the sample, where new tokens are asked for; a teacher, where one is to be learnt from."""
    role = "base_model" if "new_tokens" in more else "teacher" if "distillation_hidden_share" in more else None
    if role is None:
        return {}
    known = sample_of(recipe)
    if role == "base_model":
        known = {"text": [" ".join(word) for text in known["text"] for word in text.split()]}
    spec = {**SPEC, **SMALL, "max_steps": 1, **({"preset": more["preset"]} if "preset" in more else {})}
    return {role: finished(forge, Job(home, recipe.name, known, spec=spec)).outputs / "model"}


@pytest.mark.parametrize(("recipe", "more"), list(cases()))
def test_interrupted_anywhere_it_ends_with_the_same_weights_and_each_step_once(
    tmp_path: Path, forge: Forge, recipe: Recipe, more: dict[str, Any]
) -> None:
    spec = {**SPEC, **{name: value for name, value in SMALL.items() if name in recipe.spec.model_fields}, **more}
    models = begun_with(forge, tmp_path / "first", recipe, more)
    whole = finished(forge, Job(tmp_path / "whole", recipe.name, sample_of(recipe), spec=spec, **models))
    undisturbed = events_of(whole)
    total = of_kind(undisturbed, "Running")[0].total_steps
    job, attempts = Job(tmp_path / "interrupted", recipe.name, sample_of(recipe), spec=spec, **models), []
    ways, steps = random.sample(list(WAYS), 3), sorted(random.sample(range(2, total - 1), 2))
    # The last step as well, after which an evaluation is owed; a pause is heard between steps, so there it comes one earlier.
    plan = list(zip(ways, [*steps, total - (ways[-1] == "pause")], strict=True))
    for way, step in plan:
        directory = job.lay_out()
        status = forge.run(directory, way, step)
        said = events_of(directory)
        attempts.append(said)
        assert (status < 0) == (WAYS[way] is None), plan
        assert said[-1].kind == (WAYS[way] or said[-1].kind), plan
    last = finished(forge, job)
    attempts.append(events_of(last))
    assert all(event.exact for events in attempts for event in of_kind(events, "Resumed")), plan
    assert counted_steps(attempts) == counted_steps([undisturbed]), plan
    assert weights(last) == weights(whole), plan
