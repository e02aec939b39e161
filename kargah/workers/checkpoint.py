"""Checkpoints: the whole state of a training, written so that a power cut leaves the old one or the new, never half.

::

    checkpoints/
      step-00000120/  state.json (counters, hashes) · model.safetensors · optimizer.safetensors (with the random state)
                      best.safetensors (the best weights so far, once there are some)
"""

import os
import shutil
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file

from kargah.kit import files

KEPT = 2
_PREFIX = "step-"
Tensors = dict[str, torch.Tensor]


@dataclass
class TrainState:
    """All that must survive besides tensors. ``position``: optimizer steps done in this epoch.

    ``plan`` is the fingerprint of what is being trained: a checkpoint of another plan is never taken up.
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


def save(
    folder: Path, state: TrainState, module: torch.nn.Module, optimizer: torch.optim.Optimizer, best: Tensors | None
) -> tuple[Path, int]:
    """Write a checkpoint named for its step; return (its folder, bytes). All but the newest two go."""
    target = folder / f"{_PREFIX}{state.step:08d}"
    parts = {"model": module.state_dict(), "optimizer": _optimizer_tensors(optimizer), **({"best": best} if best else {})}
    size_bytes = _write(target, state, parts)
    for old in sorted(folder.glob(f"{_PREFIX}*"))[:-KEPT]:
        shutil.rmtree(old)
    return target, size_bytes


def latest(folder: Path, plan: str) -> tuple[Path, TrainState] | None:
    """The newest checkpoint of this plan whose files are whole, or None. Remains of interrupted writing are removed."""
    for remains in folder.glob(".*.tmp"):
        shutil.rmtree(remains, ignore_errors=True)
    for path in sorted(folder.glob(f"{_PREFIX}*"), reverse=True):
        state = _verified(path)
        if state is not None and state.plan == plan:
            return path, state
    return None


def restore(path: Path, module: torch.nn.Module, optimizer: torch.optim.Optimizer) -> Tensors | None:
    """Put model, optimizer and torch's random state back exactly as they were; return the best weights so far."""
    module.load_state_dict(load_file(path / "model.safetensors"))
    tensors = load_file(path / "optimizer.safetensors")
    torch.set_rng_state(tensors.pop("random_state"))
    stored = optimizer.state_dict()
    stored["state"] = {}
    for name, tensor in tensors.items():
        index, key = name.split(".", 1)
        stored["state"].setdefault(int(index), {})[key] = tensor
    optimizer.load_state_dict(stored)
    return load_file(path / "best.safetensors") if (path / "best.safetensors").exists() else None


def copied(module: torch.nn.Module) -> Tensors:
    """The weights as they are now, apart from what training does to them next."""
    return {name: tensor.detach().clone() for name, tensor in module.state_dict().items()}


def _optimizer_tensors(optimizer: torch.optim.Optimizer) -> Tensors:
    states = optimizer.state_dict()["state"].items()
    tensors = {f"{index}.{key}": value for index, state in states for key, value in state.items()}
    return {**tensors, "random_state": torch.get_rng_state()}


def _write(target: Path, state: TrainState, parts: dict[str, Tensors]) -> int:
    temporary = target.with_name(f".{target.name}.tmp")
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir(parents=True)
    digests = dict(_written(temporary, parts))
    files.write_json(temporary / "state.json", {"state": asdict(state), "files": digests})
    # Everything inside is on the disk before the name is: a power cut must leave the old checkpoint or the new, never half.
    shutil.rmtree(target, ignore_errors=True)
    temporary.rename(target)
    files.fsync_directory(target.parent)
    return sum(digest["size_bytes"] for digest in digests.values())


def _written(folder: Path, parts: dict[str, Tensors]) -> Iterator[tuple[str, dict[str, Any]]]:
    for name, tensors in parts.items():
        path = folder / f"{name}.safetensors"
        save_file({key: tensor.detach().clone().contiguous() for key, tensor in tensors.items()}, path)
        with path.open("rb") as file:
            os.fsync(file.fileno())
        digest = files.digest_of(path)
        yield path.name, {"sha256": digest.sha256, "size_bytes": digest.size_bytes}


def _verified(path: Path) -> TrainState | None:
    """The state when every file has the hash it was written with; a damaged checkpoint is as good as none."""
    try:
        stored = files.read_json(path / "state.json")
        for name, digest in stored["files"].items():
            if files.digest_of(path / name).sha256 != digest["sha256"]:
                return None
        return TrainState(**stored["state"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
