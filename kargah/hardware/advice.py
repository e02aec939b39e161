"""What to do about what was found and measured, the gravest first."""

from collections.abc import Iterator

from kargah.contract.measurement import Measurement
from kargah.hardware.schemas import Advice, Machine
from kargah.kit import i18n

_GIB = 1 << 30
SMALL_MEMORY_BYTES, LITTLE_FREE_BYTES = 4 * _GIB, 1 * _GIB
SMALL_DISK_BYTES = 5_000_000_000
SLOW_DISK_BYTES_PER_SECOND, SLOW_SYNC_SECONDS = 50_000_000.0, 0.03
#: Of a thread more: less than this much more work is hardly worth a core.
LEAST_GAIN = 1.2
#: A precision wins when it is quicker by so much: what surrounds the products gains nothing.
CLEARLY = 1.3
_GRAVITY = {"warning": 0, "info": 1, "good": 2}


def on(machine: Machine, measurement: Measurement | None) -> list[Advice]:
    found = [*_of_machine(machine), *(_of_measurement(machine, measurement) if measurement else ())]
    return sorted(found, key=lambda one: _GRAVITY[one.level])


def text_of(language: str, advice: Advice) -> str:
    """What was found and what to do, in words."""
    shown = dict(advice.params)
    for name, value in advice.params.items():
        if name.endswith("_bytes"):
            shown[name] = (i18n.memory if name == "memory_bytes" else i18n.size)(language, value)
        elif name.endswith("_seconds"):
            shown[name] = i18n.number(language, 1000 * value, 1)
        elif isinstance(value, float):
            shown[name] = i18n.number(language, value, 0 if value.is_integer() else 1)
    return i18n.text(language, f"hardware.advice.{advice.code}", **shown)


def _of_machine(machine: Machine) -> Iterator[Advice]:
    memory, disk = machine.memory, machine.disk
    if machine.torch is None:
        yield Advice(code="torch_missing", level="warning", params={"extra": "train"})
    elif machine.gpus and "+cpu" in machine.torch:
        yield Advice(code="gpu_unused", level="warning", params={"name": machine.gpus[0].name, "torch": machine.torch})
    if machine.allocator is None:
        yield Advice(code="allocator_missing", level="info", params={"package": "libtcmalloc-minimal4"})
    if memory.usable_bytes < SMALL_MEMORY_BYTES:
        yield Advice(code="memory_small", level="warning", params={"memory_bytes": memory.usable_bytes})
    elif memory.free_bytes < LITTLE_FREE_BYTES:
        yield Advice(code="memory_taken", level="warning", params={"memory_bytes": memory.free_bytes})
    if memory.swap_used_bytes > _GIB:
        yield Advice(code="swapping", level="warning", params={"memory_bytes": memory.swap_used_bytes})
    if disk.free_bytes < SMALL_DISK_BYTES:
        yield Advice(code="disk_small", level="warning", params={"free_bytes": disk.free_bytes})
    if disk.kind in {"rotating", "remote", "memory"}:
        yield Advice(code=f"disk_{disk.kind}", level="warning" if disk.kind == "memory" else "info")
    if machine.cpu.load > machine.cpu.usable + 0.5:
        yield Advice(code="busy", level="info", params={"load": machine.cpu.load, "cores": machine.cpu.usable})
    if not machine.gpus:
        yield Advice(code="gpu_none", level="info")


def _of_measurement(machine: Machine, measured: Measurement) -> Iterator[Advice]:
    yield from _of_precision(measured)
    yield from _of_threads(measured)
    if measured.busy_cores > 0.3:
        yield Advice(code="measured_busy", level="warning", params={"cores": round(measured.busy_cores, 1)})
    if measured.written_bytes_per_second < SLOW_DISK_BYTES_PER_SECOND or measured.sync_seconds > SLOW_SYNC_SECONDS:
        params = {"written_bytes": measured.written_bytes_per_second, "sync_milliseconds": round(1000 * measured.sync_seconds, 1)}
        yield Advice(code="disk_slow", level="warning", params=params)
    if measured.threads < machine.cpu.usable:
        yield Advice(code="measured_part", level="info", params={"threads": measured.threads, "cores": machine.cpu.usable})


def _of_precision(measured: Measurement) -> Iterator[Advice]:
    fp32, bf16 = measured.rate("fp32"), measured.rate("bf16")
    if not fp32 or not bf16:
        return
    if bf16 > CLEARLY * fp32:
        yield Advice(code="bf16_wins", level="good", params={"times": round(bf16 / fp32, 1)})
    elif fp32 > CLEARLY * bf16:
        yield Advice(code="fp32_wins", level="good", params={"times": round(fp32 / bf16, 1)})
    else:
        yield Advice(code="fp32_equals", level="good")


def _of_threads(measured: Measurement) -> Iterator[Advice]:
    rates = sorted((one.threads, one.gflops) for one in measured.gemm if one.device == "cpu" and one.precision == "fp32")
    if len(rates) < 2:
        return
    threads, best = max(rates, key=lambda rate: rate[1])
    gain = best / rates[0][1]
    if threads == 1 or gain < LEAST_GAIN:
        yield Advice(code="threads_idle", level="warning" if measured.busy_cores <= 0.3 else "info", params={"threads": measured.threads})
    else:
        yield Advice(code="threads_best", level="good", params={"threads": threads, "times": round(gain, 1)})
