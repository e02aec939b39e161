"""A second device for tests: its tensors lie in the processor's memory and are computed there, but may not be mixed with the processor's
own, as those of a graphics card may not. What is forgotten to be sent, or fetched, fails."""

from typing import Any

import torch
from torch.utils import _pytree as pytree
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.backend_registration import _setup_privateuseone_for_python_backend

NAME = "second"
_MOVES = ("aten::_to_copy", "aten::copy_")


class _Module:
    """What torch asks of a device's module."""

    def __init__(self) -> None:
        self.generator = torch.Generator()

    def is_initialized(self) -> bool:
        return True

    def is_available(self) -> bool:
        return True

    def current_device(self) -> int:
        return 0

    def device_count(self) -> int:
        return 1

    def _is_in_bad_fork(self) -> bool:
        return False

    def manual_seed_all(self, seed: int) -> None:
        self.generator.manual_seed(seed)

    def get_amp_supported_dtype(self) -> list[torch.dtype]:
        return [torch.bfloat16]

    def get_rng_state(self, device: Any = None) -> torch.Tensor:
        return self.generator.get_state()

    def set_rng_state(self, state: torch.Tensor, device: Any = None) -> None:
        self.generator.set_state(state)

    def synchronize(self, device: Any = None) -> None:
        pass


_setup_privateuseone_for_python_backend(NAME, backend_module=_Module())
_library = torch.library.Library("_", "IMPL")
_library.fallback(torch.library.fallthrough_kernel, "AutocastPrivateUse1")
SECOND = torch.device(NAME, 0)
_making = torch.library.Library("aten", "IMPL")


class There(torch.Tensor):
    """A tensor of the second device; ``held``: its numbers."""

    held: torch.Tensor

    @staticmethod
    def __new__(cls, held: torch.Tensor) -> "There":
        made = torch.Tensor._make_wrapper_subclass(
            cls, held.size(), strides=held.stride(), storage_offset=held.storage_offset(), dtype=held.dtype, device=SECOND
        )
        made.held = held
        return made

    def __tensor_flatten__(self) -> tuple[list[str], None]:
        return ["held"], None

    @staticmethod
    def __tensor_unflatten__(inner: dict[str, torch.Tensor], _meta: None, _size: Any, _stride: Any) -> "There":
        return There(inner["held"])

    def __repr__(self) -> str:
        return f"There({self.held})"

    @classmethod
    def __torch_dispatch__(cls, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return _computed(function, args, kwargs or {})


class Making(TorchDispatchMode):
    """Within, tensors that are made on the second device are of it."""

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return _computed(function, args, kwargs or {})


def _computed(function: Any, args: Any, kwargs: dict[str, Any]) -> Any:
    schema, leaves = function._schema, pytree.tree_leaves((args, kwargs))
    there = [leaf for leaf in leaves if isinstance(leaf, There)]
    here = [leaf for leaf in leaves if isinstance(leaf, torch.Tensor) and not isinstance(leaf, There) and leaf.dim() > 0]
    if there and here and schema.name not in _MOVES:
        raise RuntimeError(f"{schema.name}: tensors of two devices, {[tuple(tensor.shape) for tensor in (*there, *here)]}")
    found = function(*pytree.tree_map(_near, args), **{name: pytree.tree_map(_near, value) for name, value in kwargs.items()})
    if not schema.returns:
        return None
    if schema.is_mutable:
        return kwargs["out"] if "out" in kwargs else args[0]
    device = kwargs.get("device")
    goes = device.type == NAME if isinstance(device, torch.device) else bool(there)
    return pytree.tree_map(lambda value: There(value) if isinstance(value, torch.Tensor) else value, found) if goes else found


def _near(value: Any) -> Any:
    if isinstance(value, torch.device) and value.type == NAME:
        return torch.device("cpu")
    return value.held if isinstance(value, There) else value


def _empty_strided(size: Any, stride: Any, dtype: Any = None, **_: Any) -> There:
    return There(torch.empty_strided(size, stride, dtype=dtype))


def _copy_from(source: torch.Tensor, target: torch.Tensor, non_blocking: bool = False) -> torch.Tensor:
    _near(target).copy_(_near(source))
    return target


# What torch.tensor([…], device=…) asks for, where no mode hears of it.
_making.impl("empty_strided", _empty_strided, "PrivateUse1")
_making.impl("_copy_from", _copy_from, "PrivateUse1")
