"""The machine's figures of the last quarter of an hour, kept in this process's memory and nowhere else."""

import asyncio
import time
from collections import deque
from dataclasses import dataclass
from pathlib import Path

import psutil
import structlog

from kargah.hardware.profile import host_name
from kargah.kit.clock import utc_now
from kargah.monitoring.schemas import MachineHistory, MachineSample

log = structlog.get_logger(__name__)

EVERY_SECONDS = 3.0
KEPT_SECONDS = 15 * 60.0


@dataclass(frozen=True)
class Counters:
    """What the system has counted since it started; zeros where it does not count (some containers have no disks)."""

    at_seconds: float
    busy_seconds: float
    idle_seconds: float
    read_bytes: int
    written_bytes: int
    received_bytes: int
    sent_bytes: int


class Sampler:
    """``run`` is one task of the process. The first sample is taken at once, its rates are zero."""

    def __init__(self, home: Path) -> None:
        self._home = home
        self._kept: deque[MachineSample] = deque(maxlen=int(KEPT_SECONDS / EVERY_SECONDS))
        self._before: Counters | None = None

    @property
    def latest(self) -> MachineSample | None:
        return self._kept[-1] if self._kept else None

    def history(self) -> MachineHistory:
        return MachineHistory(host=host_name(), every_seconds=EVERY_SECONDS, samples=list(self._kept))

    async def run(self, stopping: asyncio.Event) -> None:
        while not stopping.is_set():
            try:
                await asyncio.to_thread(self.take)  # a disk may let one wait
            except OSError as error:  # a disk that is gone for a while: the figures go on with the next sample
                log.warning("machine_not_read", exc_info=error)
            try:
                async with asyncio.timeout(EVERY_SECONDS):
                    await stopping.wait()
            except TimeoutError:
                continue

    def take(self) -> MachineSample:
        now = _counters()
        before = self._before or now
        self._before = now
        seconds = max(now.at_seconds - before.at_seconds, 1e-6)
        memory, disk = psutil.virtual_memory(), psutil.disk_usage(str(self._home))
        sample = MachineSample(
            at=utc_now(),
            cpu_share=_share(now.busy_seconds - before.busy_seconds, now.idle_seconds - before.idle_seconds),
            cores=psutil.cpu_count() or 1,
            memory_used_bytes=memory.total - memory.available,
            memory_bytes=memory.total,
            disk_read_bytes_per_second=max(0, now.read_bytes - before.read_bytes) / seconds,
            disk_written_bytes_per_second=max(0, now.written_bytes - before.written_bytes) / seconds,
            network_received_bytes_per_second=max(0, now.received_bytes - before.received_bytes) / seconds,
            network_sent_bytes_per_second=max(0, now.sent_bytes - before.sent_bytes) / seconds,
            disk_free_bytes=disk.free,
            disk_bytes=disk.total,
        )
        self._kept.append(sample)
        return sample


def _share(busy_seconds: float, idle_seconds: float) -> float:
    """0–1; zero when no time has passed, and counters that went back count as none."""
    busy, idle = max(0.0, busy_seconds), max(0.0, idle_seconds)
    return busy / (busy + idle) if busy else 0.0


def _counters() -> Counters:
    disk, network, cpu = psutil.disk_io_counters(), psutil.net_io_counters(), psutil.cpu_times()
    # psutil's own percentage is kept for each thread, and a sample is taken in whichever thread is free.
    idle_seconds = cpu.idle + getattr(cpu, "iowait", 0.0)
    return Counters(
        at_seconds=time.monotonic(),
        busy_seconds=sum(cpu) - getattr(cpu, "guest", 0.0) - getattr(cpu, "guest_nice", 0.0) - idle_seconds,
        idle_seconds=idle_seconds,
        read_bytes=disk.read_bytes if disk else 0,
        written_bytes=disk.write_bytes if disk else 0,
        received_bytes=network.bytes_recv if network else 0,
        sent_bytes=network.bytes_sent if network else 0,
    )
