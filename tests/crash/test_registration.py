"""What a worker finished becomes versions whole or not at all: a disk that fails at any deed, and a power cut between any two."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import text
from support.agents import seat
from support.databases import person
from support.power import Blackouts, each_failing

from kargah.assets import blobs
from kargah.cli.agent import all_trades
from kargah.contract.attempt import AttemptDirectory
from kargah.contract.plans import IngestPlan
from kargah.contract.results import ModelOutput, OutputFile, TrainResult
from kargah.contract.wire import EventWriter
from kargah.datasets import bundled
from kargah.datasets import service as datasets
from kargah.jobs import claims
from kargah.jobs.collector import Collector
from kargah.jobs.launchers import local
from kargah.jobs.resources import Grant
from kargah.jobs.states import Fence
from kargah.jobs.supervision import hold
from kargah.kit import files
from kargah.store.access import Actor, Role
from kargah.store.database import Database, sqlite_url
from kargah.training import service as training
from kargah.training.schemas import TrainingRequest

KINDS = ["train", "ingest"]
VERSIONS = {
    "train": "SELECT files FROM model_versions",
    "ingest": "SELECT files FROM dataset_versions WHERE state = 'READY' AND number = 1",
}


class Finishing:
    """A job whose worker has just said its last word; nobody has heard it yet. Its database is beside the home's disk."""

    def __init__(self, kind: str, folder: Path, template: Path) -> None:
        self.kind, self.home, self.store = kind, folder / "home", folder / "kargah.db"
        self.home.mkdir()
        shutil.copy(template, self.store)
        database = Database(sqlite_url(self.store))
        self.agent = seat(kinds=frozenset(KINDS), light_kinds=frozenset())
        actor = person(database, Role.ADMIN)
        submit = {"train": self._training, "ingest": self._import}[kind]
        submit(database, actor)
        with database.serialised() as session:
            job = claims.claim_next(session, self.agent).claimed
        assert job is not None and job.kind == kind
        self.job_id = job.id
        directory = local.lay_out(self.home, all_trades(), job, Grant(1))
        finish = {"train": self._trained, "ingest": self._imported}[kind]
        writer = EventWriter(directory.events)
        writer.write("Finished", result=finish(directory))
        writer.sync()
        writer.close()
        self._fold(database)

    def _training(self, database: Database, actor: Actor) -> None:
        with database.write() as session:
            line = bundled.ensure_line(session, actor, self.home)
            training.start(session, actor, TrainingRequest(datasets=[line]))

    def _import(self, database: Database, actor: Actor) -> None:
        source = self.home / "data.csv"
        source.write_text("متن,برچسب\nسلام,خوب\nبدرود,بد\n")
        with database.write() as session:
            datasets.create_from_upload(session, actor, "داده", "data.csv", blobs.put_file(self.home, source))

    def _trained(self, directory: AttemptDirectory) -> dict[str, object]:
        folder = directory.outputs / "model"
        folder.mkdir(parents=True)
        for name in ("model.safetensors", "kargah.json"):
            (folder / name).write_bytes(name.encode() * 500)
        listed = [OutputFile(path=path.name, **vars(files.digest_of(path))) for path in sorted(folder.iterdir())]
        model = ModelOutput(
            name="model", family="network", recipe="tabular", architecture="mlp", parameters=7, split="validation", primary_metric="r2",
            metrics={"r2": 0.5}, train_seconds=1.0, files=listed, size_bytes=1,
        )  # fmt: skip
        return TrainResult(models=[model], recommended="model", primary_metric="r2", steps=3).model_dump()

    def _imported(self, directory: AttemptDirectory) -> dict[str, object]:
        from kargah.workers.ingest import Import
        from kargah.workers.telling import Teller

        plan = IngestPlan.model_validate_json(directory.plan.read_bytes())
        result = Import(plan, directory, Teller(EventWriter(directory.path / "unused.jsonl")), lambda: None).run()
        return result.model_dump(mode="json")

    def _fold(self, database: Database) -> None:
        """All of the database in its one file, so that it can be copied."""
        with database.engine.connect() as connection:
            connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
        database.close()

    def carry(self, home: Path, store: Path) -> None:
        database = Database(sqlite_url(store))
        try:
            Collector(database, home, all_trades()).carry(hold(home, self.job_id, self.kind, Fence(1, self.agent.agent_id)))
        finally:
            self._fold(database)

    def check(self, home: Path, store: Path) -> str:
        """The job's state; what is registered, and that every file of it is there and whole."""
        database = Database(sqlite_url(store))
        with database.engine.connect() as connection:
            state = connection.execute(text("SELECT state FROM jobs WHERE id = :id"), {"id": self.job_id}).scalar_one()
            registered = connection.execute(text(VERSIONS[self.kind])).all()
            known = set(connection.execute(text("SELECT sha256 FROM blobs")).scalars())
        database.close()
        assert len(registered) == (1 if state == "COMPLETED" else 0)
        if state == "COMPLETED":
            for sha256 in known:
                assert files.digest_of(blobs.path_of(home, sha256)).sha256 == sha256
        return str(state)


@pytest.fixture(params=KINDS)
def finishing(request: pytest.FixtureRequest, tmp_path: Path, sqlite_template: Path) -> Finishing:
    return Finishing(request.param, tmp_path, sqlite_template)


def test_a_registration_that_finds_the_disk_full_at_any_deed_is_done_once_there_is_room(finishing: Finishing) -> None:
    carry: Callable[[], None] = lambda: finishing.carry(finishing.home, finishing.store)  # noqa: E731
    failures = [finishing.check(finishing.home, finishing.store) for _ in each_failing(carry)]
    assert len(failures) >= 4 and set(failures) == {"STARTING"}
    assert finishing.check(finishing.home, finishing.store) == "COMPLETED"


def test_a_power_cut_at_any_deed_leaves_a_registration_that_can_be_done_again_and_keeps_one_that_was_done(
    finishing: Finishing, tmp_path: Path
) -> None:
    before = tmp_path / "before.db"
    shutil.copy(finishing.store, before)
    blackouts = Blackouts(finishing.home, tmp_path / "disks")
    with files.watched(blackouts):
        finishing.carry(finishing.home, finishing.store)
    blackouts.at_end()
    assert blackouts.moments > 4
    for disk in blackouts.disks():
        store = tmp_path / "again.db"
        shutil.copy(before, store)
        finishing.carry(disk, store)
        assert finishing.check(disk, store) == "COMPLETED"
    assert finishing.check(blackouts.last_synced(), finishing.store) == "COMPLETED"
