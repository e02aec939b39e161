"""The main job shown for real: a server, a data file, a training with its baselines, a question over HTTP, an answer."""

import secrets
import signal
import tomllib
from pathlib import Path
from typing import Any

from kargah.accounts import sessions
from kargah.cli import accounts, homes, results, screen, server_process
from kargah.cli.asking import answer_rows
from kargah.cli.jobs import follow_job
from kargah.client import Job, Kargah
from kargah.kit import settings

SCRIPT = Path(__file__).with_name("demo.toml")
SAMPLES = Path(__file__).parents[1] / "datasets" / "samples"
TOKEN_DAYS = 1.0


def show(home: Path, port: int | None, *, once: bool) -> None:
    """``once``: stop the server and return after the answer; else serve until Ctrl-C. Can be run again on the same home."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # as Ctrl-C: the server must not outlive its demo
    script = tomllib.loads(SCRIPT.read_text(encoding="utf-8"))
    loaded = settings.load(home=home)
    screen.say("cli.demo.starting", home=str(home))
    port = port or server_process.free_port(loaded.host, loaded.port)
    with server_process.serving(home.resolve(), loaded.host, port) as url:
        screen.say("cli.demo.serving", url=url)
        _ensure_admin(str(home), script)
        token_id, token = _token(str(home), script["title"])
        try:
            with Kargah(url, token) as kargah:
                _learn_and_ask(kargah, script)
        finally:
            _revoke(str(home), token_id)
        if not once:
            screen.say("cli.demo.keeps_serving", url=url)
            _wait_for_interrupt()
    screen.say("cli.demo.ended")


def _ensure_admin(home: str, script: dict[str, Any]) -> None:
    """Straight on the database: nobody else can have taken the first account before us over the network."""
    admin = accounts.admin_email(home)
    if admin is not None:
        screen.say("cli.demo.admin_exists", email=admin)
        return
    password = secrets.token_urlsafe(12)
    user = accounts.add(home, script["email"], password, script["name"], "admin")
    screen.say("cli.demo.admin", email=user.email, password=password)


def _token(home: str, name: str) -> tuple[str, str]:
    with homes.writing_as_admin(home) as (session, admin):
        made = sessions.create_api_token(session, admin, name, TOKEN_DAYS)
    return made.id, made.token


def _revoke(home: str, token_id: str) -> None:
    with homes.writing_as_admin(home) as (session, admin):
        sessions.revoke_api_token(session, admin, token_id)


def _learn_and_ask(kargah: Kargah, script: dict[str, Any]) -> None:
    dataset_id = _sample(kargah, script)
    training = kargah.trainings.start(datasets=[dataset_id], spec=script["spec"], title=script["title"])
    screen.say("cli.demo.training", url=f"{kargah.transport.url}/runs/{training.run_id}")
    job = follow_job(kargah, training.job.id)
    versions = kargah.trainings.models(training.run_id)
    results.show_versions(versions)
    best = next(version for version in versions if version.recommended)
    metric = best.primary_metric or ""
    screen.say("cli.demo.quality", model=best.name, metric=metric, value=results.shown(best.metrics.get(metric)))
    _ask(kargah, job, script["questions"])


def _sample(kargah: Kargah, script: dict[str, Any]) -> str:
    known = kargah.datasets.list(query=script["title"]).items
    if known:
        screen.say("cli.demo.import_exists")
        return known[0].id
    screen.say("cli.demo.importing", name=script["sample"])
    dataset = kargah.datasets.upload(SAMPLES / script["sample"], title=script["title"])
    screen.say("cli.demo.imported", rows=(dataset.version or {}).get("rows") or 0)
    return dataset.id


def _ask(kargah: Kargah, job: Job, questions: list[str]) -> None:
    version_id = str((job.result or {})["model_version_id"])
    screen.say("cli.demo.asking", url=f"{kargah.transport.url}/api/v1/models/{version_id}/predict")
    answers = kargah.models.predict(version_id, questions).outputs
    screen.table(["cli.predict.input", "cli.predict.answer", "cli.predict.score"], answer_rows(questions, answers), numbers_from=2)


def _wait_for_interrupt() -> None:
    try:
        signal.pause()
    except KeyboardInterrupt:
        return
