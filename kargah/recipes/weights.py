"""Looking into a folder of weights without loading them: what is there, in which shapes, and is it safe to read."""

import json
import struct
from pathlib import Path
from typing import Any

from kargah.recipes.errors import BaseModelUnusable, UnsafeWeights, WeightsDamaged

_PICKLES = ("*.bin", "*.pt", "*.pth", "*.ckpt", "*.pkl")
_LARGEST_HEADER_BYTES = 100_000_000


def weight_files(folder: Path) -> list[Path]:
    """The safetensors files. Raises UnsafeWeights where there are only pickles, BaseModelUnusable where there is nothing."""
    found = sorted(folder.glob("*.safetensors"))
    if found:
        return found
    pickles = sorted(path.name for pattern in _PICKLES for path in folder.glob(pattern))
    if pickles:
        raise UnsafeWeights(field="base_model", file=", ".join(pickles))
    raise BaseModelUnusable(field="base_model", reason="no_weights")


def shapes_of(folder: Path) -> dict[str, tuple[int, ...]]:
    """Shapes by tensor name, from the files' headers alone."""
    shapes: dict[str, tuple[int, ...]] = {}
    for path in weight_files(folder):
        shapes |= {name: tuple(entry["shape"]) for name, entry in header_of(path).items()}
    return shapes


def header_of(path: Path) -> dict[str, dict[str, Any]]:
    """The header of one safetensors file. Raises WeightsDamaged when it is broken or promises more bytes than the file has."""
    size_bytes = path.stat().st_size
    try:
        with path.open("rb") as file:
            (length,) = struct.unpack("<Q", file.read(8))
            if length > min(size_bytes - 8, _LARGEST_HEADER_BYTES):
                raise ValueError("header longer than the file")
            header: dict[str, Any] = json.loads(file.read(length))
        header.pop("__metadata__", None)
        end = max((entry["data_offsets"][1] for entry in header.values()), default=0)
        if 8 + length + end != size_bytes:
            raise ValueError(f"{8 + length + end} bytes promised, {size_bytes} there")
    except (ValueError, KeyError, TypeError, struct.error) as error:
        raise WeightsDamaged(field="base_model", file=path.name, detail=str(error)) from error
    return header
