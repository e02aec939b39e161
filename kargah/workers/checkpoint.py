"""Checkpoints: the whole state of a training, written so that a power cut leaves the old one or the new, never half.

::

    checkpoints/
      step-00000120/  state.json (the manifest: counters, hashes) · model.safetensors
                      optimizer.safetensors (with the random state) · best.safetensors (the best weights so far, if any)
                      averages.safetensors (of the weights that learn, where those are averaged)
"""

import shutil
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file

from kargah.engine import devices
from kargah.kit import files
from kargah.kit.clock import iso, utc_now

MANIFEST = "state.json"
_PREFIX = "step-"
_DAMAGED = "damaged-"
_PAGE_BYTES = 4096
Tensors = dict[str, torch.Tensor]


@dataclass
class TrainState:
    """All that must survive besides tensors. ``position``: optimizer steps done in this epoch.

    ``plan`` is the fingerprint of what is being trained: a checkpoint of another plan is never taken up. ``micro_batch_tokens``:
    the most of one pass, as memory allowed. ``first_loss`` and ``smooth_loss`` tell a loss that explodes. ``precision``: what
    products were taken in. ``processes`` shared each step, on ``device``. ``compiled``: whether steps went through compiled layers.
    """

    plan: str
    threads: int
    step: int = 0
    epoch: int = 0
    position: int = 0
    best_value: float | None = None
    best_step: int | None = None
    evaluations_without_gain: int = 0
    train_seconds: float = 0.0
    evaluation_seconds: float = 0.0
    micro_batch_tokens: int | None = None
    first_loss: float | None = None
    smooth_loss: float | None = None
    precision: str | None = None
    processes: int = 1
    device: str = "cpu"
    compiled: bool = False

    @classmethod
    def of(cls, stored: dict[str, Any]) -> "TrainState":
        """What an older release kept besides is passed over: it counted passes in rows."""
        known = {field.name for field in fields(cls)}
        return cls(**{name: value for name, value in stored.items() if name in known})


@dataclass(frozen=True)
class Snapshot:
    """A state with its tensors, apart from what training does to them next."""

    state: TrainState
    parts: dict[str, Tensors]

    @property
    def is_best(self) -> bool:
        return self.state.best_step == self.state.step

    @property
    def size_bytes(self) -> int:
        return sum(tensor.numel() * tensor.element_size() for tensors in self.parts.values() for tensor in tensors.values())


@dataclass(frozen=True)
class Keeping:
    """Which checkpoints stay: the newest ``last``, and the best one too when ``best``."""

    last: int = 2
    best: bool = True


class Copies:
    """Memory that tensors are copied into, again and again: pages that nobody has touched yet cost many times the copying.

    What was copied under a name before is overwritten by the next copy of that name.
    """

    def __init__(self) -> None:
        self._held: dict[str, Tensors] = {}

    def of(self, name: str, tensors: Tensors) -> Tensors:
        held = self._held.setdefault(name, {})
        for key, tensor in tensors.items():
            if key not in held:
                held[key] = torch.empty(tensor.shape, dtype=tensor.dtype)
            held[key].copy_(tensor)
        return {key: held[key] for key in tensors}

    def make_ready(self, name: str, tensors: Tensors) -> None:
        """Touch the pages that ``of`` will want; what is held already stays as it is. By numpy: torch would start threads of its own."""
        held = self._held.setdefault(name, {})
        for key, tensor in tensors.items():
            if key not in held:
                fresh = torch.empty(tensor.shape, dtype=tensor.dtype)
                fresh.view(-1).view(torch.uint8).numpy()[::_PAGE_BYTES] = 0
                held[key] = fresh


def snapshot(
    state: TrainState,
    module: torch.nn.Module,
    optimizer: torch.optim.Optimizer,
    best: Tensors | None,
    copies: Copies | None = None,
    averages: Tensors | None = None,
) -> Snapshot:
    """All that training has to wait for. Weights that do not learn, and ``best``, which nobody changes, are not copied.

    With ``copies`` the snapshot before this one must be done with.
    """
    copies = copies or Copies()
    tensors = {**copies.of("optimizer", _optimizer_tensors(optimizer)), **devices.random_state(devices.of(module))}
    parts = {"model": copied(module, copies), "optimizer": tensors, **({"best": best} if best else {})}
    if averages:
        parts["averages"] = copies.of("averages", averages)
    return Snapshot(replace(state), parts)


def getting_ready(module: torch.nn.Module, optimizer: torch.optim.Optimizer, copies: Copies) -> Callable[[], None]:
    """What makes a first snapshot take no longer than those after it, to be called beside the training."""
    weights, tensors = _learning(module), _optimizer_tensors(optimizer)

    def touch() -> None:
        for name, wanted in {"model": weights, "optimizer": tensors, "best": weights}.items():
            copies.make_ready(name, wanted)

    return touch


def write(folder: Path, taken: Snapshot, keeping: Keeping = Keeping()) -> tuple[Path, int]:
    """Write a checkpoint named for its step; return (its folder, bytes). Those that need not be kept go afterwards."""
    target = _unused(folder / f"{_PREFIX}{taken.state.step:08d}")
    size_bytes = _write(target, taken)
    prune(folder, keeping)
    return target, size_bytes


