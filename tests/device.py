"""A stand-in for a device without double precision, as Apple's MPS is one, for any machine."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from typing import Any
from unittest.mock import patch

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map_only

DEVICE = torch.device("meta")  # a name that torch knows wherever it runs


class _OnDevice(Tensor):
    """A tensor that says to be on the device; its values are on the CPU."""

    values: Tensor

    @staticmethod
    def __new__(cls, values: Tensor) -> "_OnDevice":
        return Tensor._make_wrapper_subclass(
            cls, values.shape, strides=values.stride(), dtype=values.dtype, device=DEVICE
        )  # type: ignore[return-value]

    def __init__(self, values: Tensor) -> None:
        if values.dtype == torch.float64:
            raise TypeError("This device has no float64.")
        self.values = values

    def tolist(self) -> Any:
        """Give the values, which torch refuses of a subclass."""
        return self.values.tolist()

    __torch_function__ = torch._C._disabled_torch_function_impl  # type: ignore[assignment]

    @classmethod
    def __torch_dispatch__(
        cls,
        func: Any,
        types: Any,
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        return _run(func, args, dict(kwargs or {}))


class _Mode(TorchDispatchMode):
    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        return _run(func, args, dict(kwargs or {}))


def _run(func: Any, args: Sequence[Any], kwargs: dict[str, Any]) -> Any:
    """Run an operation on the CPU; its result is where the real one would be.

    It is where it is sent to or, if it is not, on the device if any argument is: constants and
    parameters need not be moved there.
    """
    there = any(isinstance(leaf, _OnDevice) for leaf in tree_leaves([*args, kwargs]))
    if kwargs.get("device") is not None:
        there = torch.device(kwargs["device"]).type == DEVICE.type
        kwargs["device"] = torch.device("cpu")
    originals: dict[int, Tensor] = {}

    def values(tensor: Tensor) -> Tensor:
        plain = tensor.values if isinstance(tensor, _OnDevice) else tensor
        originals[id(plain)] = tensor
        return plain

    result = func(*tree_map_only(Tensor, values, args), **tree_map_only(Tensor, values, kwargs))
    if not there:
        return result
    # An operation in place gives back the tensor that it was given, wherever that is.
    return tree_map_only(
        Tensor, lambda t: originals[id(t)] if id(t) in originals else _OnDevice(t), result
    )


@contextmanager
def device_without_doubles() -> Iterator[torch.device]:
    """Have a device within that refuses whatever would be a float64 on it."""
    # Torch knows no mixed precision of a device by this name.
    with _Mode(), patch("torch.autocast", lambda *_, **__: nullcontext()):
        yield DEVICE
