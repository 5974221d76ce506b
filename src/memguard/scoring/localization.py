"""Metrics of boxes: how well scored boxes mark what is anomalous.

:func:`rbdc_tbdc` and :func:`hit_rate` have the numbers of a whole set. The classes compute the same
as the first over batches and processes, each frame added by one of them.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor
from torchmetrics.utilities import dim_zero_cat

from memguard.scoring.metrics import Share

SMALLEST_IOU = 0.1
# A track is found once a tenth of its boxes is hit.
TRACK_PARTS = 10

COLUMNS = 6


def rbdc_tbdc(
    detections: Mapping[Any, ArrayLike], tracks: Mapping[Any, ArrayLike], frames: int
) -> tuple[float, float]:
    """Compute the region-based and the track-based detection criterion.

    A detection hits a box of the truth in its frame if their IoU is at least 0.1; widths and
    heights count as max − min + 1, and a box that ends before it begins is empty. It hits every box
    that it overlaps so. One that hits none is a false positive; each box of the truth counts once.
    A track is found once 10 % of its boxes are hit. The threshold falls from the highest score to
    the lowest. Detections with equal scores come in together: the order of rows does not matter.
    RBDC is the area under the share of boxes hit, TBDC that under the share of tracks found, both
    over false positives per frame, from (0, 0) to 1 by trapezia. A curve that ends before 1
    continues level.

    Source: Ramachandra, Jones, "Street Scene: A new dataset and evaluation protocol for video
    anomaly detection", WACV 2020.

    Args:
        detections: By video (N, 6): frame, x_min, y_min, x_max, y_max, score; the higher, the more
            anomalous; any range.
        tracks: By video (M, 6): track, frame, x_min, y_min, x_max, y_max.
        frames: The number of frames of the set.

    Returns:
        RBDC and TBDC, in [0, 1]; NaN without tracks.

    Raises:
        ValueError: An array has another shape or values that are no finite numbers, or there is no
            frame.

    Example:
        >>> tracks = {"01": [[0, 5, 10, 10, 19, 19], [0, 6, 12, 10, 21, 19]]}
        >>> detections = {"01": [[5, 10, 10, 19, 19, 0.9], [6, 80, 80, 89, 89, 0.4]]}
        >>> rbdc_tbdc(detections, tracks, frames=2)
        (0.5, 1.0)
    """
    numbers = {video: number for number, video in enumerate({**detections, **tracks})}
    return _areas(
        _stacked(detections, numbers, "detections"), _stacked(tracks, numbers, "tracks"), frames
    )


def hit_rate(detections: Mapping[Any, ArrayLike], tracks: Mapping[Any, ArrayLike]) -> float:
    """Compute the share of anomalous frames whose box with the highest score lies on an anomaly.

    It hits a box of the truth as in :func:`rbdc_tbdc`. If several boxes of a frame have its highest
    score, one that hits suffices.

    Args:
        detections: By video (N, 6): frame, x_min, y_min, x_max, y_max, score.
        tracks: By video (M, 6): track, frame, x_min, y_min, x_max, y_max.

    Returns:
        The share of the frames that tracks have boxes in, in [0, 1]; NaN without tracks.

    Raises:
        ValueError: An array has another shape.

    Example:
        >>> tracks = {"01": [[0, 5, 10, 10, 19, 19], [0, 6, 12, 10, 21, 19]]}
        >>> detections = {"01": [[5, 10, 10, 19, 19, 0.9], [6, 80, 80, 89, 89, 0.4]]}
        >>> hit_rate(detections, tracks)
        0.5
    """
    numbers = {video: number for number, video in enumerate({**detections, **tracks})}
    scored = _stacked(detections, numbers, "detections")
    truth = _stacked(tracks, numbers, "tracks")
    if len(truth) == 0:
        return float("nan")
    place = _row_numbers(scored[:, [0, 1]], truth[:, [0, 2]])
    highest = np.full(place.max() + 1, -np.inf)
    np.maximum.at(highest, place[: len(scored)], scored[:, 6])
    detection, box = _pairs(place, len(scored))
    hits = _iou(scored[detection, 2:6], truth[box, 3:]) >= SMALLEST_IOU
    hits &= scored[detection, 6] == highest[place[detection]]
    return len(np.unique(place[detection[hits]])) / len(np.unique(place[len(scored) :]))


def _stacked(boxes: Mapping[Any, ArrayLike], numbers: Mapping[Any, int], name: str) -> np.ndarray:
    """Join the rows of all videos behind a column with the video's number, (N, 7)."""
    parts = [np.empty((0, 7))]
    for video, rows in boxes.items():
        array = np.asarray(rows, float)
        array = array if array.size else np.empty((0, 6))
        _require_rows(f"{name}[{video!r}]", array)
        parts.append(np.insert(array, 0, numbers[video], axis=1))
    return np.concatenate(parts)


