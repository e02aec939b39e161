"""Importing torch and transformers without what a training never uses: a compiler, tensors over several machines, SciPy's optimisers.

That is half of what they import: the mere making of an optimizer brings the compiler, and with it sympy. Nothing is cut off: who asks
for more of the compiler than to be left alone by it gets the real one; where a library is not as it is known here it is imported whole.
"""

import sys
import threading
from collections.abc import Callable, Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from importlib.util import module_from_spec
from types import ModuleType
from typing import Any

_COMPILER = "torch._dynamo"
#: The one part of it that transformers' models import, which needs no other.
_STANDS_ALONE = "torch._dynamo._trace_wrapped_higher_order_op"
#: Of transformers, what asks in its first lines whether there is what it then imports.
_ASKING = ("transformers.modeling_utils", "transformers.core_model_loading", "transformers.distributed", "transformers.loss")


def begin() -> None:
    """For the whole process, before torch is imported. To be called where a process begins that only trains or answers."""
    if not any(isinstance(finder, _Sparing) for finder in sys.meta_path):
        sys.meta_path.insert(0, _Sparing())


class _Sparing(MetaPathFinder):
    def find_spec(self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None) -> ModuleSpec | None:
        del target
        if fullname == _COMPILER:
            return _of_stand_in(path)
        if fullname.startswith(f"{_COMPILER}.") and fullname != _STANDS_ALONE:
            return _of_part(fullname)
        if fullname in _ASKING and not any(name in sys.modules for name in _ASKING):
            _spare_in_transformers()
        return None


class _Made(Loader):
    """Of a module that is there already."""

    def __init__(self, module: ModuleType) -> None:
        self._module = module

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        del spec
        return self._module

    def exec_module(self, module: ModuleType) -> None:
        """It is done."""


def _of_stand_in(path: Sequence[str] | None) -> ModuleSpec | None:
    real = PathFinder.find_spec(_COMPILER, path)
    if real is None or real.loader is None or real.submodule_search_locations is None:
        return None
    spec = ModuleSpec(_COMPILER, _Made(_NoCompiler(real, real.loader)), origin=real.origin, is_package=True)
    spec.submodule_search_locations = list(real.submodule_search_locations)
    return spec


def _of_part(name: str) -> ModuleSpec | None:
    """Parts of the compiler are parts of the real one, which imports most of them itself."""
    stand_in = sys.modules.get(_COMPILER)
    if not isinstance(stand_in, _NoCompiler):
        return None
    stand_in.given_way()
    return ModuleSpec(name, _Made(sys.modules[name])) if name in sys.modules else None


class _NoCompiler(ModuleType):
    """Stands for torch's compiler while nothing is compiled: then all that it is asked for is to leave a function as it is."""

    def __init__(self, real: ModuleSpec, loader: Loader) -> None:
        super().__init__(_COMPILER)
        self._real, self._loader, self._lock = real, loader, threading.RLock()

    @staticmethod
    def disable(fn: Any = None, *_: Any, **__: Any) -> Any:
        return _as_it_is if fn is None else fn

    allow_in_graph = assume_constant_result = staticmethod(lambda fn: fn)
    graph_break = staticmethod(lambda *_, **__: None)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):  # asked of every module by those who look through all of them
            raise AttributeError(name)
        return getattr(self.given_way(), name)

    def given_way(self) -> ModuleType:
        """The real one, in this one's place, with those of its parts that are imported already."""
        import torch

        with self._lock:
            if sys.modules[_COMPILER] is self:
                real = module_from_spec(self._real)
                vars(real).update({name: part for name, part in vars(self).items() if isinstance(part, ModuleType)})
                sys.modules[_COMPILER] = torch._dynamo = real
                try:
                    self._loader.exec_module(real)
                except BaseException:
                    sys.modules[_COMPILER] = torch._dynamo = self
                    raise
            return sys.modules[_COMPILER]


def _as_it_is(fn: Any) -> Any:
    return fn


def _spare_in_transformers() -> None:
    """Have it note for good that there are no tensors over several machines and no SciPy: it knows how to live with that."""
    import torch.distributed
    from transformers.utils import import_utils

    _answer_no(import_utils, "is_torch_distributed_available", torch.distributed, "is_available", lambda: False)
    _answer_no(import_utils, "is_scipy_available", import_utils, "_is_package_available", lambda *_, **__: (False, "N/A"))


def _answer_no(module: ModuleType, question: str, asked: ModuleType, name: str, answer: Callable[..., Any]) -> None:
    """``question`` keeps its first answer: it is asked while ``asked.name`` says no. One that keeps none is left as it is."""
    keeps: Any = getattr(module, question, None)
    real = getattr(asked, name, None)
    if not hasattr(keeps, "cache_clear") or real is None:
        return
    setattr(asked, name, answer)
    try:
        keeps.cache_clear()
        keeps()
    finally:
        setattr(asked, name, real)
