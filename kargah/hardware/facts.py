"""What is known of a machine as lines of (name, value), in a reader's words: for a page and for a terminal alike."""

from collections.abc import Iterator, Sequence

from kargah.contract.measurement import Measurement
from kargah.hardware.schemas import Machine, MemoryOut, Score
from kargah.kit import i18n

Fact = tuple[str, str]


def of_machine(language: str, machine: Machine) -> list[Fact]:
    cpu, disk = machine.cpu, machine.disk
    none = i18n.text(language, "hardware.none")
    named = [
        ("cpu", cpu.name),
        ("cores", _cores(language, machine)),
        ("sets", ", ".join(cpu.instruction_sets) or "–"),
        *_memory(language, machine.memory),
        ("disk", _of(language, i18n.size(language, disk.free_bytes), i18n.size(language, disk.size_bytes))),
        ("disk_kind", " · ".join(filter(None, [i18n.text(language, f"hardware.disk.{disk.kind}"), disk.filesystem]))),
        ("gpus", ", ".join(f"{gpu.name} ({i18n.memory(language, gpu.memory_bytes)})" for gpu in machine.gpus) or none),
        ("torch", machine.torch or none),
        ("allocator", machine.allocator or none),
    ]
    return [(i18n.text(language, f"hardware.fact.{name}"), value) for name, value in named]


def _memory(language: str, memory: MemoryOut) -> Iterator[Fact]:
    """What is not there is not told."""

    def amount(size_bytes: int) -> str:
        return i18n.memory(language, size_bytes)

    yield "memory", _of(language, amount(memory.free_bytes), amount(memory.usable_bytes))
    if memory.limit_bytes:
        yield "memory_limit", amount(memory.limit_bytes)
    if memory.swap_bytes:
        yield "swap", _of(language, amount(memory.swap_used_bytes), amount(memory.swap_bytes), "used")


def of_measurement(language: str, measured: Measurement) -> list[Fact]:
    """Beside the products."""

    def rate(bytes_per_second: float) -> str:
        return i18n.text(language, "machine.per_second", amount=i18n.size(language, bytes_per_second))

    named = [
        ("copied", rate(measured.copied_bytes_per_second)),
        ("written", rate(measured.written_bytes_per_second)),
        ("sync", i18n.text(language, "hardware.milliseconds", n=i18n.number(language, 1000 * measured.sync_seconds, 1))),
        ("measured_at", i18n.date(language, measured.at)),
    ]
    return [(i18n.text(language, f"hardware.fact.{name}"), value) for name, value in named]


def of_products(language: str, measured: Measurement) -> Iterator[tuple[str, str, str]]:
    """(Precision, on what, GFLOP/s) of the matrix products."""
    for one in measured.gemm:
        on = i18n.text(language, "hardware.threads", n=one.threads) if one.device == "cpu" else one.device
        yield one.precision, on, i18n.number(language, one.gflops, 1 if one.gflops < 100 else 0)


def of_scores(language: str, scores: Sequence[Score]) -> list[list[str]]:
    """Rows of (model, of what texts, real tokens a second, samples a second)."""
    return [
        [
            i18n.text(language, f"hardware.model.{score.model}"),
            i18n.text(language, "hardware.score.of_tokens", n=score.tokens),
            _short(language, score.tokens_per_second),
            _short(language, score.samples_per_second),
        ]
        for score in scores
    ]


def _short(language: str, value: float) -> str:
    return i18n.number(language, value, 0 if value >= 100 else 1 if value >= 1 else 2)


def _cores(language: str, machine: Machine) -> str:
    cpu = machine.cpu
    params = {"usable": cpu.usable, "threads": cpu.threads, "load": i18n.number(language, cpu.load, 1)}
    return i18n.text(language, "hardware.cores_quota" if cpu.quota else "hardware.cores", **params)


def _of(language: str, part: str, whole: str, how: str = "free") -> str:
    return i18n.text(language, f"hardware.{how}_of", part=part, whole=whole)
