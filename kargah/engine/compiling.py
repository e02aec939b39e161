"""The repeated layers of a model of transformers, each compiled by itself (torch.compile): they share one program for any number of
tokens, and the model around them, its weights and their names stay as they are.

Only what learns goes through them so; an evaluation takes the layers as they were written. The compiler is kept out of what it would
break off at, or be long over without gain: attention inside packed sequences, our dropout and products by oneDNN. Nothing of it is
imported before layers are compiled.
"""

import os
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from torch import nn

from kargah.engine import attention, devices, products

#: Of what is tried with the numbers of a first step: programs that suit other numbers are made beside it, up to so many.
_MOST_PROGRAMS = 64
_REPLAYED = "reduce-overhead"
#: (module, name) of each function that the compiler is kept out of; those of modules that nobody imported are called by nobody.
_OUTSIDE = (("kargah.engine.dropout", "dropped"), ("kargah.engine.products", "by_onednn"), ("kargah.engine.adapters", "adapted"))


def layers_of(model: nn.Module) -> list[nn.Module]:
    """Those that stand in a row and that no machine would part: what transformers says so of, and what can be computed again by itself."""
    from transformers.modeling_layers import GradientCheckpointingLayer

    whole = {name for module in model.modules() for name in getattr(module, "_no_split_modules", None) or ()}
    rows = [module for module in model.modules() if isinstance(module, nn.ModuleList)]
    return [layer for row in rows for layer in row if isinstance(layer, GradientCheckpointingLayer) or type(layer).__name__ in whole]


def missing_for(device: torch.device) -> str | None:
    """What compiling for ``device`` needs and this machine lacks: a compiler of C++ for a processor, triton for a card."""
    if device == devices.CPU:
        name = os.environ.get("CXX") or ("clang++" if sys.platform == "darwin" else "g++")
        return None if shutil.which(name) else name
    return None if find_spec("triton") else "triton"


def keep_programs_in(folder: Path) -> None:
    """From now on: what was compiled is found there by the next training."""
    os.environ["TORCHINDUCTOR_CACHE_DIR"] = str(folder)


class CompiledLayers:
    """The layers of ``model``, compiled when they are first called, until ``undo``; one at a time in a process.

    ``used``: whether steps go through what was compiled. ``backend``: of torch.compile. ``replayed``: a card plays back what it was told
    once for each number of tokens (CUDA graphs), so that the numbers are rounded to few.
    """

    def __init__(self, model: nn.Module, backend: str = "inductor", replayed: bool = False) -> None:
        _set_up()
        self.used, self._replayed, self._layers = True, replayed, layers_of(model)
        self._kept_out = [_keep_out(sys.modules[module], name) for module, name in _OUTSIDE if module in sys.modules]
        attention.register(_outside(attention.packed_attention))
        products.round_for_graphs(replayed)
        try:
            for layer in self._layers:
                layer.compile(dynamic=True, backend=backend, mode=_REPLAYED if replayed else None)
                layer._compiled_call_impl = self._chosen(layer, layer._compiled_call_impl)
        except BaseException:
            self.undo()
            raise

    def undo(self) -> None:
        """The layers are as they were, and what was compiled is forgotten."""
        for layer in self._layers:
            layer._compiled_call_impl = None
        for put_back in self._kept_out:
            put_back()
        attention.register(attention.packed_attention)
        products.round_for_graphs(False)
        torch.compiler.reset()

    @contextmanager
    def aside(self) -> Iterator[None]:
        """Within, steps take the layers as they were written."""
        used, self.used = self.used, False
        try:
            yield
        finally:
            self.used = used

    @contextmanager
    def strictly(self) -> Iterator[None]:
        """Within, what cannot be compiled raises what the compiler raises."""
        import torch._dynamo

        with torch._dynamo.config.patch(suppress_errors=False):
            yield

    def _chosen(self, layer: nn.Module, compiled: Any) -> Callable[..., Any]:
        is_first = layer is self._layers[0]

        def call(*args: Any, **kwargs: Any) -> Any:
            if not (self.used and layer.training and torch.is_grad_enabled()):
                return layer._call_impl(*args, **kwargs)  # type: ignore[no-untyped-call]
            if self._replayed and is_first:
                torch.compiler.cudagraph_mark_step_begin()  # type: ignore[no-untyped-call]
            return compiled(*args, **kwargs)

        return call


def _set_up() -> None:
    import torch._dynamo
    from torch._inductor import codecache, config
    from torch._inductor.runtime.cache_dir_utils import cache_dir

    torch._dynamo.config.suppress_errors = True  # what it cannot compile is computed as it was written
    torch._dynamo.config.recompile_limit = _MOST_PROGRAMS
    config.compile_threads = 1  # no processes of its own beside this one
    headers = Path(cache_dir()) / "headers"  # read once for all programs; left to itself it keeps them in /tmp
    config.cpp_cache_precompile_headers = hasattr(codecache, "_HEADER_DIR") and shutil.which("openssl") is not None
    codecache._HEADER_DIR, codecache._HEADER_LOCK_DIR = str(headers), str(headers / "locks")


def _outside(function: Callable[..., Any]) -> Callable[..., Any]:
    kept: Callable[..., Any] = torch.compiler.disable(function, reason="kept out of graphs")  # type: ignore[no-untyped-call]
    return kept


def _keep_out(module: ModuleType, name: str) -> Callable[[], None]:
    """Returns what puts the function back."""
    plain = getattr(module, name)
    setattr(module, name, _outside(plain))
    return lambda: setattr(module, name, plain)
