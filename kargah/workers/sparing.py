"""Importing torch and transformers without what a training never uses: a compiler, tensors over several machines, SciPy's optimisers.

That is half of what they import: the mere making of an optimizer brings the compiler, and with it sympy. Nothing is cut off: who asks
for more of the compiler than to be left alone by it gets the real one; where a library is not as it is known here it is imported whole.
"""

import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from importlib.util import module_from_spec
from types import ModuleType
from typing import Any

_COMPILER, _PARTED = "torch._dynamo", "torch.distributed.tensor"
#: Sizes as symbols, with sympy: every check of an argument asks it whether what is true is true.
_SYMBOLS = "torch.fx.experimental.symbolic_shapes"
#: The one part of the compiler that transformers' models import, which needs no other.
_STANDS_ALONE = "torch._dynamo._trace_wrapped_higher_order_op"
#: Of transformers, what asks in its first lines whether there is what it then imports.
_ASKING = ("transformers.modeling_utils", "transformers.core_model_loading", "transformers.distributed", "transformers.loss")


def begin() -> None:
    """For the whole process, before torch is imported. To be called where a process begins that only trains or answers."""
    if not any(isinstance(finder, _Sparing) for finder in sys.meta_path):
        sys.meta_path.insert(0, _Sparing())


@contextmanager
def in_one_piece() -> Iterator[None]:
    """Within, a model is written without asking whether it is parted over machines: the question imports all that could part it."""
    asking: Any = sys.modules.get("transformers.modeling_utils")
    if asking is None or _PARTED in sys.modules or not hasattr(asking, "is_accelerate_available"):
        yield
        return
    real = asking.is_accelerate_available
    asking.is_accelerate_available = lambda *_, **__: False
    sys.modules[_PARTED] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        del sys.modules[_PARTED]
        asking.is_accelerate_available = real


class _Sparing(MetaPathFinder):
    def find_spec(self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None) -> ModuleSpec | None:
        del target
        if fullname in _ANSWERS:
            return _of_stand_in(fullname, path)
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


def _of_stand_in(name: str, path: Sequence[str] | None) -> ModuleSpec | None:
    real = PathFinder.find_spec(name, path)
    if real is None or real.loader is None:
        return None
    spec = ModuleSpec(name, _Made(_StandIn(real, real.loader, _ANSWERS[name])), origin=real.origin)
    spec.submodule_search_locations = real.submodule_search_locations and list(real.submodule_search_locations)
    return spec


def _of_part(name: str) -> ModuleSpec | None:
    """Parts of the compiler are parts of the real one, which imports most of them itself."""
    stand_in = sys.modules.get(_COMPILER)
    if not isinstance(stand_in, _StandIn):
        return None
    stand_in.given_way()
    return ModuleSpec(name, _Made(sys.modules[name])) if name in sys.modules else None


class _StandIn(ModuleType):
    """Stands for a module of torch while all that it is asked for are its ``answers``, by name."""

    def __init__(self, real: ModuleSpec, loader: Loader, answers: dict[str, Any]) -> None:
        super().__init__(real.name)
        self._real, self._loader, self._lock, self._answers = real, loader, threading.RLock(), answers

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):  # asked of every module by those who look through all of them
            raise AttributeError(name)
        return self._answers[name] if name in self._answers else getattr(self.given_way(), name)

    def given_way(self) -> ModuleType:
        """The real one, in this one's place, with those of its parts that are imported already."""
        name, (above, _, below) = self._real.name, self._real.name.rpartition(".")
        with self._lock:
            if sys.modules[name] is self:
                real = module_from_spec(self._real)
                vars(real).update({part: module for part, module in vars(self).items() if isinstance(module, ModuleType)})
                self._put(real, above, below)
                try:
                    self._loader.exec_module(real)
                except BaseException:
                    self._put(self, above, below)
                    raise
            return sys.modules[name]

    def _put(self, module: ModuleType, above: str, below: str) -> None:
        sys.modules[self._real.name] = module
        setattr(sys.modules[above], below, module)


def _disable(fn: Any = None, *_: Any, **__: Any) -> Any:
    return _as_it_is if fn is None else fn


def _as_it_is(fn: Any) -> Any:
    return fn


class _Frames:
    """Stands for the part of the compiler that is asked whether a module was compiled: none was while there is none."""

    class OptimizedModule:
        """What nothing is."""

    def __getattr__(self, name: str) -> Any:
        found: Any = sys.modules[_COMPILER]
        return getattr((found.given_way() if isinstance(found, _StandIn) else found).eval_frame, name)


def _of_plain(name: str, is_plain: Callable[..., bool], answer: Callable[..., Any]) -> Callable[..., Any]:
    """The function of _SYMBOLS that says ``answer`` where no size is a symbol; where one may be the real one says it."""

    def answered(*asked: Any, **more: Any) -> Any:
        if not more and is_plain(*asked):
            return answer(*asked)
        found = sys.modules[_SYMBOLS]
        return getattr(found.given_way() if isinstance(found, _StandIn) else found, name)(*asked, **more)

    return answered


def _is_truth(*asked: Any) -> bool:
    return len(asked) == 1 and type(asked[0]) is bool


def _is_size(*asked: Any) -> bool:
    return len(asked) == 1 and type(asked[0]) is int


def _are_shapes(*asked: Any) -> bool:
    return all(isinstance(shape, tuple | list) and all(type(size) is int for size in shape) for shape in asked)


_OF_TRUTHS = ("expect_true", "guard_or_false", "guard_or_true", "guard_size_oblivious")
#: By module: all that is asked of it where nothing is compiled and no size is a symbol.
_ANSWERS: dict[str, dict[str, Any]] = {
    _COMPILER: {
        "disable": _disable,
        "allow_in_graph": _as_it_is,
        "assume_constant_result": _as_it_is,
        "eval_frame": _Frames(),
        "graph_break": lambda *_, **__: None,
    },
    _SYMBOLS: {
        **{
            name: _of_plain(name, _is_truth, _as_it_is)
            for name in ("expect_true", "guard_or_false", "guard_or_true", "guard_size_oblivious")
        },
        "is_nested_int": _of_plain("is_nested_int", _is_size, lambda _: False),
        "sym_eq": _of_plain("sym_eq", _are_shapes, lambda one, other: tuple(one) == tuple(other)),
    },
}


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
