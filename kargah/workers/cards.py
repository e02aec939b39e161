"""Model cards: README.md in English with the front matter that hubs read, README.fa.md in Persian. The words stand in ``cards.po``."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kargah.contract.plans import TrainPlan
from kargah.contract.results import Interval
from kargah.kit import files, i18n
from kargah.recipes import catalogue
from kargah.recipes.runtime import Prepared
from kargah.workers.edge import environment

if TYPE_CHECKING:
    from kargah.workers.outputs import Made

#: A class of transformers, by its name.
_FOR_A_TASK = re.compile(r"For[A-Z]|LMHeadModel$")


def write(folder: Path, plan: TrainPlan, made: "Made", prepared: Prepared, interval: Interval | None) -> None:
    english = _front_matter(folder, plan, made, prepared) + _body("en", plan, made, prepared, interval)
    files.write_bytes(folder / "README.md", english.encode())
    files.write_bytes(folder / "README.fa.md", _body("fa", plan, made, prepared, interval).encode())


def _front_matter(folder: Path, plan: TrainPlan, made: "Made", prepared: Prepared) -> str:
    task = catalogue.get(plan.recipe).pipeline_tag(prepared.problem.kind)
    lines = ["---", f"pipeline_tag: {task}", "tags:", "- kargah", f"- {plan.recipe}"]
    if _FOR_A_TASK.search(made.architecture):
        lines.append("library_name: transformers")
    elif (folder / "modules.json").exists():
        lines.append("library_name: sentence-transformers")
    lines += ["datasets:", *(f"- {_yaml(dataset.title)}" for dataset in plan.datasets)]
    if plan.base_model is not None and made.family == "network":
        lines.append(f"base_model: {_yaml(plan.base_model.title)}")
    return "\n".join([*lines, "---", ""])


def _body(language: str, plan: TrainPlan, made: "Made", prepared: Prepared, interval: Interval | None) -> str:
    def say(key: str, **params: Any) -> str:
        return i18n.text(language, f"card.{key}", **params)

    problem = prepared.problem
    family, kind = i18n.text(language, f"family.{made.family}"), say(f"problem.{problem.kind}")
    value = made.evaluation.metrics[problem.primary_metric]
    intro = say("intro", family=family, kind=kind, architecture=made.architecture)
    parts = [f"# {plan.title} ({made.name})", intro, f"## {say('results')}"]
    parts.append(_measured_on(language, plan, prepared))
    if interval is not None and value is not None:
        low, high = _round(interval.low), _round(interval.high)
        parts.append(say("interval", metric=problem.primary_metric, value=_round(value), low=low, high=high))
    parts += ["\n".join(_metrics(language, made)), f"## {say('data')}", "\n".join(_datasets(language, plan, made, prepared))]
    parts += [f"## {say('use')}", say("use_text"), "```sh\nkargah predict .\n```", f"## {say('limits')}", say("limits_text")]
    parts += [f"## {say('provenance')}", "\n".join(_provenance(language, plan, made))]
    return "\n\n".join(parts) + "\n"


def _measured_on(language: str, plan: TrainPlan, prepared: Prepared) -> str:
    rows, share = len(prepared.rows_of(prepared.reported)), i18n.percent(language, plan.spec["validation_share"])
    said = prepared.reported if prepared.split_column is not None else "drawn"
    return i18n.text(language, f"card.split.{said}", rows=rows, share=share, column=prepared.split_column or "")


def _metrics(language: str, made: "Made") -> Iterator[str]:
    yield f"| {i18n.text(language, 'card.metric')} | {i18n.text(language, 'card.value')} |"
    yield "|---|---|"
    yield from (f"| {name} | {'–' if value is None else _round(value)} |" for name, value in made.evaluation.metrics.items())


def _datasets(language: str, plan: TrainPlan, made: "Made", prepared: Prepared) -> Iterator[str]:
    for dataset in plan.datasets:
        licence = dataset.licence or i18n.text(language, "card.no_licence")
        yield "- " + i18n.text(language, "card.dataset", title=dataset.title, licence=licence)
    counts = {"train": len(prepared.train_rows), "validation": len(prepared.validation_rows), "test": len(prepared.test_rows)}
    yield "- " + i18n.text(language, "card.rows_with_test" if counts["test"] else "card.rows", **counts)
    if made.validation_error is not None:
        yield "- " + i18n.text(language, "card.learnt_again")
    if prepared.problem.labels:
        yield "- " + i18n.text(language, "card.labels", labels=", ".join(prepared.problem.labels[:50]))


def _provenance(language: str, plan: TrainPlan, made: "Made") -> Iterator[str]:
    """What it was made of, with what, and where: names of the field and Latin digits, to be compared with another card."""
    known = environment()
    facts: dict[str, Any] = {"job": f"{plan.job_id} ({plan.attempt})", "recipe": f"{plan.recipe} {catalogue.get(plan.recipe).version}"}
    facts |= {"seed": plan.spec.get("seed"), "threads": plan.threads, "train_seconds": round(made.train_seconds, 1)}
    facts |= {"processor": f"{known.pop('processor')} ({known.pop('machine')})", "versions": ", ".join(map(" ".join, known.items()))}
    for name, value in facts.items():
        yield f"- {i18n.text(language, f'card.fact.{name}')}: `{value}`"
    for file in plan.inputs:
        yield f"- `{file.path}`: SHA-256 `{file.sha256}`"
    yield "- " + i18n.text(language, "card.settings_in")


def _round(value: float) -> float:
    return float(f"{value:.4g}")


def _yaml(text: str) -> str:
    """A JSON string is a YAML string."""
    return json.dumps(text, ensure_ascii=False)
