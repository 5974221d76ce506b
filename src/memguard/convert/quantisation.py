"""Post-training quantisation of an exported graph to int8, calibrated on normal video."""

import logging
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from memguard.data.datasets.layout import named_videos
from memguard.data.video.frame_folders import as_video
from memguard.data.video.reader import Video
from memguard.errors import DataError
from memguard.live.graph.description import Description

WINDOWS = 330  # to read
COMPARED_EACH = 11  # one of so many is compared with PyTorch, the others calibrate
FEWEST = 2 * COMPARED_EACH

# What follows the network's frame, and the reading of the memory, stays in 32 bits: a small error
# of a pixel or of a query is the score itself.
EXACT = (
    "AvgPool", "Divide", "Exp", "Log", "MatMul", "Multiply", "NormalizeL2", "Power", "ReduceL2",
    "ReduceMax", "ReduceMean", "ReduceSum", "Softmax", "Sqrt", "Subtract",
)  # fmt: skip


def normal_windows(source: Path, cache_dir: Path, described: Description) -> np.ndarray:
    """Read windows that are spread evenly over normal video.

    Args:
        source: A video, a folder of videos, or a folder of frames.
        cache_dir: The folder of converted frame folders.
        described: The graph.

    Returns:
        uint8 (N, T, H, W, C), at most 330 windows.

    Raises:
        DataError: There is no such file, a video cannot be read, or it has too few windows.
    """
    if not source.exists():
        raise DataError(f"{source}: there is no such file or folder; set video to normal video.")
    found = named_videos(source) if source.is_dir() else {}
    videos = [
        Video(
            as_video(path, cache_dir),
            frame_size=described.frame_size,
            channels=described.channels,
        )
        for path in (found.values() or [source])
    ]
    windows = list(_evenly_spread(videos, described.length))
    if len(windows) < FEWEST:
        raise DataError(
            f"{source} holds {len(windows)} windows, too few for precision=int8: set video to more "
            "normal video, best of all hours."
        )
    return np.stack(windows)


def _evenly_spread(videos: list[Video], length: int) -> Iterator[np.ndarray]:
    """Yield windows, uint8 (T, H, W, C), of videos one after the other."""
    counts = [max(len(video) - length + 1, 0) for video in videos]
    total, ends = sum(counts), np.cumsum(counts)
    for place in np.linspace(0, total - 1, min(total, WINDOWS)).astype(int).tolist():
        number = int(np.searchsorted(ends, place, side="right"))
        first = place - int(ends[number]) + counts[number]
        frames = videos[number].frames(range(first, first + length))
        yield frames.movedim(1, -1).numpy()


def parted(windows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Part windows into those that calibrate, and every eleventh, which is compared."""
    compared = np.arange(len(windows)) % COMPARED_EACH == COMPARED_EACH // 2
    return windows[~compared], windows[compared]


def imported_nncf() -> Any:
    """Import NNCF, which would report its use over the network.

    Raises:
        ImportError: It is not installed.
    """
    sys.modules["openvino_telemetry"] = None  # type: ignore[assignment]  # it does without
    import nncf

    nncf.set_log_level(logging.ERROR)
    return nncf


def quantised(model: Any, windows: np.ndarray, items: np.ndarray) -> Any:
    """Quantise the weights and the maps of the convolutions to int8.

    Args:
        model: The graph in 32 bits, an ``openvino.Model``.
        windows: uint8 (N, T, H, W, C), which show the ranges of the maps.
        items: (M, C), the trained items; none for a graph without memory.

    Returns:
        Another model.
    """
    nncf = imported_nncf()
    memory = {"items": items[None]} if len(items) else {}
    inputs: list[dict[str, Any]] = [{"frames": window[None], **memory} for window in windows]
    exact = nncf.IgnoredScope(types=list(EXACT), validate=False)
    return nncf.quantize(model, nncf.Dataset(inputs), ignored_scope=exact, subset_size=len(inputs))
