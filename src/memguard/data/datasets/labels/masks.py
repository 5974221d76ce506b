"""Labels from pixel masks: a frame is anomalous if its mask marks a pixel."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from memguard.data.datasets.labels.damage import damage_reported
from memguard.data.datasets.labels.frames import FrameLabels
from memguard.data.datasets.labels.matlab import read_cells
from memguard.data.video.frame_folders import frame_images


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
        with damage_reported(self.path, "a MATLAB file with a cell array 'volLabel' of masks"):
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
