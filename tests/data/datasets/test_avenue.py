"""CUHK Avenue: its layouts and its two label sets."""

from pathlib import Path

import numpy as np
import pytest

from memguard.data.datasets.avenue import avenue
from memguard.errors import ConfigError, DataError
from tests.data.datasets.conftest import (
    all_labels,
    labels_of,
    write_avenue_release,
    write_frames,
    write_intervals,
)

AVENUE_MASKS = {"08": [1, 1, 1], "10": [0, 1, 0, 0]}


AVENUE_INTERVALS = {"08": [0, 1, 1], "10": [1, 0, 0, 1]}


@pytest.mark.parametrize(
    ("videos", "truth"),
    [(".", "."), (".", ".."), ("Avenue Dataset", "."), ("Avenue Dataset", "Avenue Dataset")],
)
def test_avenue_release_is_found_however_it_is_nested(
    tmp_path: Path, videos: str, truth: str
) -> None:
    root = tmp_path / "avenue"
    root.mkdir()
    write_avenue_release(root / videos, root / truth)
    benchmark = avenue(root)
    assert (benchmark.name, benchmark.label_set) == ("avenue", "masks")
    assert [record.source.name for record in benchmark.train] == ["01.avi"]
    assert all_labels(benchmark) == AVENUE_MASKS
    assert [r.masks and r.masks.name for r in benchmark.test] == ["8_label.mat", "10_label.mat"]


def test_real_avenue_release(real_data: Path) -> None:
    benchmark = avenue(real_data / "avenue")
    assert [record.name for record in benchmark.train] == ["12"]
    assert all_labels(benchmark) == {"08": [1] * 36}


@pytest.mark.parametrize("file", ["avenue.mat", "frame_labels_avenue.npy"])
def test_avenue_has_two_label_sets(tmp_path: Path, file: str) -> None:
    write_avenue_release(tmp_path, tmp_path)
    if file == "avenue.mat":
        write_intervals(tmp_path / file, [[[2], [3]], [[1, 4], [1, 4]]])
    else:
        np.save(tmp_path / file, AVENUE_INTERVALS["08"] + AVENUE_INTERVALS["10"])
    for requested, labels in (
        ("masks", AVENUE_MASKS), ("intervals", AVENUE_INTERVALS), (None, AVENUE_INTERVALS)
    ):  # fmt: skip
        benchmark = avenue(tmp_path, labels=requested)
        assert all_labels(benchmark) == labels
        assert benchmark.label_set == (requested or "intervals")


def test_avenue_of_papers(tmp_path: Path) -> None:
    write_frames(tmp_path / "training" / "frames" / "01", 3)
    for video, labels in AVENUE_INTERVALS.items():
        write_frames(tmp_path / "testing" / "frames" / video, len(labels))
    write_intervals(tmp_path / "avenue.mat", [[[2], [3]], [[1, 4], [1, 4]]])
    benchmark = avenue(tmp_path)
    assert benchmark.label_set == "intervals"
    assert all_labels(benchmark) == AVENUE_INTERVALS
    with pytest.raises(DataError, match=r"testing_label_mask: the labels are missing"):
        avenue(tmp_path, labels="masks")


def test_avenue_knows_no_other_label_set(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"dataset\.labels=pixels .* intervals or masks"):
        avenue(tmp_path, labels="pixels")


def test_avenue_masks_of_no_video_are_reported_and_missing_ones_where_they_are_used(
    tmp_path: Path,
) -> None:
    write_avenue_release(tmp_path, tmp_path)
    (tmp_path / "testing_videos" / "08.avi").rename(tmp_path / "testing_videos" / "09.avi")
    with pytest.raises(DataError, match=r"/8_label\.mat: found labels for a video that is not th"):
        avenue(tmp_path)
    (tmp_path / "ground_truth_demo" / "testing_label_mask" / "8_label.mat").unlink()
    missing, whole = avenue(tmp_path).test
    assert missing.masks is None
    with pytest.raises(DataError, match=r"/9_label\.mat: .*restore it"):
        labels_of(missing)
    assert labels_of(whole) == AVENUE_MASKS["10"]
