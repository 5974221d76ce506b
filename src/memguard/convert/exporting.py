"""Export a checkpoint: the graph of scoring a window, and the description beside it."""

import logging
import re
import tempfile
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from omegaconf import DictConfig, OmegaConf
from rich.console import Console
from torch import Tensor
from torch.export import Dim, ExportedProgram

import memguard
from memguard.config.schema import ExportSettings
from memguard.config.trust import trust_of
from memguard.config.validation import validate_by
from memguard.config.values import GraphFormat
from memguard.convert.quantisation import imported_nncf, normal_windows, parted, quantised
from memguard.convert.window_graph import OUTPUTS, WindowGraph
from memguard.data.video.frame_size import sides
from memguard.detection.alarm import Alarm
from memguard.detection.detector import Detector
from memguard.errors import CheckpointError, UserError
from memguard.files import written_whole
from memguard.live.graph.description import DescribedAlarm, DescribedGuard, Description
from memguard.live.graph.runtime import Values, open_graph
from memguard.live.scorer import changes_of
from memguard.live.stream_scorer import require_alarm
from memguard.report.rows import not_written
from memguard.scoring.patch_places import worst_patch
from memguard.training.trained import restore

OPSET = 18  # of ONNX, that torch's conversions are written in
TOLERANCE = 1e-4  # of each value, between PyTorch and the graph
INT8_TOLERANCE = 0.25  # of a score: 0 is the median normal frame, one of a hundred exceeds 1


def export(config: DictConfig) -> None:
    """Write the graph of a checkpoint, and its description beside it.

    Args:
        config: A configuration that ``conf/export.yaml`` composes.

    Raises:
        UserError: The configuration or the checkpoint cannot be used, an operation of its network
            has no form in the format, or a file cannot be written.
    """
    validate_by(ExportSettings, config)
    checkpoint, output, form = Path(config.checkpoint), Path(config.output), config.format
    changes = changes_of(config)
    trusted = trust_of(None, changes.pop("trust"))
    detector, settings = restore(checkpoint, OmegaConf.create(changes), trusted, with_dataset=False)
    require_alarm(checkpoint, detector.alarm)
    described = describe(detector, settings, form)
    graph, write = WindowGraph(detector), WRITERS[form]
    if config.precision == "int8":
        with _installed("nncf"):
            imported_nncf()
        cache_dir = Path(config.paths.cache_dir).expanduser()
        windows, compared = parted(normal_windows(Path(config.video), cache_dir, described))
        quantise = partial(quantised, windows=windows, items=described.items)
        write = partial(write_openvino, quantise=quantise)
    program = traced(graph, example(described), checkpoint)
    try:
        write(program, output, checkpoint)
        described.write(output)
    except OSError as error:
        raise not_written(output, error) from None
    if config.precision == "int8":
        difference = score_difference(graph, described, output, compared)
    else:
        difference = value_difference(graph, described, output)
    print_exported(output, described, difference)


def describe(detector: Detector, settings: DictConfig, form: GraphFormat) -> Description:
    """Describe the graph of a detector.

    Args:
        detector: With a calibrated alarm.
        settings: Of its training.
        form: The format of the graph.
    """
    guard = detector.guard
    standing = detector.standing
    return Description(
        version=memguard.__version__,
        format=form,
        opset=OPSET if form == "onnx" else None,
        length=settings.task.past + 1,
        frame_size=sides(settings.data.frame_size),
        channels=settings.data.channels,
        fps=detector.trained_fps,
        sizes=[(height, width) for height, width in detector.scoring.sizes],
        smoothing=detector.scoring.smoothing,
        items=detector.memory.items.detach().numpy(),
        guard=DescribedGuard(
            threshold=guard.threshold,
            scope=guard.scope,
            enabled=guard.enabled and detector.memory.writes,
        ),
        alarm=_described(detector.alarm),
        standing=_described(standing) if standing.calibrated else None,
    )


