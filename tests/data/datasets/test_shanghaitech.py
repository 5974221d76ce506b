"""ShanghaiTech Campus: its layouts."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from memguard.data.datasets.shanghaitech import shanghaitech
from memguard.errors import DataError
from tests.data.datasets.conftest import (
    SHANGHAITECH_LABELS,
    all_labels,
    write_avi,
    write_frames,
)


def test_shanghaitech_release(shanghaitech_root: Path) -> None:
    benchmark = shanghaitech(shanghaitech_root)
    assert [(r.name, r.scene, r.source.suffix) for r in benchmark.train] == [
        ("01_001", "01", ".avi")
    ]
    assert [record.scene for record in benchmark.test] == ["01", "12"]
    assert [r.masks and r.masks.name for r in benchmark.test] == [None, "12_0142.npy"]
    assert all_labels(benchmark) == SHANGHAITECH_LABELS


def test_shanghaitech_of_papers(shanghaitech_root: Path) -> None:
    shutil.rmtree(shanghaitech_root / "training" / "videos")
    write_frames(shanghaitech_root / "training" / "frames" / "01_001", 3)
    shutil.rmtree(shanghaitech_root / "testing" / "test_frame_mask")
    array = [label for labels in SHANGHAITECH_LABELS.values() for label in labels]
    np.save(shanghaitech_root / "frame_labels_shanghai.npy", array)
    benchmark = shanghaitech(shanghaitech_root)
    assert [record.source.name for record in benchmark.train] == ["01_001"]
    assert all_labels(benchmark) == SHANGHAITECH_LABELS


def test_shanghaitech_as_videos(shanghaitech_root: Path) -> None:
    testing = shanghaitech_root / "testing"
    shutil.rmtree(testing / "frames")
    for video, labels in SHANGHAITECH_LABELS.items():
        write_avi(testing / "videos" / f"{video}.avi", len(labels))
    benchmark = shanghaitech(shanghaitech_root)
    assert [record.source.suffix for record in benchmark.test] == [".avi", ".avi"]
    assert all_labels(benchmark) == SHANGHAITECH_LABELS


def test_shanghaitech_label_file_of_no_video_is_reported(shanghaitech_root: Path) -> None:
    shutil.rmtree(shanghaitech_root / "testing" / "frames" / "01_0014")
    with pytest.raises(
        DataError, match=r"01_0014\.npy: found labels for a video that is not there"
    ):
        shanghaitech(shanghaitech_root)
