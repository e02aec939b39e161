"""An upload and an agent: the bundled sample goes all the way by itself."""

from pathlib import Path

from support.agents import scheduler, tick_until

from kargah.assets import blobs
from kargah.cli.agent import all_trades
from kargah.datasets import service
from kargah.datasets.bundled import SAMPLES
from kargah.jobs.tables import Job
from kargah.store.access import Actor
from kargah.store.database import Database


def test_an_agent_imports_what_was_uploaded(database: Database, actor: Actor, tmp_path: Path) -> None:
    digest = blobs.put_file(tmp_path, SAMPLES / "genre-fa.csv")
    with database.write() as session:
        dataset, _, job = service.create_from_upload(session, actor, None, "genre-fa.csv", digest)
    agent = scheduler(database, tmp_path, all_trades(), kinds=frozenset({"ingest"}), light_kinds=frozenset({"ingest"}))

    def state() -> str:
        with database.read() as session:
            return session.get_one(Job, job.id).state

    tick_until(agent, lambda: state() in {"COMPLETED", "FAILED"}, limit_seconds=60)
    with database.read() as session:
        found = service.get_for(session, actor, dataset.id)
        suggested = service.suggest(session, actor, dataset.id)[0]
    assert state() == "COMPLETED"
    assert found.version is not None
    assert (found.version.state, found.version.rows, found.version.columns[1].distinct) == ("READY", 2000, 4)  # type: ignore[index]
    assert (suggested.recipe, suggested.columns) == ("text-classification", {"text": "متن", "label": "گونه"})
