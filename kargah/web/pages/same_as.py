"""The same, in other words: what a form would start as YAML, curl, CLI and Python. All in Latin, to be copied."""

import json
import shlex
from dataclasses import dataclass
from typing import Any

import yaml

from kargah.training.schemas import EvaluationRequest, TrainingRequest


@dataclass(frozen=True)
class SameAs:
    yaml: str
    curl: str
    cli: str
    python: str


def of(request: TrainingRequest, server: str) -> SameAs:
    said = {name: value for name, value in request.model_dump(mode="json", exclude_defaults=True).items() if value not in (None, [], {})}
    return SameAs(_yaml(said), _curl(said, server), _cli(server), _python(said, server))


def of_continued(request: TrainingRequest, server: str, job_id: str, checkpoint: str) -> SameAs:
    """Of a training that begins with a checkpoint: no plan file says that, so there is no YAML."""
    wanted = request.model_dump(mode="json", exclude_defaults=True, include={"title", "spec", "priority", "terms"})
    settings = {name: value for name, value in request.spec.items() if name != "columns"}
    said = {**wanted, "spec": settings}
    options = "".join(f" \\\n  --set {shlex.quote(f'{name}={json.dumps(value)}')}" for name, value in settings.items())
    if "priority" in wanted:
        options += f" \\\n  --priority {wanted['priority']}"
    if "terms" in wanted:
        options += f" \\\n  --terms {shlex.quote(json.dumps(wanted['terms']))}"
    words = "".join(f", {name}={value!r}" for name, value in said.items())
    return SameAs(
        yaml="",
        curl=_posted(f"{server}/api/v1/jobs/{job_id}/checkpoints/{checkpoint}/continue", said),
        cli=f"kargah checkpoints continue {job_id} {checkpoint}{options} --server {server}",
        python=_connected(server) + f'training = kargah.checkpoints.continue_from("{job_id}", "{checkpoint}"{words})\n' + WAITED,
    )


def of_evaluation(request: EvaluationRequest, server: str) -> SameAs:
    """An evaluation has no plan file: all of it is said in one line."""
    said = request.model_dump(mode="json", exclude_defaults=True)
    given: list[tuple[str, str]] = [(name, said[name]) for name in ("against", "part") if name in said]
    given += [("column", f"{role}={column}") for role, column in request.columns.items()]
    given += [("by", column) for column in request.slices or []]
    options = "".join(f" --{name} {shlex.quote(value)}" for name, value in given)
    words = "".join(f", {name}={said[name]!r}" for name in ("against", "part", "columns", "slices") if name in said)
    return SameAs(
        yaml="",
        curl=_posted(f"{server}/api/v1/evaluations", said),
        cli=f"kargah evaluate {request.model} {request.dataset}{options} --server {server}",
        python=_connected(server) + f'evaluation = kargah.evaluations.start("{request.model}", "{request.dataset}"{words})',
    )


WAITED = "job = kargah.jobs.wait(training.job.id)"


def _yaml(said: dict[str, Any]) -> str:
    return str(yaml.safe_dump(said, allow_unicode=True, sort_keys=False)).strip()


def _curl(said: dict[str, Any], server: str) -> str:
    return _posted(f"{server}/api/v1/trainings", said)


def _posted(address: str, said: dict[str, Any]) -> str:
    body = shlex.quote(json.dumps(said, ensure_ascii=False))
    return f'curl {address} \\\n  -H "Authorization: Bearer $KARGAH_TOKEN" \\\n  -H "Content-Type: application/json" \\\n  --data {body}'


def _cli(server: str) -> str:
    return f"kargah train plan.yaml --server {server}"


def _python(said: dict[str, Any], server: str) -> str:
    arguments = ",\n".join(f"    {name}={value!r}" for name, value in said.items())
    return _connected(server) + f"training = kargah.trainings.start(\n{arguments},\n)\n" + WAITED


def _connected(server: str) -> str:
    return f'import os\n\nfrom kargah.client import Kargah\n\nkargah = Kargah("{server}", token=os.environ["KARGAH_TOKEN"])\n'
