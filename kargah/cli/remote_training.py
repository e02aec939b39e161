"""``kargah train --server``: the same plan, trained by a server."""

from pathlib import Path

from kargah.cli import connection, screen
from kargah.cli.jobs import follow_job
from kargah.cli.plan_file import PlanFile
from kargah.client import Kargah


def train(plan: PlanFile, server: str, token: str | None) -> None:
    """Files are uploaded first; ids are used as they are. Follows the job to its end."""
    kargah = connection.connect(server, token)
    datasets = [_uploaded(kargah, name) for name in plan.datasets]
    training = kargah.trainings.start(
        datasets=datasets, recipe=plan.recipe, spec=plan.spec, base_model=plan.base_model, title=plan.title, dry_run=plan.dry_run
    )
    screen.say("cli.train.queued", job=training.job.id, url=f"{kargah.transport.url}/runs/{training.run_id}")
    result = follow_job(kargah, training.job.id).result or {}
    versions = result.get("model_versions") or {}
    for name, version in versions.items():
        key = "cli.train.version_best" if name == result.get("recommended") else "cli.train.version"
        screen.say(key, name=name, version=version)


def _uploaded(kargah: Kargah, name: str) -> str:
    return kargah.datasets.upload(name).id if Path(name).is_file() else name
