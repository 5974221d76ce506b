"""The size of frames: one number for a square, or height and width."""

from collections.abc import Sequence

FrameSize = int | Sequence[int]


def sides(frame_size: FrameSize) -> tuple[int, int]:
    """Give height and width in pixels.

    Args:
        frame_size: The side of a square, or height and width.

    Example:
        >>> sides(128), sides([128, 192])
        ((128, 128), (128, 192))
    """
    if isinstance(frame_size, int):
        return frame_size, frame_size
    height, width = frame_size
    return height, width


def shortest(frame_size: FrameSize) -> FrameSize:
    """Write a square as the number alone.

    Args:
        frame_size: The side of a square, or height and width.

    Example:
        >>> shortest([128, 128]), shortest([128, 192])
        (128, [128, 192])
    """
    height, width = sides(frame_size)
    return height if height == width else [height, width]