def _require_rows(name: str, rows: np.ndarray | Tensor) -> None:
    if rows.ndim != 2 or rows.shape[1] != COLUMNS:
        raise ValueError(
            f"{name} must have the shape (N, {COLUMNS}), but it has {tuple(rows.shape)}."
        )


def _areas(detections: np.ndarray, tracks: np.ndarray, frames: int) -> tuple[float, float]:
    """Compute RBDC and TBDC from rows with the video's number first, (N, 7) and (M, 7)."""
    # Columns: video, frame, box, score and video, track, frame, box.
    boxes, score, truth = detections[:, 2:6], detections[:, 6], tracks[:, 3:]
    for name, rows in (("detections", detections), ("tracks", tracks)):
        if not np.isfinite(rows).all():
            raise ValueError(f"{name} must be finite numbers")
    if frames < 1:
        raise ValueError(f"frames={frames} must be the number of frames of the set, 1 or more")
    if len(tracks) == 0:
        return float("nan"), float("nan")
    detection, box = _pairs(_row_numbers(detections[:, [0, 1]], tracks[:, [0, 2]]), len(boxes))
    hits = _iou(boxes[detection], truth[box]) >= SMALLEST_IOU
    detection, box = detection[hits], box[hits]
    levels, step = np.unique(-score, return_inverse=True)
    false = np.ones(len(boxes), bool)
    false[detection] = False
    found = np.full(len(tracks), len(levels))  # the threshold that finds each box, none at first
    np.minimum.at(found, box, step[detection])
    false_positives = _reached(step[false], len(levels)) / frames
    steps = found, _tracks_found(_row_numbers(tracks[:, :2]), found)
    rbdc, tbdc = (_area(false_positives, _reached(step, len(levels)) / len(step)) for step in steps)
    return rbdc, tbdc


def _row_numbers(*keys: np.ndarray) -> np.ndarray:
    """Number the different rows of (N, 2) arrays, and return the number of each row."""
    rows = np.concatenate(keys)
    order = np.lexsort(rows.T)
    changes = (np.diff(rows[order], axis=0) != 0).any(axis=1)
    numbers = np.empty(len(rows), int)
    numbers[order] = np.concatenate([[0], np.cumsum(changes)])
    return numbers


