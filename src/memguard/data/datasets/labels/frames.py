"""Labels of the frames of one video."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from memguard.errors import DataError

Labels = Callable[[int], np.ndarray]
"""Maps the number of frames of a video to its labels, uint8 (frames,), 1 = anomalous.

It raises a DataError if the labels are damaged or do not fit the number of frames.
"""


@dataclass(frozen=True)
class Interval:
    """An interval of anomalous frames.

    Attributes:
        start: The first frame, from 0.
        end: The last frame, included.
        where: The file and line of the interval, for errors.
    """

    start: int
    end: int
    where: str


@dataclass(frozen=True)
class Intervals:
    """Labels of a video from intervals; all other frames are normal.

    Attributes:
        intervals: The anomalous frames.

    Example:
        >>> Intervals((Interval(2, 3, "labels.csv, line 2"),))(5)
        array([0, 0, 1, 1, 0], dtype=uint8)
    """

    intervals: tuple[Interval, ...]

    def __call__(self, frames: int) -> np.ndarray:
        """Return the labels of so many frames.

        Raises:
            DataError: If an interval is not within the video, or ends before it starts.
        """
        labels = np.zeros(frames, np.uint8)
        for interval in self.intervals:
            start, end = interval.start, interval.end
            if not 0 <= start <= end < frames:
                raise DataError(
                    f"{interval.where}: found the interval {start} to {end} (frames from 0, both "
                    f"ends included), expected 0 <= start <= end <= {frames - 1} in a video of "
                    f"{frames} frames; correct the interval or restore the missing frames"
                )
            labels[start : end + 1] = 1
        return labels


@dataclass(frozen=True, eq=False)
class FrameLabels:
    """Labels of a video, frame by frame.

    Attributes:
        values: uint8 (frames,), 1 = anomalous.
        where: The file of the labels, for errors.

    Example:
        >>> FrameLabels(np.array([0, 1], np.uint8), "01.npy")(frames=2)
        array([0, 1], dtype=uint8)
    """

    values: np.ndarray
    where: str

    def __call__(self, frames: int) -> np.ndarray:
        """Return the labels of so many frames.

        Raises:
            DataError: If there are more or fewer labels.
        """
        if len(self.values) != frames:
            raise DataError(
                f"{self.where}: found {len(self.values)} labels, expected one for each of the "
                f"{frames} frames; restore the label file or the missing frames"
            )
        return self.values
