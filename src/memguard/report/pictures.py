"""Pictures as a page holds them: small files within their own addresses."""

from base64 import b64encode
from io import BytesIO

import matplotlib as mpl
import numpy as np
from PIL import Image

Size = tuple[int, int]
"""Width and height in pixels."""


def fitted(width: int, height: int, longest: int) -> Size:
    """Scale a size so that its longer side has a given length.

    Example:
        >>> fitted(360, 240, 150)
        (150, 100)
    """
    scale = longest / max(width, height)
    return max(round(width * scale), 1), max(round(height * scale), 1)


def photograph(picture: np.ndarray, size: Size | None = None, quality: int = 70) -> str:
    """Turn a picture into the address of a JPEG.

    Args:
        picture: uint8 (C, H, W) with one channel or three.
        size: To resize to.
        quality: Of the JPEG, up to 95.

    Example:
        >>> photograph(np.zeros((1, 8, 8), dtype=np.uint8))[:27]
        'data:image/jpeg;base64,/9j/'
    """
    plane = picture[0] if len(picture) == 1 else picture.transpose(1, 2, 0)
    image = Image.fromarray(plane)
    if size:
        image = image.resize(size, Image.Resampling.BILINEAR)
    return _address(image, "jpeg", quality=quality, optimize=True)


def heat(values: np.ndarray, highest: float) -> str:
    """Turn values into the address of a PNG, dark to bright, a pixel each.

    The scale climbs in lightness, so that it reads without colours as well.

    Args:
        values: (H, W), from 0.
        highest: What is brightest.
    """
    levels = np.clip(values / max(highest, 1e-12), 0, 1)
    colours = (mpl.colormaps["inferno"](levels)[..., :3] * 255).round().astype(np.uint8)
    return _address(Image.fromarray(colours), "png", optimize=True)


def _address(image: Image.Image, kind: str, **how: object) -> str:
    file = BytesIO()
    image.save(file, kind, **how)
    return f"data:image/{kind};base64,{b64encode(file.getvalue()).decode()}"