def _pairs(place: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """List the pairs of a detection and a box of the truth in one frame.

    Args:
        place: The frame's number of all detections, then of all boxes.
        count: The number of detections.

    Returns:
        The rows of the detections, and those of the boxes.
    """
    order = np.argsort(place[count:], kind="stable")
    sorted_place = place[count:][order]
    first = np.searchsorted(sorted_place, place[:count], "left")
    boxes = np.searchsorted(sorted_place, place[:count], "right") - first
    before = np.cumsum(boxes) - boxes
    within = np.arange(boxes.sum()) - np.repeat(before, boxes)
    return np.repeat(np.arange(count), boxes), order[np.repeat(first, boxes) + within]


def _iou(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Compute intersection over union of pairs of boxes, (N, 4) each, ends included."""
    start = np.maximum(one[:, :2], other[:, :2])
    end = np.minimum(one[:, 2:], other[:, 2:])
    overlap, own, others = (
        (last - first + 1).clip(min=0).prod(axis=1)
        for first, last in ((start, end), (one[:, :2], one[:, 2:]), (other[:, :2], other[:, 2:]))
    )
    return overlap / np.maximum(own + others - overlap, np.finfo(float).tiny)


def _tracks_found(track: np.ndarray, found: np.ndarray) -> np.ndarray:
    """Return the threshold that finds each track, from those that find its boxes."""
    sizes = np.bincount(track)
    needed = -(-sizes // TRACK_PARTS)
    first = np.cumsum(sizes) - sizes
    return found[np.lexsort((found, track))][first + needed - 1]


def _reached(step: np.ndarray, levels: int) -> np.ndarray:
    """Count those that each of the falling thresholds has reached, after a 0."""
    counts = np.bincount(step, minlength=levels)[:levels]
    return np.concatenate([[0], np.cumsum(counts)])


def _area(rate: np.ndarray, share: np.ndarray) -> float:
    """Integrate a curve from (0, 0) to rate 1, which it may pass or not reach."""
    inside = int(np.searchsorted(rate, 1, "right"))
    crossing = slice(inside - 1, inside + 1)
    end = np.interp(1, rate[crossing], share[crossing])
    rate, share = np.append(rate[:inside], 1), np.append(share[:inside], end)
    return float((np.diff(rate) * (share[1:] + share[:-1])).sum() / 2)


class RegionMetric(Share):
    """Base of the metrics of boxes: collect the detections and tracks of each video.

    State: two lists of tensors, concatenated over processes, and the sum of frames.
    """

    detections: list[Tensor]
    tracks: list[Tensor]
    frames: Tensor

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.add_state("detections", default=[], dist_reduce_fx="cat")
        self.add_state("tracks", default=[], dist_reduce_fx="cat")
        self.add_state("frames", default=torch.tensor(0), dist_reduce_fx="sum")

    def update(self, video: int, detections: Tensor, tracks: Tensor, frames: int) -> None:
        """Add a video, or some of its frames.

        Args:
            video: The number of the video.
            detections: (N, 6): frame, x_min, y_min, x_max, y_max, score.
            tracks: (M, 6): track, frame, x_min, y_min, x_max, y_max.
            frames: The number of frames, with boxes or without.

        Raises:
            ValueError: A shape is another one.
        """
        for name, rows in (("detections", detections), ("tracks", tracks)):
            _require_rows(name, rows)
            getattr(self, name).append(
                torch.nn.functional.pad(rows.cpu().double(), (1, 0), value=video)
            )
        self.frames = self.frames + frames

    def _areas(self) -> tuple[float, float]:
        # A process without videos has no columns.
        detections, tracks = (
            dim_zero_cat(rows).reshape(-1, 7).double().numpy()
            for rows in (self.detections, self.tracks)
        )
        return _areas(detections, tracks, int(self.frames))


class RBDC(RegionMetric):
    """Region-based detection criterion of boxes; see :func:`rbdc_tbdc`.

    Example:
        >>> metric = RBDC()
        >>> detections = torch.tensor([[5, 10, 10, 19, 19, 0.9], [6, 80, 80, 89, 89, 0.4]])
        >>> tracks = torch.tensor([[0, 5, 10, 10, 19, 19], [0, 6, 12, 10, 21, 19]])
        >>> metric.update(0, detections, tracks, frames=2)
        >>> metric.compute()
        tensor(0.5000, dtype=torch.float64)
    """

    def compute(self) -> Tensor:
        """Return the area, in [0, 1]; NaN without tracks."""
        return torch.tensor(self._areas()[0], dtype=torch.double)


class TBDC(RegionMetric):
    """Track-based detection criterion of boxes; see :func:`rbdc_tbdc`.

    Example:
        >>> metric = TBDC()
        >>> detections = torch.tensor([[5, 10, 10, 19, 19, 0.9], [6, 80, 80, 89, 89, 0.4]])
        >>> tracks = torch.tensor([[0, 5, 10, 10, 19, 19], [0, 6, 12, 10, 21, 19]])
        >>> metric.update(0, detections, tracks, frames=2)
        >>> metric.compute()
        tensor(1., dtype=torch.float64)
    """

    def compute(self) -> Tensor:
        """Return the area, in [0, 1]; NaN without tracks."""
        return torch.tensor(self._areas()[1], dtype=torch.double)
