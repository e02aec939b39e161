"""The same, in other words: what a form would start as YAML, curl, CLI and Python. All in Latin, to be copied."""

import json
import shlex
from dataclasses import dataclass
from typing import Any

import yaml

from kargah.training.schemas import TrainingRequest


@dataclass(frozen=True)
class SameAs:
    yaml: str
    curl: str
    cli: str
    python: str


def of(request: TrainingRequest, server: str) -> SameAs:
    said = {name: value for name, value in request.model_dump(mode="json", exclude_defaults=True).items() if value not in (None, [], {})}
    return SameAs(_yaml(said), _curl(said, server), _cli(server), _python(said, server))


def _yaml(said: dict[str, Any]) -> str:
    return str(yaml.safe_dump(said, allow_unicode=True, sort_keys=False)).strip()


def _curl(said: dict[str, Any], server: str) -> str:
    body = shlex.quote(json.dumps(said, ensure_ascii=False))
    return (
        f"curl {server}/api/v1/trainings \\\n"
        '  -H "Authorization: Bearer $KARGAH_TOKEN" \\\n'
        '  -H "Content-Type: application/json" \\\n'
        f"  --data {body}"
    )


def _cli(server: str) -> str:
    return f"kargah train plan.yaml --server {server}"


def _python(said: dict[str, Any], server: str) -> str:
    arguments = ",\n".join(f"    {name}={value!r}" for name, value in said.items())
    return (
        "import os\n\nfrom kargah.client import Kargah\n\n"
        f'kargah = Kargah("{server}", token=os.environ["KARGAH_TOKEN"])\n'
        f"training = kargah.trainings.start(\n{arguments},\n)\n"
        "job = kargah.jobs.wait(training.job.id)"
    )
