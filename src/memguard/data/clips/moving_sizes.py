"""The sizes of what moves in videos, from differences of frames."""

from collections.abc import Sequence

import cv2
import numpy as np

from memguard.data.clips.segments import Frames

SIDE = 256  # of the square, grey frames that are compared
BLUR = (5, 5)
APART = 12  # frames in which what moves leaves its place; fewer in a short video
DIFFERENCE = 15  # grey levels, above the noise of a camera after the blur
SMALLEST = 0.001  # share of the picture; smaller parts are noise
PERCENTILES = (25, 75, 90)
MOST_MOMENTS = 200


def moving_sizes(videos: Sequence[Frames]) -> list[tuple[float, float]]:
    """Measure the sizes of what moves, at moments spread evenly over all videos.

    Args:
        videos: Grey videos of 256 × 256 pixels.

    Returns:
        The 25th, 75th and 90th percentile of height and of width, as shares of the frame's;
        nothing where nothing moves.
    """
    each = max(MOST_MOMENTS // max(len(videos), 1), 1)
    found = [np.zeros((0, 2))]
    for video in videos:
        apart = min(APART, (len(video) - 1) // 2)
        if apart == 0:
            continue
        moments = np.linspace(apart, len(video) - 1 - apart, each).astype(int)
        for moment in np.unique(moments).tolist():
            numbers = (moment - apart, moment, moment + apart)
            frames = [video.frames(range(number, number + 1))[0, 0].numpy() for number in numbers]
            found.append(moving_parts(*frames))
    sizes = np.concatenate(found)
    if not len(sizes):
        return []
    return [(float(height), float(width)) for height, width in np.percentile(sizes, PERCENTILES, 0)]


def moving_parts(before: np.ndarray, now: np.ndarray, after: np.ndarray) -> np.ndarray:
    """Measure the connected parts of a frame that differ from a frame before and one after.

    A moving object covers another place in each of the three frames. Its places before and after do
    not count.

    Args:
        before: uint8 (H, W), a frame from before.
        now: The frame itself.
        after: A frame from after.

    Returns:
        (N, 2), height and width of each part as shares of the frame's.

    Example:
        >>> frames = np.zeros((3, 100, 200), dtype=np.uint8)
        >>> for number, frame in enumerate(frames):
        ...     frame[40:70, 50 * number : 50 * number + 20] = 200  # it moves to the right
        >>> moving_parts(*frames).round(1)
        array([[0.3, 0.1]])
    """
    smooth = [cv2.GaussianBlur(frame, BLUR, 0).astype(np.int16) for frame in (before, now, after)]
    differs = np.minimum(*(np.abs(smooth[1] - other) for other in smooth[::2])) > DIFFERENCE
    _count, _labels, statistics, _centres = cv2.connectedComponentsWithStats(
        differs.astype(np.uint8)
    )
    parts = statistics[1:]  # the first is the background
    parts = parts[parts[:, cv2.CC_STAT_AREA] >= SMALLEST * now.size]
    return parts[:, [cv2.CC_STAT_HEIGHT, cv2.CC_STAT_WIDTH]] / now.shape
