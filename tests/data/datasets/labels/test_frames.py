"""Labels of the frames of a video, and errors of intervals that do not fit."""

import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from memguard.data.datasets.labels import (
    FrameArray,
    FrameLabels,
    Interval,
    Intervals,
    Labels,
    MaskCells,
    MaskImages,
    read_csv,
)
from memguard.errors import DataError
from tests.data.datasets.labels.conftest import write_cells, write_masks


@given(st.data(), st.integers(1, 300))
def test_intervals_mark_exactly_their_union(data: st.DataObject, frames: int) -> None:
    starts, lengths = st.integers(0, frames - 1), st.integers(0, frames)
    spans = data.draw(st.lists(st.tuples(starts, lengths), max_size=5))
    intervals = [Interval(s, min(s + length, frames - 1), "here") for s, length in spans]
    labels = Intervals(tuple(intervals))(frames)
    marked = {frame for each in intervals for frame in range(each.start, each.end + 1)}
    assert labels.dtype == np.uint8
    assert set(np.flatnonzero(labels)) == marked
    assert (len(labels), labels.sum()) == (frames, len(marked))


@pytest.mark.parametrize("interval", [(-1, 3), (4, 3), (0, 10), (10, 10), (0, 10**30)])
def test_interval_outside_its_video_is_reported(interval: tuple[int, int]) -> None:
    with pytest.raises(DataError, match=r"^here: .*expected 0 <= start <= end <= 9"):
        Intervals((Interval(*interval, "here"),))(10)


@pytest.mark.parametrize("reader", [FrameArray, MaskCells, MaskImages])
def test_missing_labels_are_reported(tmp_path: Path, reader: Callable[[Path], Labels]) -> None:
    with pytest.raises(DataError, match="gone: "):
        reader(tmp_path / "gone")(3)


def test_labels_can_be_sent_to_another_process(tmp_path: Path) -> None:
    (tmp_path / "i.csv").write_text("video,start,end\na,1,1\n")
    (tmp_path / "f.csv").write_text("video,frame,label\na,0,0\na,1,1\n")
    np.save(tmp_path / "x.npy", np.array([0, 1]))
    every: list[Labels] = [
        read_csv(tmp_path / "i.csv", ["a"])["a"],
        read_csv(tmp_path / "f.csv", ["a"])["a"],
        FrameArray(tmp_path / "x.npy"),
        FrameLabels(np.array([0, 1], np.uint8), "here"),
        MaskImages(write_masks(tmp_path / "masks", [False, True])),
        MaskCells(write_cells(tmp_path / "x.mat", "volLabel", [np.zeros((2, 2)), np.eye(2)])),
    ]
    for labels in every:
        assert pickle.loads(pickle.dumps(labels))(2).tolist() == [0, 1]
