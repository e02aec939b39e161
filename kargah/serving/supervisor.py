"""Predictor processes of this host: started when wanted, watched, ended when nobody asks. Called by the agent's loop."""

import contextlib
import hashlib
import os
import platform
import signal
import subprocess
import tempfile
from datetime import timedelta
from pathlib import Path

from sqlalchemy import select
from sqlalchemy.orm import Session

from kargah.assets import blobs
from kargah.contract import wire
from kargah.contract.attempt import AttemptDirectory, is_held
from kargah.contract.plans import InputFile, PredictPlan
from kargah.contract.process import start_worker
from kargah.kit import files
from kargah.kit.clock import utc_now
from kargah.kit.errors import KargahError
from kargah.kit.ids import new_id
from kargah.kit.settings import Settings
from kargah.models.tables import ModelVersion
from kargah.serving.schemas import PlacementState
from kargah.serving.tables import Placement
from kargah.store.database import Database

SOCKET_PATH_LIMIT = 100  # AF_UNIX takes 107 bytes


class Supervisor:
    """One an agent. Its own state is only what the kernel would tell anyway; the truth stands in ``placements``."""

    def __init__(self, database: Database, settings: Settings) -> None:
        self._database = database
        self._settings = settings
        self._host = platform.node()
        self._children: dict[int, subprocess.Popen[bytes]] = {}

    def tick(self) -> None:
        """Cheap when nothing is wanted: one read."""
        self._children = {pid: child for pid, child in self._children.items() if child.poll() is None}  # polling buries the dead
        with self._database.read() as session:
            placements = list(session.scalars(select(Placement).where(Placement.host == self._host)))
        for placement in placements:
            self._tend(placement)
        self._end_idle(placements)

    def end_all(self) -> None:
        """An agent that goes takes its predictors along: unlike a training, one loses nothing by starting again."""
        with self._database.read() as session:
            placements = list(session.scalars(select(Placement).where(Placement.host == self._host)))
        for placement in placements:
            self._end(placement)

    def _tend(self, placement: Placement) -> None:
        match placement.state:
            case PlacementState.WANTED:
                self._start(placement.model_version_id)
            case PlacementState.STARTING:
                self._see_whether_ready(placement)
            case PlacementState.READY:
                if not is_held(self._directory(placement).alive):
                    self._drop(placement)

    def _start(self, version_id: str) -> None:
        generation = new_id("gen")
        folder = AttemptDirectory(self._settings.run_folder / "predictors" / generation)
        socket = self._socket_path(generation)
        with self._database.write() as session:
            placement = session.get(Placement, (version_id, self._host))
            version = session.get(ModelVersion, version_id)
            if placement is None or version is None or placement.state != PlacementState.WANTED:
                return
            try:
                self._lay_out(version, folder, socket)
            except KargahError as problem:
                placement.state, placement.error = PlacementState.FAILED, problem.as_dict()
                return
            child = start_worker("kargah.workers.predict", folder, threads=1)
            self._children[child.pid] = child
            placement.state, placement.pid, placement.socket = PlacementState.STARTING, child.pid, str(socket)
            placement.directory = str(folder.path)

    def _lay_out(self, version: ModelVersion, folder: AttemptDirectory, socket: Path) -> None:
        inputs = [InputFile(path=f"model/{f['path']}", sha256=f["sha256"], size_bytes=f["size_bytes"]) for f in version.files]
        plan = PredictPlan(job_id=version.id, inputs=inputs, model_version_id=version.id, folder="model", socket=str(socket))
        blobs.lay_out(self._settings.home, inputs, folder.inputs)
        files.write_json(folder.plan, plan.model_dump(mode="json"))

    def _see_whether_ready(self, placement: Placement) -> None:
        """The worker says Running when it listens, Failed when it cannot; a dead one that said nothing has failed too."""
        folder = self._directory(placement)
        alive = placement.pid in self._children or is_held(folder.alive)
        events = [wire.decode(line) for line, _ in wire.whole_lines(folder.events, 0)]
        failure = next((event for event in events if event.kind == "Failed"), None)
        if failure is not None:
            self._set(placement, PlacementState.FAILED, {"code": failure.code, "params": failure.params})
        elif any(event.kind == "Running" for event in events):
            self._set(placement, PlacementState.READY, None)
        elif not alive:
            self._set(placement, PlacementState.FAILED, {"code": "PREDICTOR_DIED", "params": {}})

    def _set(self, placement: Placement, state: PlacementState, error: dict[str, object] | None) -> None:
        with self._database.write() as session:
            row = self._same(session, placement)
            if row is not None:
                row.state, row.error = state, error

    def _drop(self, placement: Placement) -> None:
        with self._database.write() as session:
            row = self._same(session, placement)
            if row is not None:
                session.delete(row)

    def _same(self, session: Session, placement: Placement) -> Placement | None:
        row = session.get(Placement, (placement.model_version_id, self._host))
        return row if row is not None and row.socket == placement.socket else None

    def _end_idle(self, placements: list[Placement]) -> None:
        """Those nobody asked for in a while, and the longest unused beyond the limit."""
        ready = sorted((p for p in placements if p.state == PlacementState.READY), key=lambda p: p.wanted_at, reverse=True)
        oldest = utc_now() - timedelta(seconds=self._settings.predictor_idle_seconds)
        for rank, placement in enumerate(ready):
            if rank >= self._settings.predictor_limit or placement.wanted_at < oldest:
                self._end(placement)

    def _end(self, placement: Placement) -> None:
        self._drop(placement)
        pid = placement.pid
        if pid is not None and (pid in self._children or is_held(self._directory(placement).alive)):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGTERM)

    def _directory(self, placement: Placement) -> AttemptDirectory:
        return AttemptDirectory(Path(placement.directory or ""))

    def _socket_path(self, generation: str) -> Path:
        path = self._settings.run_folder.resolve() / f"{generation[-12:]}.sock"
        if len(str(path)) <= SOCKET_PATH_LIMIT:
            return path
        # A deep home: a private folder named for it, since a Unix socket's address is short.
        home = hashlib.sha256(str(self._settings.home.resolve()).encode()).hexdigest()[:12]
        folder = Path(tempfile.gettempdir()) / f"kargah-{os.getuid()}-{home}"
        folder.mkdir(mode=0o700, exist_ok=True)
        return folder / f"{generation[-12:]}.sock"
