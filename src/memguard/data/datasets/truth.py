"""Truth: where a test video is anomalous, from its tracks or masks."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import repeat

import numpy as np

from memguard.data.datasets.benchmark import VideoRecord
from memguard.data.datasets.labels import link_regions, read_masks, read_tracks
from memguard.data.datasets.preparation import Footage


@dataclass(frozen=True)
class Truth:
    """The anomalous places of a test video.

    Attributes:
        record: The record of the video.
        footage: The result of its inspection.
        normal: Whether all its frames are labelled normal: then it needs no tracks and masks.

    Example:
        >>> from pathlib import Path
        >>> footage = Footage(Path("01.mp4"), frames=2, height=3, width=4, fps=25)
        >>> truth = Truth(VideoRecord("01", footage.path), footage, normal=True)
        >>> truth.has_tracks, len(truth.tracks()), [int(mask.sum()) for mask in truth.masks()]
        (True, 0, [0, 0])
    """

    record: VideoRecord
    footage: Footage
    normal: bool

    @property
    def has_tracks(self) -> bool:
        """Whether the boxes of the anomalies are known."""
        return self.record.tracks is not None or self.has_masks

    @property
    def has_masks(self) -> bool:
        """Whether the anomalous pixels are known."""
        return self.record.masks is not None or self.normal

    def tracks(self) -> np.ndarray:
        """Read the tracks, or link the regions of the masks.

        Returns:
            (N, 6): track, frame, x_min, y_min, x_max, y_max.
        """
        if self.record.tracks:
            return read_tracks(self.record.tracks, *self._size)
        return link_regions(self.masks())

    def masks(self) -> Iterator[np.ndarray]:
        """Read the masks one by one, bool (height, width) for each frame."""
        if self.record.masks:
            return read_masks(self.record.masks, *self._size)
        frames, height, width = self._size
        return repeat(np.zeros((height, width), bool), frames)

    @property
    def _size(self) -> tuple[int, int, int]:
        return self.footage.frames, self.footage.height, self.footage.width
