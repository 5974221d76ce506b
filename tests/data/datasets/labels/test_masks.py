"""Labels from pixel masks."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from memguard.data.datasets.labels import MaskCells, MaskImages
from memguard.errors import DataError
from tests.data.datasets.labels.conftest import CELL_WRITERS, write_masks


def test_real_avenue_masks_mark_every_frame_of_video_08(real_data: Path) -> None:
    masks = MaskCells(real_data / "avenue/ground_truth_demo/testing_label_mask/8_label.mat")
    assert masks(36).tolist() == [1] * 36
    with pytest.raises(DataError, match=r"8_label\.mat: found 36 labels, .* the 37 frames"):
        masks(37)


@CELL_WRITERS
def test_matlab_masks_of_any_version_mark_frames(
    tmp_path: Path, write: Callable[..., Path]
) -> None:
    masks = np.zeros((3, 8, 12), np.uint8)
    masks[1, 2, 3] = 1
    path = write(tmp_path / "8_label.mat", "volLabel", list(masks))
    assert MaskCells(path)(3).tolist() == [0, 1, 0]


@pytest.mark.parametrize("name", ["{:03d}.bmp", "frame{:03d}.bmp"])
def test_mask_images_mark_frames(tmp_path: Path, name: str) -> None:
    folder = write_masks(tmp_path / "Test001_gt", [False, True, False, True], name)
    (folder / "._001.bmp").write_bytes(b"litter")
    (folder / "Thumbs.db").write_bytes(b"litter")
    assert MaskImages(folder)(4).tolist() == [0, 1, 0, 1]
    with pytest.raises(DataError, match=r"Test001_gt: found 4 labels, .* the 5 frames"):
        MaskImages(folder)(5)


def test_a_mask_marks_a_frame_whatever_its_level(tmp_path: Path) -> None:
    mask = np.zeros((16, 24), np.uint8)
    mask[3, 5] = 1
    Image.fromarray(mask).save(tmp_path / "001.png")
    assert MaskImages(tmp_path)(1).tolist() == [1]
