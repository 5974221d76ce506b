"""Pickles of other programs, read for their tensors without running their code.

A pickle is a program: it names functions and classes, and its reader calls them. This reader calls
only the few functions that assemble a tensor, replaces modules by inert holders of their saved
attributes, and rejects a file that names anything else.
"""

import io
import pickle
import warnings
from collections import OrderedDict
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor, nn
from torch._utils import _rebuild_parameter, _rebuild_tensor_v2
from torch.nn.backends.thnn import _get_thnn_function_backend

from memguard.errors import CheckpointError

# The functions that assemble a saved module's tensors and settings, by their names in pickles.
HARMLESS: dict[tuple[str, str], Callable[..., Any]] = {
    ("collections", "OrderedDict"): OrderedDict,
    ("builtins", "set"): set,
    ("__builtin__", "set"): set,
    ("torch", "device"): torch.device,
    ("torch._utils", "_rebuild_parameter"): _rebuild_parameter,
    ("torch._utils", "_rebuild_tensor_v2"): _rebuild_tensor_v2,
    # modules up to PyTorch 1.3 have one; it does nothing
    ("torch.nn.backends.thnn", "_get_thnn_function_backend"): _get_thnn_function_backend,
}


class Inert:
    """Hold the saved attributes of a module, and do nothing."""


class _UnexpectedGlobalError(Exception):
    """Name a function or class that a pickle may not use."""


class _InertUnpickler(pickle.Unpickler):
    """Unpickle with harmless functions and inert classes alone.

    Each lookup makes a new object, because a pickle can set attributes of it.
    """

    def find_class(self, module: str, name: str) -> Callable[..., Any]:
        if (module, name) in HARMLESS:
            return partial(HARMLESS[module, name])
        if _names_module(module, name):
            return type(name, (Inert,), {})
        raise _UnexpectedGlobalError(f"{module}.{name}")

    def __setattr__(self, name: str, value: Any) -> None:
        # torch sets its loader of storages here. That loader also compares the source code that old
        # files hold of each class, and can write the difference to a file of the pickle's choice.
        if name == "persistent_load":
            value = partial(_storage_or_class, value)
        super().__setattr__(name, value)


def _names_module(module: str, name: str) -> bool:
    """Return whether this is a class of torch.nn, or one of the authors' package ``model``."""
    if module.startswith("torch.nn."):
        known = vars(nn).get(name)
        return isinstance(known, type) and issubclass(known, nn.Module)
    return module.split(".")[0] == "model" and name.isidentifier()


def _storage_or_class(load_storage: Callable[[Any], Any], saved: tuple[Any, ...]) -> Any:
    kind, content, *_ = saved
    return load_storage(saved) if kind == "storage" else content


def _load_inert(file: io.BytesIO, **settings: Any) -> Any:
    return _InertUnpickler(file, **settings).load()


def read(path: Path) -> Any:
    """Read a file of ``torch.save``, in its present or its old format, without running it.

    Returns:
        The saved object, on the CPU; for a whole module its parameters and buffers by name, as in
        its ``state_dict``.

    Raises:
        CheckpointError: There is no such file, it is no file of ``torch.save``, or it needs more
            than the tensors of a model.
    """
    if not path.is_file():
        raise CheckpointError(f"There is no file {path}: correct the path.")
    # From memory: given a path, torch also reads tar archives and looks at the suffix.
    file = io.BytesIO(path.read_bytes())
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about old formats, which are expected here
            saved = _load(file)
        return _tensors(saved) if isinstance(saved, Inert) else saved
    except _UnexpectedGlobalError as error:
        raise CheckpointError(
            f"{path} asks for {error}, which no saved model needs: nothing of it was run; get the "
            f"file again from a source that you trust."
        ) from None
    except Exception as error:  # torch raises any error of its unpickler and zip reader
        raise CheckpointError(
            f"{path} cannot be read as a file of torch.save ({type(error).__name__}): it is "
            f"damaged or of another program; copy it again."
        ) from error


def _load(file: io.BytesIO) -> Any:
    try:
        # For TorchScript this raises another kind of error, before its compiler runs.
        return torch.load(file, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError:
        file.seek(0)
    inert: Any = SimpleNamespace(Unpickler=_InertUnpickler, load=_load_inert, __name__=__name__)
    return torch.load(file, map_location="cpu", pickle_module=inert, weights_only=False)


def _tensors(module: Inert, prefix: str = "") -> dict[str, Tensor]:
    """Collect parameters and buffers as ``nn.Module.state_dict`` names them."""
    saved = vars(module)
    own = {**saved["_parameters"], **saved["_buffers"]}
    tensors = {prefix + name: value for name, value in own.items() if value is not None}
    for name, child in saved["_modules"].items():
        tensors |= _tensors(child, f"{prefix}{name}.")
    return tensors
