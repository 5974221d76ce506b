"""Labels in MATLAB files and scripts."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from scipy.io import savemat

from memguard.data.datasets.labels import (
    MaskCells,
    read_concatenated,
    read_matlab_intervals,
    read_matlab_script,
)
from memguard.errors import DataError
from tests.data.datasets.labels.conftest import CELL_WRITERS, PED1_SCRIPT, PED2_FRAMES, write_cells


def test_real_ped2_intervals_are_the_array_in_circulation(real_data: Path) -> None:
    intervals = read_matlab_intervals(real_data / "ped2" / "ped2.mat", list(PED2_FRAMES))
    array = read_concatenated(real_data / "labels" / "frame_labels_ped2.npy", PED2_FRAMES)
    for video, frames in PED2_FRAMES.items():
        np.testing.assert_array_equal(intervals[video](frames), array[video](frames), video)
    assert sum(array[video](frames).sum() for video, frames in PED2_FRAMES.items()) == 1648


@CELL_WRITERS
def test_matlab_intervals_of_any_version_count_from_one(
    tmp_path: Path, write: Callable[..., Path]
) -> None:
    spans = [np.array([[1, 5], [2, 5]], np.uint8), np.empty((0, 0)), np.array([[2.0], [3.0]])]
    path = write(tmp_path / "ped2.mat", "gt", spans)
    labels = read_matlab_intervals(path, ["01", "02", "03"])
    assert labels["01"](5).tolist() == [1, 1, 0, 0, 1]
    assert labels["02"](2).tolist() == [0, 0]
    assert labels["03"](4).tolist() == [0, 1, 1, 0]
    with pytest.raises(DataError, match=r"ped2\.mat, video 03: .*interval 1 to 2 .*of 2 frames"):
        labels["03"](2)


@CELL_WRITERS
def test_matlab_file_of_other_content_is_reported(
    tmp_path: Path, write: Callable[..., Path]
) -> None:
    path = write(tmp_path / "x.mat", "other", [np.ones((2, 2))])
    with pytest.raises(DataError, match=r"x\.mat: expected .*'gt'"):
        read_matlab_intervals(path, ["01"])
    with pytest.raises(DataError, match=r"x\.mat: expected .*'volLabel'"):
        MaskCells(path)(1)


@pytest.mark.parametrize("content", [np.arange(3), np.ones((2, 2)), "text"])
def test_matlab_intervals_of_another_form_are_reported(tmp_path: Path, content: object) -> None:
    savemat(tmp_path / "x.mat", {"gt": content})
    with pytest.raises(DataError, match=r"x\.mat: expected .*'gt'"):
        read_matlab_intervals(tmp_path / "x.mat", ["01"])


@pytest.mark.parametrize("content", [b"", b"not a MATLAB file\n" * 20])
def test_what_is_no_matlab_file_is_reported(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x.mat").write_bytes(content)
    with pytest.raises(DataError, match=r"x\.mat: expected a MATLAB file"):
        read_matlab_intervals(tmp_path / "x.mat", ["01"])


def test_script_sets_intervals_line_by_line(tmp_path: Path) -> None:
    path = tmp_path / "UCSDped1.m"
    path.write_text(PED1_SCRIPT)
    labels = read_matlab_script(path, ["1", "2", "3", "4"])
    assert [labels[video](200).sum() for video in labels] == [93, 86 + 61, 1, 0]
    assert np.flatnonzero(labels["1"](200))[[0, -1]].tolist() == [59, 151]
    assert np.flatnonzero(labels["3"](200)).tolist() == [6]


@pytest.mark.parametrize("entry", ["[5:x]", "[5:]", "[1:2:3]", "5:90", "[5:90"])
def test_script_line_of_another_form_is_reported(tmp_path: Path, entry: str) -> None:
    path = tmp_path / "UCSDped1.m"
    path.write_text(f"TestVideoFile{{end+1}}.gt_frame = {entry};\n")
    with pytest.raises(DataError, match=r"UCSDped1\.m: expected a MATLAB script"):
        read_matlab_script(path, ["1"])


@pytest.mark.parametrize("videos", [["1"], ["1", "2", "3", "4", "5"]])
def test_labels_for_another_number_of_videos_are_reported(
    tmp_path: Path, videos: list[str]
) -> None:
    (tmp_path / "x.m").write_text(PED1_SCRIPT)
    mat = write_cells(tmp_path / "x.mat", "gt", [np.array([[1], [2]])] * 4)
    message = rf": found intervals for 4 videos, expected {len(videos)}"
    with pytest.raises(DataError, match=r"x\.m" + message):
        read_matlab_script(tmp_path / "x.m", videos)
    with pytest.raises(DataError, match=r"x\.mat" + message):
        read_matlab_intervals(mat, videos)
