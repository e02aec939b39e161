"""People's own Python files as jobs: started, started again, and what they left. Off unless KARGAH_CUSTOM_SCRIPTS allows it."""

from pathlib import Path

from fastapi import APIRouter
from fastapi.responses import FileResponse, Response, StreamingResponse
from pydantic import Field

from kargah.assets.manifest import FileEntry
from kargah.kit.errors import NotFound
from kargah.models import archive
from kargah.training import scripts
from kargah.training.schemas import TrainingStarted
from kargah.training.scripts import ScriptRequest
from kargah.web import idempotency
from kargah.web.api.models import stored
from kargah.web.deps import Ask

router = APIRouter(prefix="/api/v1/scripts", tags=["scripts"])


class NewScript(ScriptRequest):
    """``source``: the text of the file itself, at most 1 MiB."""

    source: str = Field(min_length=1, max_length=scripts.SOURCE_LIMIT_BYTES)


@router.post("", status_code=201, response_model=TrainingStarted)
async def run_script(new: NewScript, ask: Ask, key: idempotency.Key = None) -> Response:
    """Run a Python file as a job; it speaks with ``kargah.client.run``. SCRIPTS_OFF unless an admin allowed it."""
    scripts.require_allowed(ask.actor, ask.settings)
    file = await ask.compute(scripts.keep_source, ask.settings.home, new.source.encode("utf-8", "replace"))
    request = ScriptRequest(**new.model_dump(exclude={"source"}))
    return await idempotency.once(ask, key, new.model_dump_json(), scripts.start, request, file, ask.settings)


@router.post("/{job_id}/again", status_code=201, response_model=TrainingStarted)
async def run_script_again(job_id: str, ask: Ask, key: idempotency.Key = None) -> Response:
    """One that failed or was stopped, as a new job; it goes on from the last checkpoint."""
    return await idempotency.once(ask, key, job_id, scripts.again, job_id, ask.settings)


@router.get("/{job_id}/source", response_class=FileResponse)
async def script_source(job_id: str, ask: Ask) -> Response:
    """The file that was run."""
    entry = await ask(scripts.source_of, job_id)
    return _file(ask.settings.home, entry)


@router.get("/{job_id}/outputs")
async def script_outputs(job_id: str, ask: Ask) -> list[FileEntry]:
    """What it left in its outputs folder; empty until it has ended well."""
    return await ask(scripts.outputs_of, job_id)


@router.get("/{job_id}/outputs/zip", response_class=StreamingResponse)
async def script_outputs_zip(job_id: str, ask: Ask) -> Response:
    """All of it, packed while it is sent."""
    found = await ask(scripts.outputs_of, job_id)
    entries = [(entry.path, stored(ask.settings.home, entry.path, entry.sha256)) for entry in found]
    headers = {"Content-Disposition": f'attachment; filename="{job_id}.zip"'}
    return StreamingResponse(archive.stream_zip(entries), media_type="application/zip", headers=headers)


@router.get("/{job_id}/outputs/files/{path:path}", response_class=FileResponse)
async def script_output(job_id: str, path: str, ask: Ask) -> Response:
    """One file of it; ranges are answered."""
    found = await ask(scripts.outputs_of, job_id)
    entry = next((entry for entry in found if entry.path == path), None)
    if entry is None:
        raise NotFound(kind="files", id=path)
    return _file(ask.settings.home, entry)


def _file(home: Path, entry: FileEntry) -> Response:
    """Never shown by a browser as a page of ours: it is sent as a file."""
    blob = stored(home, entry.path, entry.sha256)
    return FileResponse(blob, media_type="application/octet-stream", filename=Path(entry.path).name, headers={"ETag": f'"{entry.sha256}"'})
