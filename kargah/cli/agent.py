"""``kargah agent``: the process that runs the jobs of one host. Here all domains' parts in that are put together."""

import fcntl
import gc
import signal
import sys
import threading
from importlib.util import find_spec
from pathlib import Path
from types import FrameType
from typing import TextIO

from sqlalchemy.orm import Session

import kargah.accounts.tables  # noqa: F401 - foreign keys of what is written here name its tables
from kargah.assets.scrubbing import Schedule
from kargah.cli.logs import configure_logs
from kargah.cli.words import t
from kargah.contract.plans import BundledFiles
from kargah.hardware import gpus, profile
from kargah.jobs import leftovers
from kargah.jobs.claims import Seat
from kargah.jobs.launchers.forge import Forge
from kargah.jobs.projection import Trade, Trades
from kargah.jobs.scheduler import Scheduler, Tick
from kargah.kit.files import Digest
from kargah.kit.ids import new_id
from kargah.kit.settings import CustomScripts, Settings
from kargah.models import downloaded
from kargah.serving.supervisor import Supervisor
from kargah.store.access import Actor
from kargah.store.database import Database
from kargah.store.schema import bring_up_to_date
from kargah.training.checkpoint_records import Looking
from kargah.training.trash import Expiry

ANOTHER_RUNS = 3
DRAIN_SECONDS = 60.0
FORGE_FROM_BYTES = 3 << 30
#: serve's word for "checkpoint and stop the jobs, then end".
DRAIN_SIGNAL = signal.SIGUSR1


def run_agent(settings: Settings, trades: Trades | None = None) -> int:
    """Run until SIGINT or SIGTERM; running jobs go on without it. Returns the exit status."""
    configure_logs(settings)
    stopping, draining = threading.Event(), threading.Event()
    _obey_signals(stopping, draining)
    host = profile.host_name()
    lock = alone(settings.run_folder / f"agent-{host}.lock")
    if lock is None:
        say(t("cli.agent.another_runs", home=settings.home, host=host))
        return ANOTHER_RUNS
    database = Database(settings.url_of_database)
    try:
        bring_up_to_date(database, settings.run_folder)
        downloaded.sweep(settings.home, settings.unfinished_upload_days)
        leftovers.sweep(database, settings.home, settings.run_folder, host)
        predictors = Supervisor(database, settings)
        forge = Forge() if forge_pays(settings) else None
        also = [
            predictors.tick,
            Expiry(database, settings).tick,
            Looking(database, settings).tick,
            Schedule(database, settings).tick,
            *([] if forge is None else [forge.tend]),
        ]
        known = trades or all_trades(forge, scripts=settings.custom_scripts is not CustomScripts.OFF)
        scheduler = compose(settings, database, host, known, *also)
        gc.freeze()  # what is loaded by now stays to the end: no later collection, the interpreter's last one included, walks it again
        scheduler.run(stopping)
        if draining.is_set():
            scheduler.drain(DRAIN_SECONDS)
        predictors.end_all()
        if forge is not None:
            forge.close()
    finally:
        database.close()
        lock.close()
    if scheduler.held:
        say(t("cli.agent.jobs_go_on", count=len(scheduler.held)))
    return 0


def compose(settings: Settings, database: Database, host: str, trades: Trades, *also: Tick) -> Scheduler:
    seat = Seat(
        agent_id=new_id("agent"),
        host=host,
        boot_id=profile.boot_id(),
        cores=settings.cores or profile.usable_cores(),
        job_threads=settings.job_threads,
        lease_seconds=settings.lease_seconds,
        kinds=frozenset(trades.by_kind),
        light_kinds=trades.light_kinds(),
        memory_bytes=settings.jobs_memory_bytes or profile.memory_for_jobs_bytes(),
        gpus={gpu.id: gpu.memory_bytes for gpu in gpus.found()},
        jobs_per_user=settings.jobs_per_user,
    )
    return Scheduler(database, settings.home.resolve(), seat, trades, also=also)


def forge_pays(settings: Settings) -> bool:
    """It holds half a gigabyte, so not on a small machine unless asked for; and not where trainings cannot run."""
    if find_spec("torch") is None or find_spec("transformers") is None:
        return False
    return settings.warm_start if settings.warm_start is not None else profile.memory_for_jobs_bytes() >= FORGE_FROM_BYTES


def all_trades(forge: Forge | None = None, *, scripts: bool = False) -> Trades:
    """``scripts``: also people's own Python files; without it those that are queued wait."""
    from kargah.accounts import tables as _owners  # noqa: F401 - what jobs make is owned by users, whose table must be known
    from kargah.assets import blobs, scrubbing
    from kargah.bundles import importing as bundles
    from kargah.datasets import projector as ingest
    from kargah.datasets import service as datasets
    from kargah.models import scanning
    from kargah.models.downloads import KIND as DOWNLOAD
    from kargah.monitoring import measuring
    from kargah.runs import service as runs
    from kargah.training import evaluated
    from kargah.training import projector as train
    from kargah.training import scripts as custom
    from kargah.training.evaluations import KIND as EVALUATE

    def take_dataset(session: Session, actor: Actor, title: str, filename: str, file: Digest, licence: str | None, note: str) -> str:
        made, _, _ = datasets.create_from_upload(session, actor, title, filename, file, licence=licence, source_note=note)
        return made.id

    def take_bundle(session: Session, actor: Actor, bundled: BundledFiles) -> tuple[str, str]:
        made = bundles.register(session, actor, bundles.of_words(bundled.manifest.encode(), bundled.signature)).model
        return made.id, made.versions[0].id

    got = downloaded.Projector(take_dataset, take_bundle)
    own = {custom.KIND: Trade("kargah.workers.script", custom.on_event, custom.prepare)} if scripts else {}
    return Trades(
        by_kind={
            "train": Trade("kargah.workers.train", train.on_event, train.prepare),
            EVALUATE: Trade("kargah.workers.evaluate", evaluated.on_event, evaluated.prepare),
            "ingest": Trade("kargah.workers.ingest", ingest.on_event, ingest.prepare, light=True),
            "mend": Trade("kargah.workers.mend", ingest.on_event, ingest.prepare, light=True),
            DOWNLOAD: Trade("kargah.workers.downloading", got.on_event, downloaded.prepare, light=True),
            measuring.KIND: Trade("kargah.workers.measure", measuring.on_event),
            scrubbing.KIND: Trade("kargah.workers.scrub", scrubbing.on_event, scrubbing.prepare, light=True),
            scanning.KIND: Trade("kargah.workers.scan", scanning.on_event, scanning.prepare, light=True),
            bundles.KIND: Trade("kargah.workers.unbundling", bundles.on_event, bundles.prepare, light=True),
            **own,
        },
        lay_out=blobs.lay_out,
        observers=[runs.on_events],
        forge=forge,
    )


def alone(path: Path) -> TextIO | None:
    """The lock of the one agent of this home on this host, or None when another holds it. Closing it lets go."""
    path.parent.mkdir(parents=True, exist_ok=True)
    file = path.open("w")
    try:
        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        return None
    return file


def say(sentence: str) -> None:
    sys.stdout.write(f"{sentence}\n")
    sys.stdout.flush()


def _obey_signals(stopping: threading.Event, draining: threading.Event) -> None:
    def obey(number: int, _: FrameType | None) -> None:
        if number == DRAIN_SIGNAL:
            draining.set()
        stopping.set()

    for number in (signal.SIGINT, signal.SIGTERM, DRAIN_SIGNAL):
        signal.signal(number, obey)
