"""The machine: what it is, what it was measured to do, what to do about it."""

from fastapi import APIRouter

from kargah.hardware import service
from kargah.hardware.schemas import HardwareOut
from kargah.jobs.schemas import JobOut
from kargah.monitoring import measuring
from kargah.web.deps import Ask

router = APIRouter(prefix="/api/v1/hardware", tags=["hardware"])


@router.get("")
async def show_hardware(ask: Ask) -> HardwareOut:
    """The machine that this web process is on. ``advice`` are codes; their texts are in the product's two languages."""
    _ = ask.actor
    return await ask.compute(service.show, ask.settings.home)


@router.post("/measure", status_code=201)
async def measure_hardware(ask: Ask) -> JobOut:
    """Queue a measurement of about fifteen seconds with all cores; the one that is under way, if there is one."""
    return await ask(measuring.measure)
