"""What memory this process uses, has used at most, and could get: of the machine, or of the graphics card that it computes on."""

from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from kargah.kit import limits

if TYPE_CHECKING:
    import torch

_STATUS, _CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")
_RESET_PEAK = "5"


def used_bytes(device: "torch.device | None" = None) -> int:
    if _is_card(device):
        import torch

        return torch.cuda.memory_allocated(device)
    return _line(_STATUS, "VmRSS:")


def peak_bytes(device: "torch.device | None" = None) -> int:
    """Since the process was started, or since ``forget_peak``. (getrusage tells that of whoever started it where that was more.)"""
    if _is_card(device):
        import torch

        return torch.cuda.max_memory_allocated(device)
    return _line(_STATUS, "VmHWM:")


def forget_peak(device: "torch.device | None" = None) -> None:
    """From here on the peak counts anew, where the system allows it."""
    if _is_card(device):
        import torch

        torch.cuda.reset_peak_memory_stats(device)
        return
    with suppress(OSError):
        _CLEAR.write_text(_RESET_PEAK)


def free_bytes(device: "torch.device | None" = None) -> int:
    """What this process could still take: of the machine's memory and of what its control group is allowed; of a card, of its share."""
    if _is_card(device):
        import torch

        free, total = torch.cuda.mem_get_info(device)
        held, used = torch.cuda.memory_reserved(device), torch.cuda.memory_allocated(device)
        share = int(torch.cuda.get_per_process_memory_fraction(device) * total)
        return held - used + max(0, min(free, share - held))
    available = _line(Path("/proc/meminfo"), "MemAvailable:")
    limit, within = limits.memory_bytes(), limits.memory_used_bytes()
    return available if limit is None or within is None else min(available, max(0, limit - within))


def _is_card(device: "torch.device | None") -> bool:
    return device is not None and device.type == "cuda"


def _line(path: Path, name: str) -> int:
    """0 where the system does not say."""
    try:
        rows = (line.split() for line in path.read_text().splitlines())
        return next((int(row[1]) * 1024 for row in rows if row and row[0] == name), 0)
    except (OSError, ValueError, IndexError):
        return 0
