"""Run an exported graph by ONNX Runtime or OpenVINO."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from memguard.config.values import GraphFormat
from memguard.errors import CheckpointError, UserError

Values = dict[str, np.ndarray]
"""The outputs of a graph, by name; see :class:`~memguard.convert.window_graph.ScoredWindows`."""

Graph = Callable[..., Values]
"""Takes ``frames``, uint8 (B, T, H, W, C), and, with a memory, ``items``, (B, M, C)."""


def open_graph(path: Path, form: GraphFormat) -> Graph:
    """Open an exported graph.

    Args:
        path: The file.
        form: ``onnx`` or ``openvino``.

    Raises:
        CheckpointError: It is no such graph.
        UserError: The runtime is not installed, or none of memguard's runs the format.
    """
    if form not in _OPENED_BY:
        raise UserError(
            f"{path}: a graph of format={form} is for programs of your own: export format=onnx or "
            "format=openvino to score with it."
        )
    package, opened_by = _OPENED_BY[form]
    try:
        return opened_by(path)
    except ImportError as error:
        raise UserError(
            f"{path}: a graph of format={form} needs {package} ({error}): pip install {package}."
        ) from error
    except Exception as error:  # each runtime has exceptions of its own
        line = str(error).splitlines()[0][:200]
        raise CheckpointError(
            f"{path} is no graph that {package} runs ({line}): export the checkpoint again."
        ) from error


def _threads() -> int:
    """Return the number of threads that ``OMP_NUM_THREADS`` allows; 0: one for each core."""
    text = os.environ.get("OMP_NUM_THREADS", "")
    return int(text) if text.isdecimal() else 0


def _opened_by_onnxruntime(path: Path) -> Graph:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = _threads()
    content = path.read_bytes()  # its weights are inside: no other file is read
    session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]

    def run(**inputs: np.ndarray) -> Values:
        return dict(zip(names, session.run(names, inputs), strict=True))

    return run


def _opened_by_openvino(path: Path) -> Graph:
    import openvino

    settings: dict[str, Any] = {"INFERENCE_PRECISION_HINT": "f32"}
    if threads := _threads():
        settings["INFERENCE_NUM_THREADS"] = threads
    core = openvino.Core()
    model = core.compile_model(core.read_model(path), "CPU", settings)
    names = [output.get_any_name() for output in model.outputs]

    def run(**inputs: np.ndarray) -> Values:
        found = model(inputs)
        return {name: np.array(found[place]) for place, name in enumerate(names)}

    return run


_OPENED_BY: dict[str, tuple[str, Callable[[Path], Graph]]] = {
    "onnx": ("onnxruntime", _opened_by_onnxruntime),
    "openvino": ("openvino", _opened_by_openvino),
}
