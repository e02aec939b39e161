"""On what terms a job runs: after what, when, how long, with how much, and what happens when it is interrupted."""

from datetime import UTC, datetime, time, timedelta
from typing import Annotated, Literal
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field

MIB = 1 << 20

#: What a job without a figure of its own is taken to need: the interpreter with its libraries, and its inputs a few times over.
BASE_MEMORY_BYTES = 512 * MIB
MEMORY_A_BYTE_OF_INPUT = 4


def _known_zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (KeyError, OSError, ValueError):
        raise ValueError(f"no time zone is named {name}") from None
    return name


class Window(BaseModel):
    """Hours of a day in which the job may run, in ``zone``; ``start`` after ``end`` goes over midnight. Outside it is paused and queued."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    start: time
    end: time
    zone: Annotated[str, AfterValidator(_known_zone)] = "Asia/Tehran"

    def is_open(self, moment: datetime) -> bool:
        now = moment.astimezone(ZoneInfo(self.zone)).time()
        if self.start <= self.end:
            return self.start <= now < self.end or self.start == self.end
        return now >= self.start or now < self.end

    def opens_at(self, moment: datetime) -> datetime:
        """The next opening after ``moment``, in UTC."""
        local = moment.astimezone(ZoneInfo(self.zone))
        opening = datetime.combine(local.date(), self.start, local.tzinfo)
        if opening <= local:
            opening = datetime.combine(local.date() + timedelta(days=1), self.start, local.tzinfo)
        return opening.astimezone(UTC)


class Retry(BaseModel):
    """Interruptions in a row, without a further checkpoint between them, that end the job; the wait doubles from one to the next."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    max_attempts: int = Field(5, ge=1, le=1000)
    back_off_seconds: float = Field(1.0, ge=0, le=86_400)
    longest_back_off_seconds: float = Field(60.0, ge=0, le=86_400)

    def wait_seconds(self, times: int) -> float:
        return min(self.longest_back_off_seconds, self.back_off_seconds * 2.0 ** min(times - 1, 60))


class Terms(BaseModel):
    """All of it may be left out. ``deadline``: past it, a job that is not over fails.

    ``memory_bytes`` is kept free for it; ``memory_limit_bytes`` (unique memory of its processes) ends it. ``gpus``: null: one where
    ``gpu_memory_bytes`` is said, or where it ``gains_by_gpu`` and the host has any; else none. With ``gpu_memory_bytes`` so much of each is
    its own, and the rest may go to others; without they are given whole.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    after: list[Annotated[str, Field(max_length=48)]] = Field([], max_length=32)
    if_after_fails: Literal["fail", "hold"] = "fail"
    not_before: AwareDatetime | None = None
    deadline: AwareDatetime | None = None
    window: Window | None = None
    retry: Retry = Retry()
    time_limit_seconds: float | None = Field(None, gt=0)
    memory_bytes: int | None = Field(None, gt=0, le=1 << 50)
    memory_limit_bytes: int | None = Field(None, ge=16 * MIB, le=1 << 50)
    gpus: int | None = Field(None, ge=0, le=64)
    gpu_memory_bytes: int | None = Field(None, ge=16 * MIB, le=1 << 50)
    gains_by_gpu: bool = False

    def gpus_wanted(self, host_has_gpus: bool) -> int:
        if self.gpus is not None:
            return self.gpus
        return int(self.gpu_memory_bytes is not None or (self.gains_by_gpu and host_has_gpus))


def estimated_memory_bytes(inputs_bytes: int) -> int:
    return BASE_MEMORY_BYTES + MEMORY_A_BYTE_OF_INPUT * inputs_bytes
