"""Functions of arrays that take tensors as well: an equation is written once, in NumPy."""

import sys
from collections.abc import Callable
from functools import wraps
from typing import Any, TypeGuard

import numpy as np


def takes_tensors(function: Callable[..., np.ndarray]) -> Callable[..., Any]:
    """Decorate a function of arrays: given tensors, it returns a tensor on the first one's device.

    PyTorch is not imported for it: where nobody has, nothing is a tensor.

    Example:
        >>> import torch
        >>> halved = takes_tensors(lambda values: values / 2)
        >>> halved(np.array([2.0])), halved(torch.tensor([2.0]))
        (array([1.]), tensor([1.]))
    """

    @wraps(function)
    def taking(*args: Any, **kwargs: Any) -> Any:
        given = [value for value in (*args, *kwargs.values()) if _is_tensor(value)]
        if not given:
            return function(*args, **kwargs)
        named = {name: _array(value) for name, value in kwargs.items()}
        result = function(*map(_array, args), **named)
        return sys.modules["torch"].from_numpy(result).to(given[0].device)

    return taking


joined = takes_tensors(lambda before, after: np.concatenate([before, after]))
joined.__doc__ = "Join two series."


def _array(value: Any) -> Any:
    return value.detach().cpu().numpy() if _is_tensor(value) else value


def _is_tensor(value: Any) -> TypeGuard[Any]:
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(value, torch.Tensor)
