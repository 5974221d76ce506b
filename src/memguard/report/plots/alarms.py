"""Alarms: of each video the frame with the highest score, and the regions that explain it."""

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from memguard.report.item_usage import ItemUse, far_region
from memguard.report.pictures import error_map, heat, photograph
from memguard.report.recorder import Candidate
from memguard.report.tested import FinishedTest

ALARMS = 12


class _Alarm(NamedTuple):
    video: int
    row: int
    frame: Candidate


def alarms(test: FinishedTest) -> Iterator[dict[str, Any]]:
    """Describe the alarms as the page shows them, the highest score first.

    Yields:
        The frame's place, score and label, its pictures as data URLs, and boxes in percent of the
        picture. The error maps share one scale.
    """
    highest = [_highest(test, number) for number in test.by_peak[:ALARMS]]
    errors = [error_map(frame.target, frame.output) for _, _, frame in highest]
    largest = max((float(error.max()) for error in errors), default=1.0)
    for (video, row, frame), error in zip(highest, errors, strict=True):
        size = test.recorder.sizes[video]
        yield {
            "name": test.names[video],
            "frame": frame.frame,
            "score": float(test.columns["score"][row]),
            "psnr": frame.psnr,
            "label": int(test.columns["label"][row]),
            "size": size,
            "box": _percent(test.box(row), *test.frame_shape),
            "target": photograph(frame.target, size),
            "output": photograph(frame.output, size),
            "error": heat(error, largest),
            "memory": _far_from_memory(frame, test.recorder.memory),
        }


def _highest(test: FinishedTest, video: int) -> _Alarm:
    """Find the recorded frame of a video with the highest score."""
    recorded = (
        _Alarm(video, test.row_of(video, frame.frame), frame)
        for frame in test.recorder.candidates(video)
    )
    return max(recorded, key=lambda alarm: test.columns["score"][alarm.row])


def _percent(box: tuple[int, int, int, int], height: int, width: int) -> dict[str, float]:
    left, top, right, bottom = box
    return {
        "x": 100 * left / width,
        "y": 100 * top / height,
        "width": 100 * (right - left) / width,
        "height": 100 * (bottom - top) / height,
    }


def _far_from_memory(frame: Candidate, use: ItemUse | None) -> dict[str, Any] | None:
    """Describe the region of a frame that is farthest from the memory; None without a memory."""
    if frame.similarity is None or use is None:
        return None
    usual = use.usual_distance
    excess = np.maximum(1 - frame.similarity.max(axis=-1) - usual, 0)
    region = far_region(frame.similarity, usual)
    rows, columns = (np.flatnonzero(region.mask.any(axis=axis)) for axis in (1, 0))
    box = int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1
    return {
        "map": heat(excess, float(excess.max())),
        "box": _percent(box, *region.mask.shape),
        "distance": region.distance,
        "usual": float(usual[region.mask].mean()),
        "item": region.item,
        "patches": [photograph(patch.picture) for patch in use.gallery(region.item)[:3]],
    }
