"""The machine's figures in a reader's words: for the cards of a page, and for its stream."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from kargah.kit import i18n
from kargah.monitoring.sampler import EVERY_SECONDS, Sampler
from kargah.monitoring.schemas import MachineSample

#: Below this a rate's line stays low: a few bytes of a quiet disk are no mountain.
QUIET_BYTES_PER_SECOND = 1_000_000.0


@dataclass(frozen=True)
class Meter:
    """``values``: the oldest first; ``full``: what fills the height of the picture, None where it is the greatest value shown."""

    key: str
    text: str
    detail: str
    values: list[float]
    full: float | None


def meters_of(language: str, samples: Sequence[MachineSample]) -> list[Meter]:
    if not samples:
        return []
    now = samples[-1]

    def rate(bytes_per_second: float) -> str:
        return i18n.text(language, "machine.per_second", amount=i18n.size(language, bytes_per_second))

    def both(key: str, first: float, second: float) -> str:
        return i18n.text(language, f"machine.{key}.detail", first=rate(first), second=rate(second))

    read, written = now.disk_read_bytes_per_second, now.disk_written_bytes_per_second
    received, sent = now.network_received_bytes_per_second, now.network_sent_bytes_per_second
    return [
        Meter(
            "cpu",
            i18n.percent(language, now.cpu_share, 0),
            i18n.text(language, "machine.cpu.detail", n=now.cores),
            [sample.cpu_share for sample in samples],
            1.0,
        ),
        Meter(
            "memory",
            i18n.percent(language, now.memory_used_bytes / now.memory_bytes, 0),
            i18n.text(
                language,
                "machine.memory.detail",
                used=i18n.memory(language, now.memory_used_bytes),
                total=i18n.memory(language, now.memory_bytes),
            ),
            [sample.memory_used_bytes / sample.memory_bytes for sample in samples],
            1.0,
        ),
        Meter(
            "disk",
            rate(read + written),
            both("disk", read, written),
            [sample.disk_read_bytes_per_second + sample.disk_written_bytes_per_second for sample in samples],
            None,
        ),
        Meter(
            "network",
            rate(received + sent),
            both("network", received, sent),
            [sample.network_received_bytes_per_second + sample.network_sent_bytes_per_second for sample in samples],
            None,
        ),
    ]


def free_disk(language: str, sample: MachineSample) -> dict[str, Any]:
    used = 1 - sample.disk_free_bytes / sample.disk_bytes
    sizes = {"free": i18n.size(language, sample.disk_free_bytes), "total": i18n.size(language, sample.disk_bytes)}
    return {"percent": round(100 * used), "text": i18n.text(language, "machine.space", **sizes)}


class MachineMessages:
    """For the stream of a page: ``event: machine`` with the newest figures, each once."""

    every_seconds = EVERY_SECONDS

    def __init__(self, sampler: Sampler, language: str) -> None:
        self._sampler = sampler
        self._language = language
        self._said: MachineSample | None = None

    def messages(self) -> list[bytes]:
        sample = self._sampler.latest
        if sample is None or sample is self._said:
            return []
        self._said = sample
        said = {"meters": [asdict(meter) for meter in meters_of(self._language, [sample])], "space": free_disk(self._language, sample)}
        return [b"event: machine\ndata: %s\n\n" % json.dumps(said, ensure_ascii=False).encode()]