def _described(alarm: Alarm) -> DescribedAlarm:
    buffers = {name: buffer.numpy() for name, buffer in alarm.named_buffers()}
    return DescribedAlarm(**buffers)


def example(described: Description, windows: int = 2) -> tuple[Tensor, ...]:
    """Make random inputs of a graph: frames and, with a memory, the trained items."""
    generator = torch.Generator().manual_seed(0)
    shape = (windows, described.length, *described.frame_size, described.channels)
    return with_items(torch.randint(256, shape, generator=generator, dtype=torch.uint8), described)


def with_items(frames: Tensor, described: Description) -> tuple[Tensor, ...]:
    """Join windows with the trained items to the inputs of a graph."""
    if not len(described.items):
        return (frames,)
    return frames, torch.from_numpy(described.items).expand(len(frames), -1, -1).clone()


def traced(graph: WindowGraph, inputs: tuple[Tensor, ...], checkpoint: Path) -> ExportedProgram:
    """Record the operations of a graph, for any number of windows.

    Raises:
        CheckpointError: Its network has none that can be recorded, such as a branch on values.
    """
    windows = Dim("windows")
    with _quietly(), torch.no_grad(), _refused(checkpoint):
        shapes = tuple({0: windows} for _ in inputs)
        return torch.export.export(graph, inputs, dynamic_shapes=shapes)


def write_torch_export(program: ExportedProgram, output: Path, checkpoint: Path) -> None:
    """Write a program that ``torch.export.load`` reads."""
    with written_whole(output) as unfinished:
        torch.export.save(program, unfinished)


def write_onnx(program: ExportedProgram, output: Path, checkpoint: Path) -> None:
    """Write an ONNX graph with its weights inside.

    Raises:
        CheckpointError: An operation has no form in ONNX.
        UserError: The packages for it are not installed.
    """
    names = ["frames", "items"][: len(program.graph_signature.user_inputs)]
    with _quietly(), _installed("onnx", "onnxscript"), _refused(checkpoint):
        converted = torch.onnx.export(
            program,
            input_names=names,
            output_names=list(OUTPUTS),
            opset_version=OPSET,
            verbose=False,
        )
        assert converted is not None
    with written_whole(output) as unfinished:
        converted.save(unfinished, external_data=False)


def write_openvino(
    program: ExportedProgram,
    output: Path,
    checkpoint: Path,
    quantise: Callable[[Any], Any] = lambda model: model,
) -> None:
    """Write a graph of OpenVINO: ``….xml``, and its weights beside it in ``….bin``.

    Args:
        program: The graph.
        output: Its file.
        checkpoint: Its name in errors.
        quantise: Replaces the model in 32 bits by another.

    Raises:
        CheckpointError: An operation has no form in ONNX, from which it is converted.
        UserError: The packages for it are not installed.
    """
    with _installed("openvino"):
        import openvino
    with tempfile.TemporaryDirectory() as folder:
        onnx = Path(folder) / "graph.onnx"
        write_onnx(program, onnx, checkpoint)
        # OpenVINO's converter may report its use.
        model = quantise(openvino.Core().read_model(onnx))
    weights = output.with_suffix(".bin")
    with written_whole(weights) as weights_unfinished, written_whole(output) as unfinished:
        openvino.save_model(model, unfinished, compress_to_fp16=False)
        unfinished.with_suffix(".bin").replace(weights_unfinished)


WRITERS: dict[str, Callable[[ExportedProgram, Path, Path], None]] = {
    "onnx": write_onnx,
    "openvino": write_openvino,
    "torch_export": write_torch_export,
}


def value_difference(graph: WindowGraph, described: Description, output: Path) -> str:
    """Run a written graph, and compare its values with PyTorch's on three random windows.

    Raises:
        CheckpointError: They differ by more than 1e-4.
    """
    found, expected = _by_both(graph, described, output, example(described, windows=3))
    largest = max(float(np.abs(found[name] - expected[name]).max(initial=0)) for name in OUTPUTS)
    if not largest <= TOLERANCE:
        raise CheckpointError(
            f"{output} gives other values than PyTorch, by up to {largest:.2g}: do not use it. "
            "Another format=… may not, or an operation of your own encoder or memory computes "
            "otherwise there."
        )
    return f"its values differ from PyTorch's by at most {largest:.1g}"


