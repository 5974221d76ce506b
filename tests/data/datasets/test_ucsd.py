"""UCSD Ped1 and Ped2: their layouts, intervals and masks."""

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from memguard.data.datasets.benchmark import Benchmark
from memguard.data.datasets.labels import MaskImages
from memguard.data.datasets.layout import count_frames
from memguard.data.datasets.ucsd import ped1, ped2
from memguard.data.video.frame_folders import frame_images
from memguard.errors import DataError
from tests.data.datasets.conftest import (
    all_labels,
    labels_of,
    write_frames,
    write_intervals,
    write_masks,
)


@pytest.fixture
def ped2_root(tmp_path: Path) -> Path:
    """Ped2 as papers use it."""
    write_frames(tmp_path / "training" / "frames" / "01", 3)
    write_frames(tmp_path / "testing" / "frames" / "01", 5)
    write_frames(tmp_path / "testing" / "frames" / "02", 4)
    write_intervals(tmp_path / "ped2.mat", [[[1, 4], [2, 5]], [[2], [3]]])
    return tmp_path


PED2_LABELS = {"01": [1, 1, 0, 1, 1], "02": [0, 1, 1, 0]}


def write_ucsd_release(place: Path) -> None:
    """Write UCSD's release of two test videos, with the litter that its archive holds."""
    name = place.name
    write_frames(place / "Train" / "Train001", 3, ".tif")
    write_frames(place / "Test" / "Test001", 5, ".tif")
    write_frames(place / "Test" / "Test002", 4, ".tif")
    write_masks(place / "Test" / "Test001_gt", [1, 1, 0, 1, 1])
    write_masks(place / "Test" / "Test002_gt", [0, 1, 1, 0], "frame{:03d}.bmp")
    (place / "Test" / f"{name}.m").write_text(
        "TestVideoFile = {};\n"
        "TestVideoFile{end+1}.gt_frame = [1:2, 4:5];\n"
        "TestVideoFile{end+1}.gt_frame = [2:3];\n"
    )
    for folder_ in (place / "Train", place / "Test", place / "Test" / "Test001"):
        for litter in (".DS_Store", "._001.tif", "Thumbs.db"):
            (folder_ / litter).write_bytes(b"litter")


UCSD_RELEASED = {"Test001": [1, 1, 0, 1, 1], "Test002": [0, 1, 1, 0]}


@pytest.mark.parametrize("layout", [ped1, ped2])
@pytest.mark.parametrize("place", ["{}", "UCSD_Anomaly_Dataset.v1p2/{}", "."])
def test_ucsd_release_is_found_in_and_below_the_root(
    tmp_path: Path, layout: Callable[[Path], Benchmark], place: str
) -> None:
    name = f"UCSD{layout.__name__}"
    root = tmp_path / name if place == "." else tmp_path
    write_ucsd_release(root / place.format(name))
    benchmark = layout(root)
    assert benchmark.name == layout.__name__
    assert [record.name for record in benchmark.train] == ["Train001"]
    assert all_labels(benchmark) == UCSD_RELEASED
    assert [r.masks and r.masks.name for r in benchmark.test] == ["Test001_gt", "Test002_gt"]


def test_ucsd_intervals_come_before_masks(tmp_path: Path) -> None:
    write_ucsd_release(tmp_path / "UCSDped2")
    shutil.rmtree(tmp_path / "UCSDped2" / "Test" / "Test002_gt")
    write_masks(tmp_path / "UCSDped2" / "Test" / "Test002_gt", [0, 0, 0, 0])
    assert all_labels(ped2(tmp_path)) == UCSD_RELEASED


def test_ucsd_release_without_intervals_is_labelled_by_its_masks(tmp_path: Path) -> None:
    write_ucsd_release(tmp_path / "UCSDped2")
    (tmp_path / "UCSDped2" / "Test" / "UCSDped2.m").unlink()
    assert all_labels(ped2(tmp_path)) == UCSD_RELEASED
    shutil.rmtree(tmp_path / "UCSDped2" / "Test" / "Test002_gt")
    with pytest.raises(DataError, match=r"UCSDped2\.m: the labels are missing; set dataset\.root"):
        ped2(tmp_path)


def test_real_ped2_agrees_with_the_labels_in_circulation(real_data: Path) -> None:
    benchmark = ped2(real_data / "ped2")
    assert (len(benchmark.train), len(benchmark.test)) == (16, 12)
    assert sum(len(frame_images(record.source)) for record in benchmark.train) == 2550
    assert all(record.labels is None for record in benchmark.train)
    labels = np.concatenate([labels_of(record) for record in benchmark.test])
    assert (len(labels), labels.sum()) == (2010, 1648)
    expected = np.load(real_data / "labels" / "frame_labels_ped2.npy").ravel()
    np.testing.assert_array_equal(labels, expected)


def test_real_ped2_agrees_with_its_masks(real_data: Path) -> None:
    for record in ped2(real_data / "ped2").test:
        assert record.masks is not None
        marked = MaskImages(record.masks)(count_frames(record.source)).tolist()
        assert labels_of(record) == marked, record.name


def test_ped2_of_papers(ped2_root: Path) -> None:
    write_frames(ped2_root / "testing" / "masks" / "02", 4, suffix=".png")
    benchmark = ped2(str(ped2_root))
    assert benchmark.name == "ped2"
    assert [record.name for record in benchmark.train] == ["01"]
    assert all_labels(benchmark) == PED2_LABELS
    masks = [record.masks for record in benchmark.test]
    assert masks == [None, ped2_root / "testing" / "masks" / "02"]


def test_ped2_takes_the_array_where_the_intervals_are_missing(ped2_root: Path) -> None:
    (ped2_root / "ped2.mat").unlink()
    np.save(ped2_root / "frame_labels_ped2.npy", [PED2_LABELS["01"] + PED2_LABELS["02"]])
    assert all_labels(ped2(ped2_root)) == PED2_LABELS


@pytest.mark.parametrize("spans", [[[0], [2]], [[2], [6]], [[3], [2]]])
def test_interval_outside_its_video_is_reported_for_that_video_alone(
    ped2_root: Path, spans: list[list[int]]
) -> None:
    write_intervals(ped2_root / "ped2.mat", [spans, [[2], [3]]])
    first, second = ped2(ped2_root).test
    with pytest.raises(DataError, match=r"ped2\.mat, video 01: .*video of 5 frames"):
        labels_of(first)
    assert labels_of(second) == PED2_LABELS["02"]


def test_ped2_number_of_videos_is_compared(ped2_root: Path) -> None:
    write_intervals(ped2_root / "ped2.mat", [[[1], [2]]])
    with pytest.raises(DataError, match=r"ped2\.mat: .*for 1 videos, expected 2.*dataset\.root"):
        ped2(ped2_root)


@pytest.mark.parametrize("part", ["ped2.mat", "testing/frames"])
def test_ped2_missing_part_is_reported(ped2_root: Path, part: str) -> None:
    gone = ped2_root / part
    if gone.is_dir():
        shutil.rmtree(gone)
    else:
        gone.unlink()
    with pytest.raises(
        DataError, match=r"dataset\.root.*UCSDped2/Train.*training/frames/NN"
    ) as error:
        ped2(ped2_root)
    assert str(ped2_root) in str(error.value)
