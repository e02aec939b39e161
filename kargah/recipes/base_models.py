"""Base models' folders as models of ``transformers``: safetensors only, no remote code, checked before memory is taken."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import nn

from kargah.recipes import weights
from kargah.recipes.errors import BaseModelUnusable
from kargah.recipes.tokenizing import base_tokenizer

OFFLINE: dict[str, Any] = {"trust_remote_code": False, "local_files_only": True}


def load(folder: Path, auto: Any, normaliser: dict[str, Any] | None, check: Callable[[], None], **settings: Any) -> tuple[Any, Any]:
    """Return (model in fp32, tokenizer with our normaliser before its own). ``auto``: the AutoModelFor… of the task, whose head may be
    fresh; ``settings`` go into the configuration.

    Raises UnsafeWeights for a folder with pickled weights only, BaseModelUnusable (with ``reason``) for one that is of no family for
    this task, or whose configuration and weights contradict each other.
    """
    return load_model(folder, auto, check, **settings), base_tokenizer(folder, normaliser)


def load_model(folder: Path, auto: Any, check: Callable[[], None], **settings: Any) -> Any:
    """The model alone, in fp32. Raises what ``load`` does."""
    quiet()
    config = _config(folder, auto, settings)
    shapes = weights.shapes_of(folder)
    _check_shapes(config, auto, shapes)
    check()
    with _numbers_for_real_tensors():
        return auto.from_pretrained(
            folder, config=config, ignore_mismatched_sizes=True, dtype=torch.float32, use_safetensors=True, **OFFLINE
        )  # fmt: skip


@contextmanager
def _numbers_for_real_tensors() -> Iterator[None]:
    """Within, an embedding on the meta device is not filled with numbers that nothing would hold: torch would do so in Python, and
    import sympy for it, which takes longer than to read the weights."""
    drawn = nn.Embedding.reset_parameters

    def drawn_if_real(embedding: nn.Embedding) -> None:
        if not embedding.weight.is_meta:
            drawn(embedding)

    nn.Embedding.reset_parameters = drawn_if_real  # type: ignore[assignment, method-assign]
    try:
        yield
    finally:
        nn.Embedding.reset_parameters = drawn  # type: ignore[method-assign]


def quiet() -> None:
    """No progress bars of transformers in a worker's log."""
    from transformers.utils import logging

    silence: Any = logging.disable_progress_bar
    silence()


def _config(folder: Path, auto: Any, settings: dict[str, Any]) -> Any:
    from transformers import AutoConfig

    if not (folder / "config.json").exists():
        raise BaseModelUnusable(field="base_model", reason="no_config")
    try:
        config = AutoConfig.from_pretrained(folder, **OFFLINE, **settings)
    except (ValueError, KeyError, OSError) as error:
        raise BaseModelUnusable(field="base_model", reason="unknown_family", detail=str(error)[:200]) from error
    if type(config) not in auto._model_mapping:
        raise BaseModelUnusable(field="base_model", reason="family", detail=config.model_type)
    return config


def _check_shapes(config: Any, auto: Any, shapes: dict[str, tuple[int, ...]]) -> None:
    """Build the model on the meta device (no memory, no numbers) and compare every tensor that the file has with its place in the model.

    Names are compared by their ends, since a file of the bare model lacks the prefix. The head may differ: it is replaced.
    """
    from transformers.initialization import no_init_weights

    with torch.device("meta"), no_init_weights():
        model = auto.from_config(config, trust_remote_code=False)
    prefix, tensors = f"{model.base_model_prefix}.", model.state_dict()
    headless = not any(name.startswith(prefix) for name in tensors)  # also the families whose heads stand beside unnamed encoders
    wanted = {name.removeprefix(prefix): tuple(tensor.shape) for name, tensor in tensors.items() if headless or name.startswith(prefix)}
    stored = {name.removeprefix(prefix): shape for name, shape in shapes.items()}
    if not any(name in stored for name in wanted):
        raise BaseModelUnusable(field="base_model", reason="family", detail=config.model_type)
    for name, shape in wanted.items():
        if name in stored and stored[name] != shape:
            raise BaseModelUnusable(field="base_model", reason="shapes", detail=f"{name}: {list(stored[name])}, config: {list(shape)}")
        if name not in stored and ".layer" in name:
            raise BaseModelUnusable(field="base_model", reason="shapes", detail=f"{name}: absent")