def prune(folder: Path, keeping: Keeping) -> int:
    """Remove what ``keeping`` does not name; return how many went."""
    newest_first = sorted(folder.glob(f"{_PREFIX}*"), reverse=True)
    over = newest_first[max(1, keeping.last) :]
    spared = next((path for path in newest_first if _is_best(path)), None) if keeping.best else None
    gone = [*(path for path in over if path != spared), *folder.glob(f"{_DAMAGED}*")]
    for path in gone:
        shutil.rmtree(path, ignore_errors=True)
    return len(gone)


def latest(folder: Path, plan: str, damaged: Callable[[str], None] = lambda _: None) -> tuple[Path, TrainState] | None:
    """The newest checkpoint of this plan whose files are whole, or None; each that is not whole is told to ``damaged`` by name.

    Remains of interrupted writing are removed; what is damaged gets another name, so that it counts no more.
    """
    for remains in folder.glob(".*.tmp"):
        shutil.rmtree(remains, ignore_errors=True)
    for path in sorted(folder.glob(f"{_PREFIX}*"), reverse=True):
        state = _verified(path)
        if state is None:
            path.rename(_unused(path.with_name(f"{_DAMAGED}{path.name}")))
            damaged(path.name)
        elif state.plan == plan:
            return path, state
    return None


def restore(path: Path, module: torch.nn.Module, optimizer: torch.optim.Optimizer) -> Tensors | None:
    """Put model, optimizer and torch's random state back exactly as they were; return the best weights so far."""
    module.load_state_dict(load_file(path / "model.safetensors"))
    tensors = load_file(path / "optimizer.safetensors")
    names = {devices.RANDOM_STATE, devices.RANDOM_STATE_OF_DEVICE} & tensors.keys()
    devices.set_random_state({name: tensors.pop(name) for name in names}, devices.of(module))
    stored = optimizer.state_dict()
    stored["state"] = {}
    for name, tensor in tensors.items():
        index, key = name.split(".", 1)
        stored["state"].setdefault(int(index), {})[key] = tensor
    optimizer.load_state_dict(stored)
    return load_file(path / "best.safetensors") if (path / "best.safetensors").exists() else None


def averages(path: Path) -> Tensors | None:
    """The averages of the weights, where the training keeps them."""
    return load_file(path / "averages.safetensors") if (path / "averages.safetensors").exists() else None


def copied(module: torch.nn.Module, copies: Copies, name: str = "model") -> Tensors:
    """The weights as they are now, apart from what training does to them next."""
    moved = copies.of(name, _learning(module))
    return {key: moved.get(key, tensor) for key, tensor in module.state_dict().items()}


def _learning(module: torch.nn.Module) -> Tensors:
    """The state without weights that do not learn. (Second names of those are in it: no two tensors of a file may share memory.)"""
    frozen = {name for name, parameter in module.named_parameters() if not parameter.requires_grad and parameter.is_contiguous()}
    return {name: tensor for name, tensor in module.state_dict().items() if name not in frozen}


def _optimizer_tensors(optimizer: torch.optim.Optimizer) -> Tensors:
    states = optimizer.state_dict()["state"].items()
    return {f"{index}.{key}": value for index, state in states for key, value in state.items()}


def _write(target: Path, taken: Snapshot) -> int:
    temporary = target.with_name(f".{target.name}.tmp")
    shutil.rmtree(temporary, ignore_errors=True)
    files.make_folder(target.parent)
    temporary.mkdir()
    try:
        digests = dict(_written(temporary, taken.parts))
        manifest = {"state": asdict(taken.state), "files": digests, "saved_at": iso(utc_now()), "best": taken.is_best}
        files.write_json(temporary / MANIFEST, manifest)
        # Everything inside is on the disk before the name is: a power cut must leave the old checkpoint or the new, never half.
        files.rename(temporary, target)
    except OSError:
        shutil.rmtree(temporary, ignore_errors=True)  # its room is needed now
        raise
    return sum(digest["size_bytes"] for digest in digests.values())


def _written(folder: Path, parts: dict[str, Tensors]) -> Iterator[tuple[str, dict[str, Any]]]:
    for name, tensors in parts.items():
        path = folder / f"{name}.safetensors"
        files.about_to("write", path)
        save_file(tensors, path)
        files.fsync_file(path)
        digest = files.digest_of(path)
        yield path.name, {"sha256": digest.sha256, "git_sha1": digest.git_sha1, "size_bytes": digest.size_bytes}


def _unused(path: Path) -> Path:
    """A second checkpoint of one step stands beside the first and sorts behind it: nothing that is whole is removed for it."""
    number, free = 0, path
    while free.exists():
        number += 1
        free = path.with_name(f"{path.name}.{number}")
    return free


def _is_best(path: Path) -> bool:
    try:
        return bool(files.read_json(path / MANIFEST).get("best"))
    except (OSError, ValueError):
        return False


def _verified(path: Path) -> TrainState | None:
    """The state when every file has the hash it was written with; a damaged checkpoint is as good as none."""
    try:
        stored = files.read_json(path / MANIFEST)
        for name, digest in stored["files"].items():
            if files.digest_of(path / name).sha256 != digest["sha256"]:
                return None
        return TrainState.of(stored["state"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
