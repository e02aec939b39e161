"""The checkpoints of a training, why one failed, and the same once more."""

import asyncio

from fastapi import APIRouter
from fastapi.responses import Response, StreamingResponse
from pydantic import BaseModel, ConfigDict
from sqlalchemy.orm import Session

from kargah.models import archive
from kargah.store.access import Actor
from kargah.training import checkpoint_records, checkpoints, failures
from kargah.training.checkpoints import CheckpointOut, GoOn
from kargah.training.failures import Failure
from kargah.training.schemas import TrainingStarted
from kargah.web import idempotency
from kargah.web.deps import Ask

router = APIRouter(prefix="/api/v1/jobs/{job_id}", tags=["jobs"])


class Retry(BaseModel):
    """``with_fix``: with the change that GET …/failure proposes; else just as it was."""

    model_config = ConfigDict(extra="forbid")

    with_fix: bool = False


@router.get("/checkpoints")
async def list_checkpoints(job_id: str, ask: Ask) -> list[CheckpointOut]:
    """The newest first."""
    return await ask(checkpoints.list_for, job_id, ask.settings.home)


@router.get("/checkpoints/{name}/zip", response_class=StreamingResponse)
async def checkpoint_zip(job_id: str, name: str, ask: Ask) -> Response:
    """Weights, optimizer state and manifest, as a zip made while it is sent."""
    entries = await ask(checkpoints.files_of, job_id, name, ask.settings.home)
    headers = {"Content-Disposition": f'attachment; filename="{job_id}-{name}.zip"'}
    return StreamingResponse(archive.stream_zip(entries), media_type="application/zip", headers=headers)


@router.delete("/checkpoints/{name}", status_code=204)
async def delete_checkpoint(job_id: str, name: str, ask: Ask) -> None:
    await ask(checkpoints.delete, job_id, name, ask.settings.home)


@router.post("/checkpoints/{name}/verify")
async def verify_checkpoint(job_id: str, name: str, ask: Ask) -> CheckpointOut:
    """Every file read again and compared with the hash it was written with."""
    found = await asyncio.to_thread(checkpoints.verify, await ask(checkpoints.place_of, job_id, name, ask.settings.home))
    await ask(checkpoint_records.refresh, job_id, ask.settings.home)
    return found


@router.post("/checkpoints/{name}/continue", status_code=201, response_model=TrainingStarted)
async def continue_from_checkpoint(job_id: str, name: str, wanted: GoOn, ask: Ask, key: idempotency.Key = None) -> Response:
    """A new training that begins with these weights, with other settings."""
    same = f"{job_id} {name} {wanted.model_dump_json()}"
    return await idempotency.once(ask, key, same, checkpoints.continue_from, job_id, name, wanted, ask.settings.home)


@router.get("/failure")
async def job_failure(job_id: str, ask: Ask) -> Failure:
    """Why it failed: the evidence, and what would help. 404 for a job that has not failed."""
    return await ask(failures.explain, job_id, ask.settings.home)


@router.post("/retry", status_code=201, response_model=TrainingStarted)
async def retry_job(job_id: str, ask: Ask, wanted: Retry = Retry(), key: idempotency.Key = None) -> Response:
    """A training that failed or was stopped, as a new one; from its last checkpoint where nothing that is learnt differs."""

    def again(session: Session, actor: Actor) -> TrainingStarted:
        return failures.retry(session, actor, job_id, ask.settings.home, with_fix=wanted.with_fix)

    return await idempotency.once(ask, key, f"{job_id} {wanted.model_dump_json()}", again)
