"""Labels in NumPy files: a 0 or 1 per frame, of one video or of all."""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path

import numpy as np

from memguard.data.datasets.labels.damage import damage_reported
from memguard.data.datasets.labels.frames import FrameLabels, Labels
from memguard.errors import DataError


@dataclass(frozen=True)
class FrameArray:
    """Labels of one video in a NumPy file, a 0 or 1 per frame.

    Attributes:
        path: The file.
    """

    path: Path

    def __call__(self, frames: int) -> np.ndarray:
        """Read the labels of so many frames.

        Raises:
            DataError: If the file is missing or damaged, or has more or fewer labels.
        """
        return FrameLabels(_read_array(self.path), str(self.path))(frames)


def read_concatenated(path: Path, lengths: Mapping[str, int]) -> dict[str, Labels]:
    """Read a NumPy file with a 0 or 1 for every frame of all videos, concatenated.

    Args:
        path: The file.
        lengths: The number of frames of each video, in the order of the array.

    Raises:
        DataError: If the file is damaged, or has more or fewer labels than the videos have frames.
    """
    values = _read_array(path)
    total = sum(lengths.values())
    if len(values) != total:
        raise DataError(
            f"{path}: found {len(values)} labels, expected {total}, one for each frame of the "
            f"{len(lengths)} videos; restore the file or the missing frames"
        )
    parts = np.split(values, list(accumulate(lengths.values()))[:-1])
    return {
        video: FrameLabels(part, f"{path}, video {video}")
        for video, part in zip(lengths, parts, strict=True)
    }


def _read_array(path: Path) -> np.ndarray:
    with damage_reported(path, "a NumPy array with a 0 or 1 per frame"):
        # Memory-mapped: a damaged header may declare more values than the memory can hold.
        values = np.atleast_1d(np.load(path, mmap_mode="r").squeeze())
        if values.ndim != 1 or not np.isin(values, (0, 1)).all():
            raise ValueError(f"an array of shape {values.shape} with other values")
        return values.astype(np.uint8)
