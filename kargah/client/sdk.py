"""One object a server, with the nouns of the API as attributes."""

import builtins
import json
import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

from kargah.client import stream
from kargah.client.bundles import Bundles
from kargah.client.checkpoints import Checkpoints
from kargah.client.errors import JobEnded, Refused
from kargah.client.evaluations import Evaluations
from kargah.client.runs import Runs
from kargah.client.scripts import Scripts
from kargah.client.shapes import Dataset, Event, Job, JsonDict, ModelVersion, Page, Predictions, Training
from kargah.client.storage import Storage
from kargah.client.transport import UPLOAD_TIMEOUT_SECONDS, Transport
from kargah.client.uploads import PIECES_FROM_BYTES, OnProgress, Uploads
from kargah.kit import files, packing

Item = TypeVar("Item")
Input = str | JsonDict
StrPath = str | os.PathLike[str]

#: About five minutes of trying: a server that is being restarted is back long before.
RETRIES = 30
#: A tokenizer is loaded and thousands of rows are read for one look.
LOOK_TIMEOUT_SECONDS = 90.0


class Kargah:
    """Synchronous; not to be shared between threads. Every call raises Refused or ServerUnreachable.

    ``language`` (fa or en) is that of the error texts. ``url`` and ``token`` fall back to KARGAH_SERVER and KARGAH_TOKEN.
    """

    def __init__(
        self, url: str | None = None, token: str | None = None, *, language: str | None = None, timeout_seconds: float = 60.0
    ) -> None:
        self.transport = Transport(url, token, language, timeout_seconds)
        self.jobs = Jobs(self.transport)
        self.datasets = Datasets(self.transport, self.jobs)
        self.trainings = Trainings(self.transport)
        self.models = Models(self.transport, self.jobs)
        self.checkpoints = Checkpoints(self.transport)
        self.evaluations = Evaluations(self.transport, self.jobs.wait)
        self.bundles = Bundles(self.transport, self.jobs.wait)
        self.runs = Runs(self.transport)
        self.scripts = Scripts(self.transport)
        self.storage = Storage(self.transport, self.jobs.wait)

    def login(self, email: str, password: str) -> str:
        """Log in; later calls carry the token, which is also returned."""
        answer = self.transport.json("POST", "/api/v1/auth/login", json={"email": email, "password": password})
        self.transport.token = str(answer["token"])
        return self.transport.token

    def me(self) -> JsonDict:
        answer: JsonDict = self.transport.json("GET", "/api/v1/auth/me")
        return answer

    def health(self) -> JsonDict:
        answer: JsonDict = self.transport.json("GET", "/health")
        return answer

    def close(self) -> None:
        self.transport.close()

    def __enter__(self) -> "Kargah":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()


