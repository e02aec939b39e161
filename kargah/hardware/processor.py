"""What processor this is and what it can do."""

import os
import platform
from dataclasses import dataclass
from pathlib import Path

import psutil

CPUINFO = Path("/proc/cpuinfo")
#: What counts for arithmetic, by the names that Linux has for them, the newest last.
SETS = (
    "avx", "avx2", "fma", "f16c", "avx_vnni", "avx512f", "avx512bw", "avx512_vnni", "avx512_bf16", "avx512_fp16", "amx_tile", "amx_int8",
    "amx_bf16", "amx_fp16", "asimd", "asimdhp", "asimddp", "i8mm", "bf16", "sve", "sve2",
)  # fmt: skip


@dataclass(frozen=True)
class Processor:
    """``name`` as its maker has it; ``cores`` are real ones where the system tells them from threads; ``sets``: names out of SETS."""

    name: str
    architecture: str
    cores: int
    threads: int
    sets: tuple[str, ...]


def found() -> Processor:
    fields = _fields()
    flags = set((fields.get("flags") or fields.get("features") or "").split())
    threads = os.cpu_count() or 1
    return Processor(
        name=" ".join((fields.get("model name") or platform.processor() or platform.machine()).split()),
        architecture=platform.machine(),
        cores=psutil.cpu_count(logical=False) or threads,
        threads=threads,
        sets=tuple(name for name in SETS if name in flags),
    )


def load() -> float:
    """How many processes wanted a core, on the mean of the last minute; 0 where the system does not say."""
    try:
        return os.getloadavg()[0]
    except OSError:
        return 0.0


def _fields() -> dict[str, str]:
    """Of the first processor that the system lists."""
    try:
        lines = CPUINFO.read_text().split("\n\n")[0].splitlines()
    except OSError:
        return {}
    return {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
