"""Labels from pixel masks."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from memguard.data.datasets.labels import MaskCells, MaskImages, read_masks
from memguard.errors import DataError
from tests.data.datasets.labels.conftest import CELL_WRITERS, write_cells, write_masks


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


MARKED = np.zeros((3, 16, 24), np.uint8)
MARKED[1, 3, 5] = MARKED[2, 3, 7] = 7


def write_files(folder: Path) -> list[Path]:
    """Write the same masks in every form."""
    (folder / "images").mkdir(parents=True)
    for number, mask in enumerate(MARKED):
        Image.fromarray(mask).save(folder / "images" / f"{number:03d}.png")
    np.save(folder / "x.npy", MARKED)
    np.savez_compressed(folder / "x.npz", masks=MARKED > 0)
    np.savez(folder / "plain.npz", masks=MARKED)
    matlab = write_cells(folder / "x.mat", "volLabel", list(MARKED))
    return [folder / "images", folder / "x.npy", folder / "x.npz", folder / "plain.npz", matlab]


def test_masks_of_every_form_are_read_alike(tmp_path: Path) -> None:
    for path in write_files(tmp_path):
        masks = list(read_masks(path, frames=3, height=16, width=24))
        assert [mask.dtype for mask in masks] == [bool] * 3
        assert np.array_equal(masks, MARKED > 0), path.name


def test_masks_that_do_not_fit_the_video_are_reported_at_once(tmp_path: Path) -> None:
    for path in write_files(tmp_path):
        with pytest.raises(DataError, match=rf"{path.name}: found 3 masks, .* the 4 frames"):
            read_masks(path, 4, 16, 24)
        expected = rf"{path.name}: the mask of frame 0 has 24×16 pixels, expected 16×24 as the"
        with pytest.raises(DataError, match=expected):
            read_masks(path, 3, 24, 16)


def test_one_mask_of_another_size_is_named(tmp_path: Path) -> None:
    folder = write_files(tmp_path)[0]
    Image.new("L", (12, 8)).save(folder / "001.png")
    with pytest.raises(DataError, match=r"images: the mask of frame 1 has 12×8 pixels"):
        read_masks(folder, 3, 16, 24)


@pytest.mark.parametrize(
    "array", [np.zeros((3, 4)), np.zeros((3, 16, 24), order="F"), np.full((3, 16, 24), None)]
)
def test_arrays_of_another_form_are_reported(tmp_path: Path, array: np.ndarray) -> None:
    np.savez(tmp_path / "01.npz", masks=array)
    with pytest.raises(DataError, match=r"01\.npz: expected masks as a NumPy array \(frames, hei"):
        read_masks(tmp_path / "01.npz", 3, 16, 24)


def test_damage_within_an_archive_is_reported_when_its_mask_is_due(tmp_path: Path) -> None:
    path, random = tmp_path / "01.npz", np.random.default_rng(0)
    np.savez(path, masks=random.integers(0, 2, (3, 64, 128), np.uint8))
    content = bytearray(path.read_bytes())
    content[-2000] ^= 1  # in the last mask
    path.write_bytes(content)
    masks = read_masks(path, 3, 64, 128)
    assert next(masks).shape == (64, 128)
    with pytest.raises(DataError, match=r"01\.npz: expected masks"):
        list(masks)


@pytest.mark.parametrize("name", ["gone.npy", "gone.npz", "gone.mat"])
def test_missing_masks_are_reported(tmp_path: Path, name: str) -> None:
    with pytest.raises(DataError, match=f"{name}: expected .*; restore it"):
        read_masks(tmp_path / name, 3, 16, 24)