class Jobs:
    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def list(self, *, limit: int = 50, cursor: str | None = None, **filters: Any) -> Page[Job]:
        """One page, newest first. Filters: state, kind, query."""
        return Page[Job].model_validate(self._transport.json("GET", "/api/v1/jobs", params=_query(limit, cursor, filters)))

    def show(self, job_id: str) -> Job:
        return Job.model_validate(self._transport.json("GET", f"/api/v1/jobs/{job_id}"))

    def stop(self, job_id: str) -> Job:
        return self._control(job_id, "stop")

    def pause(self, job_id: str) -> Job:
        return self._control(job_id, "pause")

    def resume(self, job_id: str) -> Job:
        return self._control(job_id, "resume")

    def move(self, job_id: str, to: str | None = None, *, priority: int | None = None) -> Job:
        """Another place in the line (first, up, down, last) among its owner's waiting jobs, or another priority (-100 to 100)."""
        stated = {name: value for name, value in {"to": to, "priority": priority}.items() if value is not None}
        return Job.model_validate(self._transport.json("POST", f"/api/v1/jobs/{job_id}/move", json=stated))

    def queue(self) -> builtins.list[Job]:
        """Those that wait, the next one first."""
        return [Job.model_validate(job) for job in self._transport.json("GET", "/api/v1/jobs/queue")]

    def outlook(self, job_id: str) -> JsonDict | None:
        """{code, params, ahead}: when one that waits for its turn is likely to start; None for all others."""
        found: JsonDict | None = self._transport.json("GET", f"/api/v1/jobs/{job_id}/outlook")
        return found

    def _control(self, job_id: str, action: str) -> Job:
        return Job.model_validate(self._transport.json("POST", f"/api/v1/jobs/{job_id}/{action}"))

    def logs(self, job_id: str, *, attempt: int | None = None) -> JsonDict:
        """{attempt, tail, messages, attempts}: the end of what an attempt printed, the latest when none is named."""
        answer: JsonDict = self._transport.json("GET", f"/api/v1/jobs/{job_id}/logs", params=_query(None, None, {"attempt": attempt}))
        return answer

    def search_log(self, job_id: str, words: str, *, attempt: int | None = None) -> JsonDict:
        """{attempt, lines: [{number, text}], total}: the last 500 lines that hold ``words``."""
        params = _query(None, None, {"q": words, "attempt": attempt})
        answer: JsonDict = self._transport.json("GET", f"/api/v1/jobs/{job_id}/logs/search", params=params)
        return answer

    def download_log(self, job_id: str, target: StrPath, *, attempt: int | None = None) -> Path:
        """The whole log of an attempt, as it was printed, at ``target``."""
        address = f"/api/v1/jobs/{job_id}/logs/file" + (f"?attempt={attempt}" if attempt is not None else "")
        return self._transport.download(address, target)

    def events(self, job_id: str, *, after: int | None = None, retries: int = RETRIES) -> Iterator[Event]:
        """The job's events in order, from the start or behind position ``after``, live until the job has ended.

        A connection that breaks is taken up again at the last event; nothing is missed, nothing comes twice.
        """
        path = f"/api/v1/jobs/{job_id}/events"
        return stream.follow(self._transport, path, after, lambda: self.show(job_id).is_terminal, retries=retries)

    def follow(self, job_ids: Sequence[str] | None = None, *, after: int | None = None, retries: int = RETRIES) -> Iterator[Event]:
        """Events of many jobs over one socket, each once: until all of ``job_ids`` have ended, or of all jobs without end.

        Behind position ``after``; else ``job_ids`` from their start, all jobs from now on. Taken up again as ``events`` is.
        """
        from kargah.client import live

        return live.follow(self._transport, job_ids, after, retries=retries)

    def wait(self, job_id: str) -> Job:
        """The job once it is COMPLETED. Raises JobEnded when it failed or was stopped."""
        for _ in self.events(job_id, after=None):
            pass
        job = self.show(job_id)
        if job.state != "COMPLETED":
            raise JobEnded(job_id, job.state, job.error)
        return job


