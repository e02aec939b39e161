"""Measure this machine: ``python -m kargah.workers.measure ATTEMPT_DIR``. Under twenty seconds: arithmetic, memory, disk.

In: plan.json. Out: events.jsonl, whose last one carries a contract.measurement.Measurement.
"""

import os
import resource
import statistics
import sys
import time
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kargah.contract.measurement import GemmRate, Measurement, Precision
from kargah.contract.plans import MeasurePlan, Plan
from kargah.contract.process import QUICK_ALLOCATORS
from kargah.kit.clock import utc_now
from kargah.recipes.errors import TrainingNotInstalled
from kargah.workers.edge import Attempt, run_attempt
from kargah.workers.threads import limit_threads

if TYPE_CHECKING:
    import torch

#: rows × inner × columns, each twenty to thirty times the work of the one before: the last is a layer of BERT-base over 1,024 tokens.
_SHAPES = ((64, 384, 384), (256, 768, 768), (1024, 768, 3072))
_RATE_SECONDS = 0.3
#: A precision for which a small product takes this long is not tried on larger ones.
_SLOW_SECONDS = 0.1
_COPY_BYTES = 128 << 20
_WRITE_BYTES, _WRITE_SECONDS = 128 << 20, 3.0
_SYNCS, _SYNC_SECONDS = 15, 1.5
_CHUNK = bytes(1 << 20)


def measure(plan: Plan, attempt: Attempt) -> dict[str, Any]:
    """Return the Measurement as JSON. Raises TrainingNotInstalled without torch, OSError where the disk takes nothing."""
    assert isinstance(plan, MeasurePlan)
    if find_spec("torch") is None:
        raise TrainingNotInstalled(missing="torch", extra="train")
    limit_threads(plan.threads)
    import torch

    started, busy = time.monotonic(), _Others()
    steps: list[Callable[[], list[GemmRate]]] = [
        *(lambda precision=precision, count=count: [_on_cpu(precision, count)] for precision, count in wanted_rates(plan.threads)),
        *(lambda index=index: _on_gpu(index) for index in range(torch.cuda.device_count())),
    ]
    attempt.tell("Running", total_steps=None)
    gemm: list[GemmRate] = []
    for number, step in enumerate(steps, 1):
        attempt.wants.check()
        gemm += step()
        attempt.tell("Progress", done=number, total=len(steps) + 2, unit="steps", code="hardware.measuring")
    torch.set_num_threads(plan.threads)
    copied = _copied_bytes_per_second()
    written, sync_seconds = _disk(attempt.directory.path)
    return Measurement(
        at=utc_now(),
        seconds=round(time.monotonic() - started, 2),
        torch=torch.__version__,
        threads=plan.threads,
        gemm=gemm,
        copied_bytes_per_second=copied,
        written_bytes_per_second=written,
        sync_seconds=sync_seconds,
        busy_cores=busy.cores(),
        allocator=_allocator(),
    ).model_dump(mode="json")


def wanted_rates(threads: int) -> list[tuple[Precision, int]]:
    """fp32 with 1, 2, 4 … threads, the others with one and with all."""
    counts = sorted({1, threads, *(1 << power for power in range(threads.bit_length()))})
    few = sorted({1, threads})
    halves: tuple[Precision, ...] = ("bf16", "fp16")
    return [("fp32", count) for count in counts if count <= threads] + [(precision, count) for precision in halves for count in few]


def _on_cpu(precision: Precision, threads: int) -> GemmRate:
    import torch

    torch.set_num_threads(threads)
    return GemmRate(precision=precision, threads=threads, gflops=_gflops(torch.device("cpu"), _dtype(precision)))


def _on_gpu(index: int) -> list[GemmRate]:
    import torch

    device = torch.device("cuda", index)
    precisions: tuple[Precision, ...] = ("fp32", "bf16", "fp16")
    return [GemmRate(device=str(device), precision=name, threads=0, gflops=_gflops(device, _dtype(name))) for name in precisions]


def _dtype(precision: Precision) -> "torch.dtype":
    import torch

    return {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}[precision]


