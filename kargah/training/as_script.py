"""A training as one plain Python file that trains by itself: the recipe's own ``script.py`` with the run's settings in it.

Such a script is a program as it stands. Lines between ``# ---- settings`` and ``# ---- end of settings`` are constants, ``NAME = value``,
named like the settings; what stands between ``# [NAME this that]`` and ``# [end]`` stays where the constant is one of those words.
"""

import re
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from sqlalchemy.orm import Session

from kargah.contract.plans import TrainPlan, whole_train_plan
from kargah.jobs import service as jobs
from kargah.kit.errors import Conflict
from kargah.recipes import catalogue
from kargah.runs import service as runs
from kargah.runs.tables import Run
from kargah.store.access import Actor

JsonDict = dict[str, Any]
_BEGIN, _END = "# ---- settings", "# ---- end of settings"
_CONSTANT = re.compile(r"(?P<name>[A-Z_]+)(?P<kind>: [^=]+)? = (?P<value>.+?)(?P<comment>  # .*)?")
_SECTION = re.compile(r"\s*# \[(?P<name>[A-Z_]+) (?P<words>.+)\]")
_SECTION_END = re.compile(r"\s*# \[end\]")


class NoScript(Conflict):
    """``reason``: a text, ``script.none.*``."""

    code = "NO_SCRIPT"


def script_of(session: Session, actor: Actor, run_id: str) -> str:
    """Raises NoScript for what cannot be told in one plain file, with the reason."""
    run = runs.get_for(session, actor, run_id)
    job = jobs.get_for(session, actor, run.job_id) if run.job_id else None
    plan = whole_train_plan(job.plan) if job is not None and job.kind == "train" else None
    if plan is None:
        raise NoScript(reason={"code": "script.none.no_training"})
    reason = why_none(plan, run.params)
    if reason is not None:
        raise NoScript(reason=reason)
    template = _template(plan.recipe)
    assert template is not None
    return filled(template.read_text(encoding="utf-8"), _values(plan, run))


def why_none(plan: TrainPlan, params: JsonDict) -> JsonDict | None:
    """The text of the reason why there is no script of a training; None where there is one."""
    if plan.recipe not in catalogue.RECIPES or _template(plan.recipe) is None:
        return {"code": "script.none.recipe", "params": {"recipe": plan.recipe}}
    beyond = {
        "mixture": len(plan.datasets) > 1,
        "teacher": plan.teacher_model is not None,
        "checkpoint": plan.start_from is not None,
        "quantization": plan.spec.get("quantization", "none") != "none",
        "setting": _is_beyond_scripts(plan.spec),
        "split": bool(plan.spec["columns"].get("split")),
        "not_begun": not params,
    }
    name = next((name for name, so in beyond.items() if so), None)
    return {"code": f"script.none.{name}"} if name else None


def _is_beyond_scripts(spec: JsonDict) -> bool:
    """Settings that no script has."""
    several = spec.get("problem_type") == "multi_label" and (spec.get("class_weights", "none") != "none" or spec.get("label_smoothing"))
    plain = {"ema_decay": None, "loss": "cross_entropy", "frozen_encoder": False, "label_thresholds": "half"}
    chosen = "label_thresholds" in spec and any(spec.get(name, usual) != usual for name, usual in plain.items())
    return bool(several or chosen or spec.get("ema_decay") is not None or spec.get("new_tokens") is not None)


def filled(template: str, values: JsonDict) -> str:
    """The template with these constants; ``values`` by the names of settings, in small letters."""
    return "\n".join(_kept(_with_settings(template.splitlines(), values), values)) + "\n"


def _template(recipe: str) -> Path | None:
    """``script.py`` in the recipe's own package, which is found without importing it."""
    found = find_spec(catalogue.get(recipe).runtime)
    folders = found.submodule_search_locations or () if found else ()
    return next((path for folder in folders if (path := Path(folder) / "script.py").is_file()), None)


def _values(plan: TrainPlan, run: Run) -> JsonDict:
    """As the settings were really used; what was left to the recipe is what it decided."""
    used = {name: told.get("value") for name, told in run.params.items()}
    values = {**plan.spec, **{name: value for name, value in used.items() if value is not None}}
    columns = {role: taken for role, taken in plan.spec["columns"].items() if taken}
    values |= {"run": run.id, "columns": columns, "normaliser": plan.datasets[0].normaliser}
    if plan.base_model is not None:
        return values | {"preset": "base", "base_model": plan.base_model.version_id}
    return values | {"preset": used.get("preset") or "scratch"}


def _with_settings(lines: list[str], values: JsonDict) -> Iterator[str]:
    inside = False
    for line in lines:
        inside = (inside or line == _BEGIN) and line != _END
        constant = _CONSTANT.fullmatch(line) if inside else None
        if constant is None or constant["name"].lower() not in values:
            yield line
        else:
            yield f"{constant['name']}{constant['kind'] or ''} = {values[constant['name'].lower()]!r}{constant['comment'] or ''}"


def _kept(lines: Iterator[str], values: JsonDict) -> Iterator[str]:
    keep = True
    for line in lines:
        section = _SECTION.fullmatch(line)
        if section is not None:
            keep = str(values.get(section["name"].lower())) in section["words"].split()
        elif _SECTION_END.fullmatch(line):
            keep = True
        elif keep:
            yield line