class Datasets:
    def __init__(self, transport: Transport, jobs: Jobs) -> None:
        self._transport = transport
        self._jobs = jobs
        self._uploads = Uploads(transport)

    def upload(
        self, path: StrPath, *, title: str | None = None, wait: bool = True, on_progress: OnProgress | None = None, **options: Any
    ) -> Dataset:
        """Send a file, or a folder packed as one, and wait until it can be trained on (or JobEnded says why not).

        A large file goes in pieces: what broke off, here or in an earlier process, is gone on with. ``options``: licence, encoding,
        delimiter, leave_out_bad_rows, normaliser ({step: …}, as far as it shall differ from the usual).
        """
        with _as_file(Path(path)) as source:
            title = title or Path(path).stem
            if source.stat().st_size > PIECES_FROM_BYTES:
                answer = self._uploads.send(source, on_progress, title=title, **options)
            else:
                steps = {"normaliser": json.dumps(options.pop("normaliser"))} if "normaliser" in options else {}
                answer = self._send_whole(source, {"title": title, **options, **steps, "_sha256": files.digest_of(source).sha256})
        return self._imported(answer.get("dataset_id") or answer["id"], answer, wait)

    def add_version(self, dataset_id: str, path: StrPath, *, wait: bool = True, on_progress: OnProgress | None = None) -> Dataset:
        """A newer file (or folder) of the same data; it is the current version as soon as it is imported."""
        with _as_file(Path(path)) as source:
            answer = self._uploads.send(source, on_progress, dataset_id=dataset_id)
        return self._imported(dataset_id, answer, wait)

    def import_url(self, url: str, *, title: str | None = None, wait: bool = True) -> Dataset:
        """The server downloads the file itself; see ``KARGAH_URL_IMPORT_ALLOW`` for hosts of its own network."""
        answer = self._transport.json("POST", "/api/v1/datasets/import-url", json={"url": url, "title": title})
        return self._imported(answer["id"], answer, wait)

    def import_path(self, path: StrPath, *, title: str | None = None, wait: bool = True) -> Dataset:
        """A file or folder on the server's own disk, below one of its import roots: nothing is sent."""
        answer = self._transport.json("POST", "/api/v1/datasets/import-path", json={"path": str(path), "title": title})
        return self._imported(answer["id"], answer, wait)

    def _send_whole(self, source: Path, fields: JsonDict) -> JsonDict:
        with source.open("rb") as file:
            answer: JsonDict = self._transport.json(
                "POST", "/api/v1/datasets", files={"file": (source.name, file)}, data=fields, timeout=UPLOAD_TIMEOUT_SECONDS
            )
        return answer

    def _imported(self, dataset_id: str, answer: JsonDict, wait: bool) -> Dataset:
        if wait:
            self._jobs.wait(_job_of(answer))
        return self.show(dataset_id)

    def report(self, dataset_id: str) -> JsonDict:
        """What was found in the current version: ``problems``, each with the ``fixes`` that could be made."""
        answer: JsonDict = self._transport.json("GET", f"/api/v1/datasets/{dataset_id}/report")
        return answer

    def fix(
        self, dataset_id: str, fixes: Sequence[JsonDict], *, from_version: str | None = None, why: str = "", wait: bool = True
    ) -> Dataset:
        """A new version with ``fixes`` ({kind, …}, as the report offers them); the old one stays, and can be chosen again."""
        wish = {"fixes": builtins.list(fixes), "from_version": from_version, "why": why}
        answer = self._transport.json("POST", f"/api/v1/datasets/{dataset_id}/versions", json=wish)
        if wait:
            self._jobs.wait(_job_of(answer))
        return self.show(dataset_id)

    def tokens(
        self, dataset_id: str, model_version_id: str, *, max_length: int | None = None, limit: int = 10, cursor: int = 0
    ) -> JsonDict:
        """What the model will see: rows as tokens, what is cut at ``max_length``, and which length would hold 99 % of them."""
        asked = {"model": model_version_id, "max_length": max_length, "limit": limit, "cursor": cursor}
        params = {name: value for name, value in asked.items() if value is not None}
        answer: JsonDict = self._transport.json("GET", f"/api/v1/datasets/{dataset_id}/tokens", params=params, timeout=LOOK_TIMEOUT_SECONDS)
        return answer

    def delete(self, dataset_id: str, *, purge: bool = False) -> None:
        """To the trash; with ``purge`` out of the trash for good, unless a run or a model stands on it (DATASET_IN_USE)."""
        self._transport.json("DELETE", f"/api/v1/datasets/{dataset_id}", params={"purge": "true"} if purge else None)

    def restore(self, dataset_id: str) -> Dataset:
        """Back out of the trash."""
        return Dataset.model_validate(self._transport.json("POST", f"/api/v1/datasets/{dataset_id}/restore"))

    def choose_version(self, dataset_id: str, version_id: str) -> Dataset:
        """Go back to a version, or forward to one: trainings take the current one."""
        return Dataset.model_validate(self._transport.json("PUT", f"/api/v1/datasets/{dataset_id}/current", json={"version": version_id}))

    def list(self, *, limit: int = 50, cursor: str | None = None, **filters: Any) -> Page[Dataset]:
        return Page[Dataset].model_validate(self._transport.json("GET", "/api/v1/datasets", params=_query(limit, cursor, filters)))

    def show(self, dataset_id: str) -> Dataset:
        return Dataset.model_validate(self._transport.json("GET", f"/api/v1/datasets/{dataset_id}"))


class Trainings:
    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def start(
        self,
        *,
        datasets: Sequence[str | JsonDict],
        recipe: str | None = None,
        spec: JsonDict | None = None,
        base_model: str | None = None,
        teacher_model: str | None = None,
        title: str | None = None,
        dry_run: bool = False,
        priority: int = 0,
        terms: JsonDict | None = None,
    ) -> Training:
        """Queue a training; several data sets are mixed, each an id or {id, weight, columns: {role: its own column}}.

        ``recipe`` and what ``spec`` leaves out are chosen from the data. ``base_model`` and ``teacher_model`` are ids of model versions.

        ``terms``: {after: [job ids], not_before, deadline, window: {start, end, zone}, retry, time_limit_seconds, memory_limit_bytes …}.
        """
        optional: JsonDict = {"recipe": recipe, "base_model": base_model, "teacher_model": teacher_model, "title": title}
        optional |= {"priority": priority or None, "terms": terms}
        stated: JsonDict = {"datasets": list(datasets), "spec": spec or {}, "dry_run": dry_run}
        stated |= {name: value for name, value in optional.items() if value is not None}
        return Training.model_validate(self._transport.json("POST", "/api/v1/trainings", json=stated))

    def models(self, run_id: str) -> list[ModelVersion]:
        """What a finished training made: the trained model and its baselines, the recommended one first."""
        answer = self._transport.json("GET", f"/api/v1/runs/{run_id}/models")
        return [ModelVersion.model_validate(version) for version in answer]


