"""The machine's figures: now, and of the last quarter of an hour."""

from fastapi import APIRouter, Depends, Request

from kargah.monitoring.sampler import Sampler
from kargah.monitoring.schemas import MachineHistory, MachineSample
from kargah.web.deps import Ask


def signed_in(ask: Ask) -> None:
    """Whoever may log in may see how busy the machine is. Raises LoginRequired."""
    _ = ask.actor


router = APIRouter(prefix="/api/v1/monitoring", tags=["monitoring"], dependencies=[Depends(signed_in)])


@router.get("/now")
async def machine_now(request: Request) -> MachineSample:
    """The latest sample of the machine that this web process is on."""
    sampler: Sampler = request.app.state.sampler
    return sampler.latest or sampler.take()


@router.get("/history")
async def machine_history(request: Request) -> MachineHistory:
    sampler: Sampler = request.app.state.sampler
    return sampler.history()
