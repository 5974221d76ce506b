"""Tracks: the boxes of each anomaly, frame by frame, from a text file or from masks."""

from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
from scipy.ndimage import find_objects, label

from memguard.data.datasets.labels.damage import damage_reported
from memguard.errors import DataError

TRACK_COLUMNS = ("track", "frame", "x_min", "y_min", "x_max", "y_max")
TOUCHING = np.ones((3, 3))  # diagonally too


def read_tracks(path: Path, frames: int, height: int, width: int) -> np.ndarray:
    """Read a text file with a box per line: `track, frame, x_min, y_min, x_max, y_max`.

    An empty file belongs to a video without anomalies.

    Args:
        path: The file; frames count from 0.
        frames: The number of frames of the video.
        height: Height of its pictures in pixels.
        width: Their width.

    Returns:
        (N, 6), the numbers of each line.

    Raises:
        DataError: If the file is missing or no text, or a line has other fields, a frame past the
            end of the video, or a box that is not within the picture, its edges included.
    """
    with damage_reported(path, f"a text file with lines {', '.join(TRACK_COLUMNS)}"):
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    rows = [
        _box(f"{path}, line {number}", line, frames, height, width)
        for number, line in enumerate(lines, 1)
        if line.strip()
    ]
    return np.array(rows, float).reshape(-1, len(TRACK_COLUMNS))


def _box(where: str, line: str, frames: int, height: int, width: int) -> list[float]:
    try:
        row = [float(field) for field in line.split(",")]
        _track, frame, x_min, y_min, x_max, y_max = row
    except ValueError:
        raise DataError(
            f"{where}: found {line!r}, expected six numbers {', '.join(TRACK_COLUMNS)}; correct it"
        ) from None
    if not (0 <= frame < frames and frame.is_integer()):
        raise DataError(
            f"{where}: found frame {frame:g}, expected 0 to {frames - 1}; correct the number or "
            "restore the missing frames"
        )
    if not (0 <= x_min <= x_max <= width and 0 <= y_min <= y_max <= height):
        raise DataError(
            f"{where}: found a box from {x_min:g}, {y_min:g} to {x_max:g}, {y_max:g}, expected one "
            f"within the picture of {width}×{height} pixels; correct it, or restore the videos "
            "that the tracks belong to"
        )
    return row


def link_regions(masks: Iterable[np.ndarray]) -> np.ndarray:
    """Find the regions of masks, and link them to tracks.

    A region is a set of marked pixels that touch, diagonally too. It continues the track of the
    region of the frame before with which it shares most pixels. A track has one region in a frame:
    pairs are linked from the most shared pixels to the fewest, and equal ones from top to bottom. A
    region without such a pair begins a track. So an object that is hidden for a frame, or moves
    farther than its own size, continues in another track.

    Args:
        masks: (H, W) for each frame of a video, in order; not 0 where a pixel is anomalous.

    Returns:
        (N, 6): track, frame, x_min, y_min, x_max, y_max, ends included.

    Example:
        >>> first, second = np.zeros((2, 4, 6), bool)
        >>> first[1:3, 0:2] = second[1:3, 1:3] = second[0, 5] = True
        >>> link_regions([first, second])
        array([[0, 0, 0, 1, 1, 2],
               [1, 1, 5, 0, 5, 0],
               [0, 1, 1, 1, 2, 2]])
    """
    rows = [row for _mask, regions in linked_regions(masks) for row in regions]
    return np.array(rows, int).reshape(-1, len(TRACK_COLUMNS))


def linked_regions(
    masks: Iterable[np.ndarray],
) -> Iterator[tuple[np.ndarray, list[tuple[int, ...]]]]:
    """Yield each mask as it comes, and the rows of its regions; see :func:`link_regions`."""
    before, tracks_before, begun = np.zeros((1, 1), int), np.full(1, -1), 0
    for frame, mask in enumerate(masks):
        regions, count = label(mask, TOUCHING)
        tracks = np.full(count + 1, -1)  # of region 0, the background, none
        if count and len(tracks_before) > 1:
            for previous, present in _continued(before, regions):
                tracks[present] = tracks_before[previous]
        new = np.flatnonzero(tracks[1:] < 0) + 1
        tracks[new] = begun + np.arange(len(new))
        begun += len(new)
        yield (
            mask,
            [
                (track, frame, across.start, down.start, across.stop - 1, down.stop - 1)
                for track, (down, across) in zip(tracks[1:], find_objects(regions), strict=True)
            ],
        )
        before, tracks_before = regions, tracks


def _continued(before: np.ndarray, present: np.ndarray) -> Iterator[tuple[int, int]]:
    """Yield the pairs of regions of two frames that share most pixels, each region once."""
    both = (before > 0) & (present > 0)
    pairs, shared = np.unique(
        np.stack([before[both], present[both]], axis=1), axis=0, return_counts=True
    )
    ended, begun = set(), set()
    for previous, following in pairs[np.argsort(-shared, kind="stable")].tolist():
        if previous not in ended and following not in begun:
            ended.add(previous)
            begun.add(following)
            yield previous, following
