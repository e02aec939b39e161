"""Measuring this machine as a job: it waits for free cores, is seen by all, and its end becomes the machine's profile."""

from pathlib import Path

from sqlalchemy import select
from sqlalchemy.orm import Session

from kargah.contract.events import Event, Finished
from kargah.contract.measurement import Measurement
from kargah.contract.plans import MeasurePlan
from kargah.hardware import profile, service
from kargah.jobs import service as jobs
from kargah.jobs.schemas import JobOut
from kargah.jobs.states import TERMINAL
from kargah.jobs.tables import Job
from kargah.store.access import Actor, require_creator

KIND = "measure"


def measure(session: Session, actor: Actor) -> JobOut:
    """Queue a measurement with all cores; one that is not over yet is given back instead."""
    require_creator(actor)
    job = _active(session)
    if job is None:
        plan = MeasurePlan(job_id="").model_dump(mode="json")
        job = jobs.submit(session, actor, KIND, profile.host_name(), plan, threads_wanted=profile.usable_cores())
    return JobOut.model_validate(job)


def latest(session: Session, actor: Actor) -> JobOut | None:  # noqa: ARG001 - whoever may see the machine may see how measuring it went
    job = session.scalars(select(Job).where(Job.kind == KIND).order_by(Job.id.desc()).limit(1)).first()
    return JobOut.model_validate(job) if job else None


def _active(session: Session) -> Job | None:
    return session.scalars(select(Job).where(Job.kind == KIND, Job.state.not_in(TERMINAL)).order_by(Job.id).limit(1)).first()


def on_event(_: Session, home: Path, job: Job, event: Event) -> None:
    """On the host that was measured: its agent carries the event."""
    if isinstance(event, Finished):
        service.keep(home, Measurement.model_validate(event.result))
        job.result = event.result
