"""Tracks from files and from masks."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from memguard.data.datasets.labels import link_regions, read_masks, read_tracks
from memguard.errors import DataError

SIZE = {"frames": 9, "height": 48, "width": 64}


def write(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def test_tracks_are_read_line_by_line(tmp_path: Path) -> None:
    path = write(tmp_path / "01.txt", "0,4,1,2,30,40\n\n1, 8, 0, 0, 64, 48.0\n")
    assert read_tracks(path, **SIZE).tolist() == [[0, 4, 1, 2, 30, 40], [1, 8, 0, 0, 64, 48]]


def test_an_empty_file_has_no_tracks(tmp_path: Path) -> None:
    assert read_tracks(write(tmp_path / "01.txt", ""), **SIZE).shape == (0, 6)


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        (
            "0,9,1,2,3,4",
            "found frame 9, expected 0 to 8; correct the number or restore the missing",
        ),
        ("0,-1,1,2,3,4", "found frame -1, expected 0 to 8"),
        ("0,1.5,1,2,3,4", "found frame 1.5, expected 0 to 8"),
        ("0,nan,1,2,3,4", "found frame nan, expected 0 to 8"),
        (
            "0,1,1,2,65,4",
            "found a box from 1, 2 to 65, 4, expected one within the picture of 64×48",
        ),
        ("0,1,1,2,3,49", "found a box from 1, 2 to 3, 49, expected one within"),
        ("0,1,-1,2,3,4", "found a box from -1, 2 to 3, 4"),
        ("0,1,5,2,3,4", "found a box from 5, 2 to 3, 4"),
        ("0,1,1,2,3", "found '0,1,1,2,3', expected six numbers track, frame, x_min, y_min"),
        ("0,1,1,2,3,x", "found '0,1,1,2,3,x', expected six numbers"),
    ],
)
def test_a_line_that_does_not_fit_is_named(tmp_path: Path, line: str, sentence: str) -> None:
    path = write(tmp_path / "01.txt", f"0,1,1,2,3,4\n{line}\n")
    with pytest.raises(DataError) as error:
        read_tracks(path, **SIZE)
    assert str(error.value).startswith(f"{path}, line 2: {sentence}")
    assert "; " in str(error.value)


def test_other_files_are_reported(tmp_path: Path) -> None:
    (tmp_path / "01.txt").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(DataError, match=r"01\.txt: expected a text file with lines track, frame"):
        read_tracks(tmp_path / "01.txt", **SIZE)


@pytest.mark.parametrize(
    ("video", "frames", "boxes", "tracks"),
    [("01_0014", 265, 76, 1), ("01_0015", 433, 314, 2), ("01_0016", 337, 91, 1)],
)
def test_real_tracks_lie_where_the_labels_are(
    real_data: Path, video: str, frames: int, boxes: int, tracks: int
) -> None:
    read = read_tracks(real_data / "shanghaitech" / "tracks" / f"{video}.txt", frames, 480, 856)
    assert (len(read), len(np.unique(read[:, 0]))) == (boxes, tracks)
    masks = real_data / "shanghaitech" / "testing" / "test_frame_mask"
    anomalous = np.flatnonzero(np.load(masks / f"{video}.npy"))
    assert np.isin(read[:, 1], anomalous).mean() > 0.95


def test_real_masks_of_ped2_become_a_track_per_rider(real_data: Path) -> None:
    folder = real_data / "ped2" / "testing" / "masks" / "08"
    tracks = link_regions(read_masks(folder, 180, 240, 360))
    assert len(np.unique(tracks[:, 0])) == 3
    assert set(tracks[:, 1]) == set(range(180))  # anomalous throughout


def test_real_masks_of_avenue_become_one_track(real_data: Path) -> None:
    path = real_data / "avenue" / "ground_truth_demo" / "testing_label_mask" / "8_label.mat"
    tracks = link_regions(read_masks(path, 36, 360, 640))
    assert (len(tracks), np.unique(tracks[:, 0]).tolist()) == (36, [0])
    assert tracks[0].tolist() == [0, 0, 381, 123, 452, 300]


def drawn(*frames: str) -> list[np.ndarray]:
    """Masks from rows of dots and crosses."""
    return [np.array([list(row) for row in frame.split()]) == "x" for frame in frames]


def test_pixels_that_touch_diagonally_are_one_region() -> None:
    assert link_regions(drawn("x.. .x. ..x")).tolist() == [[0, 0, 0, 0, 2, 2]]


def test_a_region_continues_where_most_pixels_are_shared() -> None:
    # One region splits: the larger part continues as track 0, the smaller is track 1.
    tracks = link_regions(drawn("xxxxxx", "xx.xxx", "xx..xx"))
    assert tracks.tolist() == [
        [0, 0, 0, 0, 5, 0],
        [1, 1, 0, 0, 1, 0],
        [0, 1, 3, 0, 5, 0],
        [1, 2, 0, 0, 1, 0],
        [0, 2, 4, 0, 5, 0],
    ]


def test_regions_that_join_continue_as_the_larger() -> None:
    tracks = link_regions(drawn("xx.xxx", "xxxxxx"))
    assert tracks[-1].tolist() == [1, 1, 0, 0, 5, 0]


def test_a_region_that_is_hidden_for_a_frame_begins_another_track() -> None:
    tracks = link_regions(drawn("xx....", "......", "xx....", "....xx"))
    assert tracks[:, :2].tolist() == [[0, 0], [1, 2], [2, 3]]


def test_masks_without_marks_have_no_tracks() -> None:
    assert link_regions(drawn("...", "...")).shape == (0, 6)


@given(npst.arrays(bool, (4, 5, 6), elements=st.sampled_from([True, False, False])))
def test_boxes_cover_the_marked_pixels_and_a_track_has_one_region_in_a_frame(
    masks: np.ndarray,
) -> None:
    tracks = link_regions(masks)
    covered = np.zeros_like(masks)
    for _, frame, left, top, right, bottom in tracks:
        covered[frame, top : bottom + 1, left : right + 1] = True
    assert (covered >= masks).all()
    assert len(np.unique(tracks[:, :2], axis=0)) == len(tracks)
    assert set(tracks[:, 0]) == set(range(len(np.unique(tracks[:, 0]))))
