"""The description beside an exported graph: all that scoring needs around the network."""

import json
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer, ValidationError

from memguard.config.values import GraphFormat
from memguard.detection.scope import Scope
from memguard.errors import CheckpointError, access_reported
from memguard.report.results import write_json


def _array(values: object) -> np.ndarray:
    """Read numbers; null is infinite, which JSON has no word for."""
    array = np.array(values, dtype=np.float32)
    return np.where(np.isnan(array), np.float32(np.inf), array)


def _numbers(array: np.ndarray) -> object:
    numbers = array.astype(object)
    numbers[np.isinf(array)] = None
    return numbers.tolist()


Array = Annotated[np.ndarray, BeforeValidator(_array), PlainSerializer(_numbers)]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True)


class DescribedGuard(_Part):
    """The guard of a memory.

    Attributes:
        threshold: γ; None where no frame is below it.
        scope: Whether items are carried from video to video.
        enabled: Whether frames below γ update the items.
    """

    threshold: float | None
    scope: Scope
    enabled: bool


class DescribedAlarm(_Part):
    """The buffers of a calibrated :class:`~memguard.detection.alarm.Alarm`.

    Attributes:
        normal_scores: (101,), the percentiles of the patch error over normal frames.
        sample: (2,), the number of normal frames, and of peaks.
        tail: (201, 7, 4), the values of :class:`~memguard.detection.tail.Tail`.
    """

    normal_scores: Array
    sample: Array
    tail: Array


class Description(_Part):
    """The description of an exported graph.

    Attributes:
        version: Of memguard.
        format: Of the graph.
        opset: Of ONNX; None for other formats.
        length: T, the frames of a window, the last of which is scored.
        frame_size: Height and width of frames, to which pictures are resized bilinearly.
        channels: 1 for grey frames, 3 for RGB.
        fps: Frames per second of the training videos; None if unknown.
        sizes: For each size of patches, height and width as shares of the frame's.
        smoothing: Standard deviation of the smoothing over time, frames.
        items: (M, C), the trained items; none for a graph without memory, which takes no items.
        guard: Decides which frames update the items.
        alarm: Of anomalies.
        standing: Of things that stand still; None without its calibration.
    """

    version: str
    format: GraphFormat
    opset: int | None
    length: Annotated[int, Field(ge=1)]
    frame_size: tuple[int, int]
    channels: Literal[1, 3]
    fps: float | None
    sizes: list[tuple[float, float]]
    smoothing: float
    items: Array
    guard: DescribedGuard
    alarm: DescribedAlarm
    standing: DescribedAlarm | None

    @classmethod
    def of_graph(cls, graph: Path) -> "Description":
        """Read the description beside a graph.

        Raises:
            CheckpointError: It is missing, or is no description.
        """
        path = description_path(graph)
        if not path.is_file():
            raise CheckpointError(
                f"{path} is missing, which describes {graph.name}: copy both files that "
                "memguard.export has written."
            )
        with access_reported(path):
            text = path.read_text(encoding="utf-8", errors="replace")
        try:
            return cls.model_validate_json(text)
        except (ValidationError, ValueError, TypeError) as error:
            line = str(error).splitlines()[0]
            raise CheckpointError(
                f"{path} is no description that memguard.export has written ({line}): export the "
                "checkpoint again."
            ) from error

    def write(self, graph: Path) -> None:
        """Write the description beside a graph.

        Raises:
            OSError: It cannot be written.
        """
        write_json(description_path(graph), json.loads(self.model_dump_json()))


def description_path(graph: Path) -> Path:
    """Name the file of a graph's description.

    Example:
        >>> description_path(Path("models/door.onnx")).name
        'door.json'
    """
    return graph.with_suffix(".json")