def _gflops(device: "torch.device", dtype: "torch.dtype") -> float:
    """The best rate over growing shapes: a machine that is busy for a moment does not count as a slow one."""
    best = 0.0
    for rows, inner, columns in _SHAPES if device.type == "cpu" else [(8192, 8192, 8192)]:
        seconds = product_seconds(device, dtype, rows, inner, columns)
        best = max(best, 2 * rows * inner * columns / seconds / 1e9)
        if seconds > _SLOW_SECONDS:
            break
    return float(f"{best:.4g}")


def product_seconds(device: "torch.device", dtype: "torch.dtype", rows: int, inner: int, columns: int) -> float:
    """The quickest of those that fit into a moment; at least one."""
    import torch

    from kargah.engine import products

    left, right = torch.ones(rows, inner, dtype=dtype, device=device), torch.ones(columns, inner, dtype=dtype, device=device)
    quickest, until = float("inf"), time.monotonic() + _RATE_SECONDS
    products.linear(left, right)
    while quickest == float("inf") or time.monotonic() < until:
        _settle(device)
        started = time.perf_counter()
        products.linear(left, right)
        _settle(device)
        quickest = min(quickest, time.perf_counter() - started)
    return quickest


def _settle(device: "torch.device") -> None:
    import torch

    if device.type == "cuda":
        torch.cuda.synchronize(device)


def _copied_bytes_per_second() -> float:
    import torch

    source = torch.ones(_COPY_BYTES // 4)
    target = torch.zeros_like(source)
    quickest, until = float("inf"), time.monotonic() + _RATE_SECONDS
    while time.monotonic() < until:
        started = time.perf_counter()
        target.copy_(source)
        quickest = min(quickest, time.perf_counter() - started)
    return round(2 * _COPY_BYTES / quickest)


def _disk(folder: Path) -> tuple[float, float]:
    """(Bytes a second that are written and safe, seconds until four kilobytes are safe), on the disk of ``folder``."""
    path = folder / "measured.bin"
    try:
        with path.open("wb", buffering=0) as file:
            return _written_bytes_per_second(file.fileno()), _sync_seconds(file.fileno())
    finally:
        path.unlink(missing_ok=True)


def _written_bytes_per_second(descriptor: int) -> float:
    started, size_bytes = time.monotonic(), 0
    while size_bytes < _WRITE_BYTES and time.monotonic() - started < _WRITE_SECONDS:
        size_bytes += os.write(descriptor, _CHUNK)
    os.fsync(descriptor)
    return round(size_bytes / (time.monotonic() - started))


def _sync_seconds(descriptor: int) -> float:
    seconds: list[float] = []
    until = time.monotonic() + _SYNC_SECONDS
    while not seconds or (len(seconds) < _SYNCS and time.monotonic() < until):
        os.pwrite(descriptor, _CHUNK[:4096], 0)
        started = time.monotonic()
        os.fsync(descriptor)
        seconds.append(time.monotonic() - started)
    return round(statistics.median(seconds), 6)


class _Others:
    """How many cores were busy with something else since this was made; 0 where the system does not say."""

    def __init__(self) -> None:
        self._at, self._all, self._own = time.monotonic(), _busy_seconds(), _own_seconds()

    def cores(self) -> float:
        others = (_busy_seconds() - self._all) - (_own_seconds() - self._own)
        return round(max(0.0, others / (time.monotonic() - self._at)), 2)


def _busy_seconds() -> float:
    try:
        user, nice, system = map(int, Path("/proc/stat").read_text().split(maxsplit=4)[1:4])
    except (OSError, ValueError):
        return 0.0
    return (user + nice + system) / os.sysconf("SC_CLK_TCK")


def _own_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def _allocator() -> str | None:
    """The allocator that this process was started with, where it is not the system's own."""
    try:
        mapped = Path("/proc/self/maps").read_text()
    except OSError:
        return None
    return next((name for name in QUICK_ALLOCATORS if name.partition(".")[0] in mapped), None)


def main() -> int:
    if len(sys.argv) != 2:
        sys.stderr.write("usage: python -m kargah.workers.measure ATTEMPT_DIR\n")
        return 2
    return run_attempt(Path(sys.argv[1]), measure)


if __name__ == "__main__":
    sys.exit(main())
