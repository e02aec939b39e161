"""The one form of all benchmarks: a table for people, then as the last line one JSON object."""

import json
import os
import platform
import signal
import statistics
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

#: What a benchmark has started ends with it, also when it is told to end.
signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))


def machine() -> dict[str, Any]:
    cpu = next((line.split(":")[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")), "")
    memory_bytes = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {
        "cpu": cpu or platform.processor(),
        "cores": len(os.sched_getaffinity(0)),
        "memory_gib": round(memory_bytes / 2**30),
        "gpu": None if (gpu := card()) is None else gpu.name,
        "python": platform.python_version(),
    }


def card() -> Any:
    """The first graphics card (kargah.hardware.gpus.Gpu), None where there is none."""
    from kargah.hardware import gpus  # peers import this module too, and have no Kargah

    return next(iter(gpus.found()), None)


def figure(
    ours: float | None, peer: float | None, peer_is: str, goal: str, met: bool | None, unit: str = "ratio", **more: Any
) -> dict[str, Any]:
    """A ratio is ours over the peer's; anything else states ``value`` in ``more`` or is ours itself."""
    value = more.pop("value", ours / peer if unit == "ratio" and ours is not None and peer else ours)
    return {"value": value, "unit": unit, "ours": ours, "peer": peer, "peer_is": peer_is, "goal": goal, "met": met, **more}


def not_measured(why: str, goal: str, unit: str = "ratio") -> dict[str, Any]:
    return {"value": None, "unit": unit, "why": why, "goal": goal, "met": None}


def interleaved(rounds: int, **sides: Callable[[], float]) -> dict[str, list[float]]:
    """Each side once a round, in turn: what disturbs the machine disturbs all."""
    taken: dict[str, list[float]] = {name: [] for name in sides}
    for _ in range(rounds):
        for name, side in sides.items():
            taken[name].append(side())
    return taken


def median(values: list[float]) -> float:
    return statistics.median(values)


def spread(values: list[float]) -> str:
    return f"{min(values):.3g}–{max(values):.3g}"


def report(name: str, figures: dict[str, dict[str, Any]]) -> None:
    for key, found in figures.items():
        value = found["value"]
        shown = "not measured: " + found["why"] if value is None else f"{value:.4g} {found['unit']}"
        print(f"{key:44} {shown:28} goal {found['goal']:12} {'met' if found['met'] else 'NOT met' if found['met'] is False else '—'}")
    when = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    print(json.dumps({"benchmark": name, "when": when, "machine": machine(), "figures": figures}, ensure_ascii=False))
