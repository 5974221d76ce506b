"""Places of a picture whose errors do not count: polygons, or a mask."""

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from matplotlib.path import Path as Outline

from memguard.errors import ConfigError, DataError, access_reported

Polygon = Sequence[Sequence[float]]

# A mask's pixels above this are ignored.
HALF = 127


def ignored_places(places: Sequence[Polygon] | str, size: tuple[int, int]) -> np.ndarray | None:
    """Find the pixels of the network's frame that are ignored.

    Args:
        places: Polygons of at least three points (x, y), as shares of the picture's width and
            height; or the path of an image of the picture's shape, white where it is ignored.
        size: Height and width of the network's frame.

    Returns:
        bool (H, W); None without places.

    Raises:
        DataError: The mask cannot be read, or is white everywhere.
        ConfigError: The polygons cover the whole picture.

    Example:
        >>> left = [[0, 0], [0.5, 0], [0.5, 1], [0, 1]]
        >>> ignored_places([left], (2, 4)).astype(int)
        array([[1, 1, 0, 0],
               [1, 1, 0, 0]])
    """
    if isinstance(places, str):
        mask = cv2.resize(_read(Path(places)), size[::-1], interpolation=cv2.INTER_AREA) > HALF
        if mask.all():
            raise DataError(
                f"{places}: this mask ignores the whole picture; leave black what is to be watched"
            )
        return mask
    if not places:
        return None
    inside = _inside(places, size)
    if inside.all():
        raise ConfigError(
            "ignored covers the whole picture; leave a part of it to be watched, or leave ignored "
            "out"
        )
    return inside


def _inside(places: Sequence[Polygon], size: tuple[int, int]) -> np.ndarray:
    """Find the pixels, bool (H, W), whose centre lies in a polygon."""
    rows, columns = np.mgrid[: size[0], : size[1]]
    centres = np.stack([(columns + 0.5) / size[1], (rows + 0.5) / size[0]], axis=-1).reshape(-1, 2)
    inside = [Outline(polygon).contains_points(centres) for polygon in places]
    return np.any(inside, axis=0).reshape(size)


def _read(path: Path) -> np.ndarray:
    with access_reported(path):
        content = np.frombuffer(path.read_bytes(), np.uint8)
    mask = cv2.imdecode(content, cv2.IMREAD_GRAYSCALE) if len(content) else None
    if mask is None:
        raise DataError(f"{path}: this mask is no image; write a PNG, white where it is ignored")
    return mask
