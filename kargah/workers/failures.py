"""What an exception that nobody caught means: a code that people can act on, with the traceback's end as evidence."""

import traceback
from pathlib import Path
from typing import Any

from kargah.kit import files
from kargah.recipes.errors import TrainingNotInstalled

_EVIDENCE_LINES = 25
_TRAINING_MODULES = frozenset({"torch", "numpy", "sklearn", "scipy", "safetensors", "tokenizers", "transformers", "pyarrow"})
#: How torch says it, on the processor and on a graphics card.
_MEMORY_WORDS = ("can't allocate memory", "not enough memory", "out of memory")
_OF_A_GPU = ("CUDA", "HIP", "XPU")


def told(error: Exception, folder: Path) -> dict[str, Any]:
    """The fields of ``Failed``. ``folder``: where the work was being done."""
    evidence = "\n".join(traceback.format_exception(error)).splitlines()[-_EVIDENCE_LINES:]
    return {**_named(error, folder), "evidence": "\n".join(evidence)}


def is_out_of_memory(error: BaseException) -> bool:
    return isinstance(error, MemoryError) or (isinstance(error, RuntimeError) and any(words in str(error) for words in _MEMORY_WORDS))


def _named(error: Exception, folder: Path) -> dict[str, Any]:
    if isinstance(error, ModuleNotFoundError) and error.name:
        missing = error.name.split(".")[0]
        if missing in _TRAINING_MODULES:
            return TrainingNotInstalled(missing=missing, extra="train").as_dict()
        if missing != "kargah":
            return {"code": "PACKAGE_MISSING", "params": {"package": missing}}
    if is_out_of_memory(error):
        return {"code": "GPU_OUT_OF_MEMORY" if any(words in str(error) for words in _OF_A_GPU) else "OUT_OF_MEMORY", "params": {}}
    if files.is_full(error):
        return {"code": "WORK_DISK_FULL", "params": {"free_bytes": files.free_bytes(folder)}}
    return {"code": "BUG", "params": {"error": type(error).__name__}}
