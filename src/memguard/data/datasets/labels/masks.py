"""Pixel masks: the anomalous pixels of each frame, and labels from them.

A frame is anomalous if its mask marks a pixel.
"""

import zipfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np
from PIL import Image

from memguard.data.datasets.labels.damage import damage_reported
from memguard.data.datasets.labels.frames import FrameLabels
from memguard.data.datasets.labels.matlab import read_cells
from memguard.data.video.frame_folders import frame_images
from memguard.errors import DataError

CELLS = "a MATLAB file with a cell array 'volLabel' of masks"


@dataclass(frozen=True)
class MaskCells:
    """Labels of a video from masks in the cell array `volLabel` of a MATLAB file.

    Attributes:
        path: The file.
    """

    path: Path

    def __call__(self, frames: int) -> np.ndarray:
        """Read the labels of so many frames.

        Raises:
            DataError: If the file is missing or damaged, or has more or fewer masks.
        """
        with damage_reported(self.path, CELLS):
            marked = [mask.any() for mask in read_cells(self.path, "volLabel")]
            return FrameLabels(np.array(marked, np.uint8), str(self.path))(frames)


@dataclass(frozen=True)
class MaskImages:
    """Labels of a video from masks in a folder with one image per frame.

    A pixel is marked if it is not black.

    Attributes:
        folder: The folder.
    """

    folder: Path

    def __call__(self, frames: int) -> np.ndarray:
        """Read the labels of so many frames.

        Raises:
            DataError: If the folder is missing, an image is damaged, or there are more or fewer
                masks.
        """
        marked = [_marks_pixel(image) for image in frame_images(self.folder)]
        return FrameLabels(np.array(marked, np.uint8), str(self.folder))(frames)


def _marks_pixel(path: Path) -> bool:
    with damage_reported(path, "a mask image"), Image.open(path) as image:
        return image.convert("L").getbbox() is not None


def read_masks(path: Path, frames: int, height: int, width: int) -> Iterator[np.ndarray]:
    """Read the masks of a video one by one, after a check of their number and size.

    Args:
        path: A folder with an image per frame, a MATLAB file with the cell array `volLabel`, a
            NumPy array (frames, height, width), or an `.npz` file with such an array `masks`.
        frames: The number of frames of the video.
        height: Height of its pictures in pixels.
        width: Their width.

    Returns:
        bool (height, width) for each frame, true where a pixel is anomalous.

    Raises:
        DataError: If the masks are missing or damaged, or have another number or another size than
            the pictures; of damaged content once its mask is due.

    Example:
        >>> path = Path("door/01.npy")
        >>> np.save(path, np.eye(3, dtype=np.uint8)[None])
        >>> [int(mask.sum()) for mask in read_masks(path, frames=1, height=3, width=3)]
        [3]
    """
    if path.is_dir():
        count, sizes, masks = _images(path)
    elif path.suffix == ".mat":
        count, sizes, masks = _cells(path)
    else:
        count, sizes, masks = _arrays(path)
    if count != frames:
        raise DataError(
            f"{path}: found {count} masks, expected one for each of the {frames} frames; restore "
            "the masks or the missing frames"
        )
    for number, size in enumerate(sizes):
        if size != (height, width):
            found = "×".join(map(str, reversed(size)))
            raise DataError(
                f"{path}: the mask of frame {number} has {found} pixels, expected {width}×{height} "
                "as the video has; restore masks and video from one source"
            )
    return masks


Opened = tuple[int, Iterable[tuple[int, ...]], Iterator[np.ndarray]]
"""The number of masks, the height and width of each or of all, and the masks."""


def _images(folder: Path) -> Opened:
    def read(path: Path) -> np.ndarray:
        with damage_reported(path, "a mask image"), Image.open(path) as image:
            return np.asarray(image.convert("L")) != 0

    images = frame_images(folder)
    sizes = []
    for path in images:
        with damage_reported(path, "a mask image"), Image.open(path) as image:
            sizes.append((image.height, image.width))
    return len(images), sizes, map(read, images)


def _cells(path: Path) -> Opened:
    with damage_reported(path, CELLS):
        sizes, packed = [], []
        for cell in read_cells(path, "volLabel"):
            sizes.append(cell.shape)
            packed.append(np.packbits(cell != 0))  # an eighth of the memory
    masks = (
        np.unpackbits(bits, count=int(np.prod(size))).reshape(size).astype(bool)
        for bits, size in zip(packed, sizes, strict=True)
    )
    return len(packed), sizes, masks


def _arrays(path: Path) -> Opened:
    expected = "masks as a NumPy array (frames, height, width)"
    with damage_reported(path, expected):
        if path.suffix == ".npz":
            shape, masks = _unpacked(path)
        else:
            array = np.load(path, mmap_mode="r")
            shape, masks = array.shape, (mask != 0 for mask in array)
        count, *size = shape
        if len(size) != 2:
            raise ValueError(f"an array of shape {shape}")
        return count, [tuple(size)], _reported(path, expected, masks)


def _unpacked(path: Path) -> tuple[tuple[int, ...], Iterator[np.ndarray]]:
    """Read the shape of `masks` in an .npz file; unpack its masks one by one, not all at once."""
    with zipfile.ZipFile(path) as archive, archive.open("masks.npy") as file:
        shape, dtype = _header(file)
    frame = int(np.prod(shape[1:])) * dtype.itemsize

    def masks() -> Iterator[np.ndarray]:
        with zipfile.ZipFile(path) as archive, archive.open("masks.npy") as file:
            _header(file)
            for _ in range(shape[0]):
                yield np.frombuffer(file.read(frame), dtype).reshape(shape[1:]) != 0

    return shape, masks()


def _header(file: IO[bytes]) -> tuple[tuple[int, ...], np.dtype[np.generic]]:
    version = np.lib.format.read_magic(file)
    read = {
        (1, 0): np.lib.format.read_array_header_1_0,
        (2, 0): np.lib.format.read_array_header_2_0,
    }
    shape, columns_first, dtype = read[version](file)
    if columns_first or dtype.hasobject:
        raise ValueError("an array in another order, or of objects")
    return shape, dtype


def _reported(path: Path, expected: str, masks: Iterator[np.ndarray]) -> Iterator[np.ndarray]:
    with damage_reported(path, expected):
        yield from masks
