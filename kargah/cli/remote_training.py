"""``kargah train --server``: the same plan, trained by a server."""

from datetime import date
from pathlib import Path

from kargah.cli import connection, results, screen
from kargah.cli.jobs import follow_job
from kargah.cli.plan_file import PlanFile
from kargah.client import Kargah
from kargah.client.shapes import JsonDict
from kargah.contract.plans import DatasetUse
from kargah.contract.results import TrainResult


def train(plan: PlanFile, server: str, token: str | None) -> None:
    """Files are uploaded first; ids are used as they are. Follows the job to its end."""
    kargah = connection.connect(server, token)
    datasets = [_uploaded(kargah, given) for given in plan.datasets]
    training = kargah.trainings.start(
        datasets=datasets, recipe=plan.recipe, spec=plan.spec, base_model=plan.base_model, teacher_model=plan.teacher_model,
        title=plan.title, dry_run=plan.dry_run, priority=plan.priority, terms=_as_json(plan.terms) or None,
    )  # fmt: skip
    screen.say("cli.train.queued", job=training.job.id, url=f"{kargah.transport.url}/runs/{training.run_id}")
    job = follow_job(kargah, training.job.id)
    result = job.result or {}
    if result.get("dry_run"):
        results.show(TrainResult(models=[], recommended=None, primary_metric="", steps=0, dry_run=True, forecast=result["forecast"]))
        return
    versions = kargah.trainings.models(training.run_id)
    results.show_versions(versions)
    results.show_teacher(result.get("teacher"), result.get("primary_metric") or "")
    for version in versions:
        screen.say("cli.train.version_best" if version.recommended else "cli.train.version", name=version.name, version=version.id)


def _as_json(terms: JsonDict) -> JsonDict:
    """YAML reads dates and times as such."""
    return {name: value.isoformat() if isinstance(value, date) else value for name, value in terms.items()}


def _uploaded(kargah: Kargah, given: str | DatasetUse) -> str | JsonDict:
    use = DatasetUse.of(given)
    dataset_id = kargah.datasets.upload(use.id).id if Path(use.id).is_file() else use.id
    return dataset_id if isinstance(given, str) else {**use.model_dump(), "id": dataset_id}
