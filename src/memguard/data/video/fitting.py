"""Fit pictures to the network: its size, and its colours."""

from collections.abc import Iterable

import cv2
import numpy as np

from memguard.data.video.frame_size import FrameSize, sides


def fitted(
    pictures: Iterable[np.ndarray], *, frame_size: FrameSize | None, channels: int
) -> np.ndarray:
    """Convert stored pictures to frames: resize them, and convert them to grey, with OpenCV.

    The published figures depend on its bilinear resize without antialiasing.

    Args:
        pictures: uint8 (H, W, 3), RGB, or (H, W, 1), grey.
        frame_size: Side of the square to resize to, or height and width, pixels; None: as stored.
        channels: 1 for grey, 3 for RGB.

    Returns:
        uint8 (N, H, W, C).

    Example:
        >>> picture = np.zeros((240, 360, 3), np.uint8)
        >>> fitted([picture], frame_size=[64, 96], channels=1).shape
        (1, 64, 96, 1)
    """
    return np.stack([_fitted(picture, frame_size, channels) for picture in pictures])


def _fitted(picture: np.ndarray, frame_size: FrameSize | None, channels: int) -> np.ndarray:
    grey = picture.shape[2] == 1
    if channels == 1 and not grey:
        picture = cv2.cvtColor(np.ascontiguousarray(picture), cv2.COLOR_RGB2GRAY)
    if frame_size is not None:
        height, width = sides(frame_size)
        picture = cv2.resize(np.ascontiguousarray(picture), (width, height))
    picture = np.atleast_3d(picture)  # OpenCV drops a single channel
    return picture.repeat(3, axis=2) if grey and channels == 3 else picture
