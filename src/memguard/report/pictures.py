"""Pictures: from a network's values to levels, and to the data URLs that a page holds."""

from base64 import b64encode
from io import BytesIO

import matplotlib as mpl
import numpy as np
import torch
from PIL import Image
from torch import Tensor

Size = tuple[int, int]
"""Width and height in pixels."""


def levels(signal: Tensor) -> np.ndarray:
    """Convert values in [−1, 1] to levels 0-255, uint8 of the same shape.

    Example:
        >>> levels(torch.tensor([-1.0, 0.0, 1.0])).tolist()
        [0, 128, 255]
    """
    scaled = ((signal.float() + 1) * 127.5).round().clamp(0, 255)
    return scaled.to(torch.uint8).cpu().numpy()


def error_map(target: np.ndarray, output: np.ndarray) -> np.ndarray:
    """Compute the absolute error of each pixel; squared, little of it would be visible.

    Args:
        target: uint8 (C, H, W), the frame itself.
        output: uint8 (C, H, W), its prediction or reconstruction.

    Returns:
        (H, W), the mean over the channels, in [0, 1].

    Example:
        >>> error_map(np.zeros((1, 1, 2), np.uint8), np.array([[[0, 51]]], np.uint8)).tolist()
        [[0.0, 0.20000000298023224]]
    """
    difference = (output.astype(np.float32) - target.astype(np.float32)) / 255
    return np.abs(difference).mean(axis=0)


def fitted(width: int, height: int, longest: int) -> Size:
    """Scale a size so that its longer side has a given length.

    Example:
        >>> fitted(360, 240, 150)
        (150, 100)
    """
    scale = longest / max(width, height)
    return max(round(width * scale), 1), max(round(height * scale), 1)


def photograph(picture: np.ndarray, size: Size | None = None, quality: int = 70) -> str:
    """Encode a picture as the data URL of a JPEG.

    Args:
        picture: uint8 (C, H, W) with one channel or three.
        size: The size to resize to; None keeps the picture's own.
        quality: The JPEG's quality, up to 95.

    Example:
        >>> photograph(np.zeros((1, 8, 8), dtype=np.uint8))[:27]
        'data:image/jpeg;base64,/9j/'
    """
    plane = picture[0] if len(picture) == 1 else picture.transpose(1, 2, 0)
    image = Image.fromarray(plane)
    if size:
        image = image.resize(size, Image.Resampling.BILINEAR)
    return _data_url(image, "jpeg", quality=quality, optimize=True)


def heat(values: np.ndarray, highest: float) -> str:
    """Encode a map of values as the data URL of a PNG, one pixel each, dark to bright.

    The lightness of the colours rises with the value, so the map reads without colour as well.

    Args:
        values: (H, W), from 0.
        highest: The value of the brightest colour.
    """
    shares = np.clip(values / max(highest, 1e-12), 0, 1)
    colours = (mpl.colormaps["inferno"](shares)[..., :3] * 255).round().astype(np.uint8)
    return _data_url(Image.fromarray(colours), "png", optimize=True)


def _data_url(image: Image.Image, kind: str, **options: object) -> str:
    file = BytesIO()
    image.save(file, kind, **options)
    return f"data:image/{kind};base64,{b64encode(file.getvalue()).decode()}"
