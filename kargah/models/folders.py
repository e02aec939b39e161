"""Model folders from elsewhere: what is taken, what is refused, and why.

Only safetensors weights come in: a pickle runs code when it is opened. Nothing of the folder is executed here, and no
tensor is read; the header of each weights file is checked against the file's length.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kargah.contract import hubs
from kargah.kit.errors import BadInput

CONFIG_LIMIT_BYTES = 4 << 20
HEADER_LIMIT_BYTES = 100 << 20


class NotAModelFolder(BadInput):
    code = "NOT_A_MODEL_FOLDER"


class ModelIsPickle(BadInput):
    code = "MODEL_IS_PICKLE"


class WeightsDamaged(BadInput):
    code = "WEIGHTS_DAMAGED"


@dataclass(frozen=True)
class ModelFolder:
    """``parameters`` counts the numbers in all weights files; ``paths`` are the files to take, relative to the folder."""

    root: Path
    paths: list[str]
    architecture: str
    parameters: int
    config: dict[str, Any]


def inspect(root: Path) -> ModelFolder:
    """Raises NotAModelFolder, ModelIsPickle or WeightsDamaged, each naming the file."""
    if not root.is_dir():
        raise NotAModelFolder(field="path", path=str(root), missing="folder")
    present = sorted(path for path in root.iterdir() if path.is_file() and not path.is_symlink())
    weights = [path for path in present if path.suffix == ".safetensors"]
    if not weights:
        pickles = [path.name for path in present if path.suffix in hubs.PICKLES]
        if pickles:
            raise ModelIsPickle(field="path", file=pickles[0])
        raise NotAModelFolder(field="path", path=root.name, missing="*.safetensors")
    config = _config(root / "config.json")
    parameters = sum(count_parameters(path) for path in weights)
    taken = [path.name for path in present if hubs.is_of_model(path.name)]
    return ModelFolder(root, taken, str((config.get("architectures") or [config["model_type"]])[0]), parameters, config)


def _config(path: Path) -> dict[str, Any]:
    if not path.is_file() or path.is_symlink() or path.stat().st_size > CONFIG_LIMIT_BYTES:
        raise NotAModelFolder(field="path", path=path.parent.name, missing="config.json")
    try:
        config = json.loads(path.read_bytes())
    except (ValueError, RecursionError):
        raise NotAModelFolder(field="path", path=path.parent.name, missing="config.json") from None
    if not isinstance(config, dict) or not isinstance(config.get("model_type"), str):
        raise NotAModelFolder(field="path", path=path.parent.name, missing="model_type")
    return config


def require_weights(root: Path, paths: list[str]) -> None:
    """The header of each weights file fits its length, whatever kind of model it is of. Raises WeightsDamaged."""
    for path in paths:
        if path.endswith(".safetensors"):
            count_parameters(root / path)


def count_parameters(path: Path) -> int:
    """Numbers in a safetensors file, by its header (8 bytes length, JSON, then data laid out without gaps)."""
    size_bytes = path.stat().st_size
    try:
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            if not 2 <= length <= min(HEADER_LIMIT_BYTES, size_bytes - 8):
                raise ValueError
            header = json.loads(file.read(length))
        tensors = [entry for name, entry in header.items() if name != "__metadata__"]
        if max((entry["data_offsets"][1] for entry in tensors), default=0) != size_bytes - 8 - length:
            raise ValueError
        return sum(_product(entry["shape"]) for entry in tensors)
    except (ValueError, RecursionError, KeyError, TypeError, IndexError, AttributeError):
        raise WeightsDamaged(field="path", file=path.name) from None


def _product(shape: list[int]) -> int:
    total = 1
    for length in shape:
        total *= length
    return total