class Models:
    def __init__(self, transport: Transport, jobs: Jobs) -> None:
        self._transport, self._jobs = transport, jobs

    def list(self, *, limit: int = 50, cursor: str | None = None, **filters: Any) -> Page[JsonDict]:
        return Page[JsonDict].model_validate(self._transport.json("GET", "/api/v1/models", params=_query(limit, cursor, filters)))

    def predict(self, model_version_id: str, inputs: Sequence[Input]) -> Predictions:
        """``inputs``: texts, or {"text", "text_pair"}, or rows {column: value}; one output each."""
        answer = self._transport.json("POST", f"/api/v1/models/{model_version_id}/predict", json={"inputs": list(inputs)})
        return Predictions.model_validate(answer)

    def upload(self, folder: StrPath, *, title: str | None = None) -> JsonDict:
        """Send a model folder (safetensors only), or a zip of one, to start trainings from. Returns the model with its version."""
        source = Path(folder)
        with _as_file(source) as packed, packed.open("rb") as file:
            answer: JsonDict = self._transport.json(
                "POST",
                "/api/v1/models/upload",
                files={"file": (f"{source.stem}.zip", file)},
                data={"title": title or source.stem},
                timeout=UPLOAD_TIMEOUT_SECONDS,
            )
        return answer

    def import_folder(self, folder: StrPath, *, title: str | None = None) -> JsonDict:
        """The same for a folder on the server's own disk, below one of its import roots: nothing is sent."""
        body = {"folder": str(folder), "title": title or Path(folder).name}
        answer: JsonDict = self._transport.json("POST", "/api/v1/models/import", json=body)
        return answer

    def catalogue(self, *, kind: str = "models", query: str | None = None, task: str | None = None) -> builtins.list[JsonDict]:
        """What the server may download: {entry, status, fit, size_bytes, download}; ``kind``: models or datasets."""
        params = _query(None, None, {"query": query, "task": task})
        items: builtins.list[JsonDict] = self._transport.json("GET", f"/api/v1/catalogue/{kind}", params=params)["items"]
        return items

    def get(self, repository: str, *, kind: str = "model", wait: bool = True, **wish: Any) -> JsonDict:
        """Have the server download a repository of a hub, or say that it is there. Raises JobEnded when that came to nothing.

        ``wish``: revision, bytes_per_second, window, update (of a model that is there, what the hub has now as its next version).
        """
        made: JsonDict = self._transport.json("POST", "/api/v1/downloads", json={"repository": repository, "kind": kind, **wish})
        if wait and made["status"] == "downloading":
            self._jobs.wait(made["job"]["id"])
            made = self._transport.json("GET", f"/api/v1/downloads/{made['id']}")
        return made

    def allow(self, pattern: str, *, kind: str = "model") -> JsonDict:
        """For admins: a repository (owner/name), or all of an organisation (owner/*), may be downloaded besides the catalogue."""
        allowed: JsonDict = self._transport.json("POST", "/api/v1/catalogue/allowed", json={"kind": kind, "pattern": pattern})
        return allowed

    def download(self, model_version_id: str, target: StrPath) -> Path:
        """The model folder as a zip file at ``target``: whole, or not there."""
        return self._transport.download(f"/api/v1/models/{model_version_id}/zip", target)


def _query(limit: int | None, cursor: str | None, filters: JsonDict) -> JsonDict:
    stated = {"limit": limit, "cursor": cursor, **filters}
    return {name: value for name, value in stated.items() if value is not None}


def _job_of(answer: JsonDict) -> str:
    job_id = answer.get("job_id")
    if not isinstance(job_id, str):
        raise Refused(500, {"code": "NO_JOB", "detail": str(answer)[:200]})
    return job_id


@contextmanager
def _as_file(path: Path) -> Iterator[Path]:
    """A folder is packed for as long as it is sent."""
    if not path.is_dir():
        yield path
        return
    with tempfile.TemporaryDirectory() as temporary:
        yield packing.pack(path, Path(temporary) / f"{path.resolve().name}.zip")