def score_difference(
    graph: WindowGraph, described: Description, output: Path, windows: np.ndarray
) -> str:
    """Run a written graph in int8, and compare its scores with PyTorch's.

    Args:
        graph: The graph on PyTorch.
        described: Its description.
        output: The file.
        windows: uint8 (N, T, H, W, C), normal windows that it is not calibrated on.

    Raises:
        CheckpointError: They differ by more than a quarter of the scale.
    """
    inputs = with_items(torch.from_numpy(windows), described)
    scores = [
        graph.detector.alarm.score(worst_patch(values["patch"]))
        for values in _by_both(graph, described, output, inputs)
    ]
    largest = float(np.abs(scores[0] - scores[1]).max())
    if not largest <= INT8_TOLERANCE:
        raise CheckpointError(
            f"{output} gives other scores than PyTorch, by up to {largest:.2g} on normal windows, "
            "whose scores are mostly between 0 and 1: do not use it. Set video to normal video "
            "of all hours, or precision=fp32."
        )
    return (
        f"its scores differ from PyTorch's by at most {largest:.1g} on {len(windows)} normal "
        "windows, where 0 is the median frame and one of a hundred exceeds 1"
    )


def _by_both(
    graph: WindowGraph, described: Description, output: Path, inputs: tuple[Tensor, ...]
) -> tuple[Values, Values]:
    """Run a written graph, and the same on PyTorch."""
    with torch.no_grad():
        expected = {name: values.numpy() for name, values in graph(*inputs).items()}
        if described.format == "torch_export":
            values = torch.export.load(output).module()(*inputs)
            return {name: values[name].numpy() for name in OUTPUTS}, expected
    arrays = zip(("frames", "items"), inputs, strict=False)
    run = open_graph(output, described.format)
    return run(**{name: tensor.numpy() for name, tensor in arrays}), expected


def print_exported(output: Path, described: Description, difference: str) -> None:
    """Print what was written, and how it differs from PyTorch."""
    console = Console(markup=False, highlight=False)
    console.print(
        f"{output} scores windows of {described.length} frames of "
        f"{' × '.join(map(str, described.frame_size))} pixels; {difference}.",
        soft_wrap=True,
    )


@contextmanager
def _quietly() -> Iterator[None]:
    """Keep the exporter's advice for its developers off the screen."""
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)


@contextmanager
def _installed(*packages: str) -> Iterator[None]:
    try:
        yield
    except ImportError as error:
        raise UserError(
            f"this format needs {' and '.join(packages)} ({error}): pip install "
            "'memguard-vad[export,openvino]'."
        ) from error


@contextmanager
def _refused(checkpoint: Path) -> Iterator[None]:
    """Report the operation that cannot be exported; an own encoder may have any."""
    try:
        yield
    except ImportError:
        raise
    except Exception as error:  # tracing runs the user's classes
        raise CheckpointError(
            f"{checkpoint} cannot be exported: {_reason(error)}. Replace it in that class, or try "
            "format=torch_export."
        ) from error


def _reason(error: BaseException) -> str:
    """Name the operation behind an error of the exporter."""
    chain = [error]
    while following := chain[-1].__cause__ or chain[-1].__context__:
        chain.append(following)
    text = "\n".join(map(str, chain))
    if found := re.search(r"No ONNX function found for <OpOverload\(op='([^']+)'", text):
        return f"the operation {found[1]} has no form in ONNX"
    if found := re.search(r'raised this error:\n +File "([^"]+)", line (\d+)[^\n]*\n +(.+)', text):
        return f"{found[1]}, line {found[2]}, depends on the values of frames ({found[3]})"
    return (str(chain[0]).splitlines() or [type(error).__name__])[0]
