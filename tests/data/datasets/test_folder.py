"""Own videos: their order, and labels in CSV files."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from memguard.data.datasets.folder import folder
from memguard.data.datasets.layout import VIDEO_SUFFIXES
from memguard.data.datasets.street import street
from memguard.data.video.frame_folders import as_video
from memguard.errors import DataError
from tests.data.datasets.conftest import all_labels, labels_of, write_frames


@pytest.fixture
def folder_root(tmp_path: Path) -> Path:
    """Two videos to train on and three of six frames to test on."""
    write_frames(tmp_path / "train" / "2", 3)
    write_frames(tmp_path / "train" / "10", 3)
    for name in ("a", "b", "c"):
        write_frames(tmp_path / "test" / name, 6)
    return tmp_path


def folder_labels(root: Path, text: str) -> dict[str, list[int] | None]:
    (root / "labels.csv").write_text(text, encoding="utf-8")
    return all_labels(folder(root))


def test_folder_takes_files_and_frame_folders_in_natural_order(folder_root: Path) -> None:
    video = as_video(folder_root / "test" / "a", folder_root / "cache")
    names = {f"video{number}": suffix for number, suffix in enumerate(sorted(VIDEO_SUFFIXES))}
    for video_name, suffix in names.items():
        shutil.copy(video, folder_root / "train" / f"{video_name}{suffix.upper()}")
    (folder_root / "train" / "notes.txt").touch()
    (folder_root / "train" / ".hidden.mp4").touch()
    benchmark = folder(str(folder_root), name="station")
    assert benchmark.name == "station"
    assert [record.name for record in benchmark.train] == ["2", "10", *names]
    assert [record.name for record in benchmark.test] == ["a", "b", "c"]
    assert all(record.labels is None for record in benchmark.test)
    assert benchmark.ignored_files == (folder_root / "train" / "notes.txt",)


def test_folder_needs_one_split_only(folder_root: Path) -> None:
    (folder_root / "train").rename(folder_root / "elsewhere")
    assert (len(folder(folder_root).train), len(folder(folder_root).test)) == (0, 3)
    (folder_root / "elsewhere").rename(folder_root / "train")
    shutil.rmtree(folder_root / "test")
    assert (len(folder(folder_root).train), len(folder(folder_root).test)) == (2, 0)
    (folder_root / "test").mkdir()
    assert folder(folder_root).test == ()


@pytest.mark.parametrize("kept", [[], ["train"], ["test"], ["train", "test"]])
def test_folder_without_videos_is_reported(tmp_path: Path, kept: list[str]) -> None:
    for split in kept:
        (tmp_path / split).mkdir()
        (tmp_path / split / "notes.txt").touch()
    with pytest.raises(DataError, match=r"train: found no video .*dataset\.root"):
        folder(tmp_path)


def test_folder_with_empty_train_is_reported_even_with_a_test(folder_root: Path) -> None:
    shutil.rmtree(folder_root / "train")
    (folder_root / "train").mkdir()
    with pytest.raises(DataError, match=r"train: found no video"):
        folder(folder_root)


def test_folder_two_videos_of_one_name_are_reported(folder_root: Path) -> None:
    (folder_root / "test" / "b.mp4").touch()
    with pytest.raises(DataError, match=r"test/b\.mp4: .*second video with the name 'b' beside b"):
        folder(folder_root)


def test_folder_finds_masks(folder_root: Path) -> None:
    masks = folder_root / "masks"
    write_frames(masks / "a", 6, suffix=".png")
    np.savez(masks / "b.npz", np.zeros((6, 48, 64), bool))
    expected = [masks / "a", masks / "b.npz", None]
    assert [record.masks for record in folder(folder_root).test] == expected


def write_tracks(folder_: Path, *names: str) -> None:
    folder_.mkdir(parents=True)
    for name in names:
        (folder_ / f"{name}.txt").write_text("0,1,2,3,4,5\n")


def test_folder_finds_tracks_and_names_those_of_no_video(folder_root: Path) -> None:
    assert [record.tracks for record in folder(folder_root).test] == [None] * 3
    tracks = folder_root / "tracks"
    write_tracks(tracks, "a", "c")
    expected = [tracks / "a.txt", None, tracks / "c.txt"]
    assert [record.tracks for record in folder(folder_root).test] == expected
    (tracks / "d.txt").write_text("")
    with pytest.raises(DataError, match=r"d\.txt: found labels for a video that is not there"):
        folder(folder_root)


def test_interval_csv_labels_every_test_video(folder_root: Path) -> None:
    labels = folder_labels(folder_root, "video,start,end\na,0,1\n\na, 5, 5\nc,2,3\n")
    assert labels == {"a": [1, 1, 0, 0, 0, 1], "b": [0] * 6, "c": [0, 0, 1, 1, 0, 0]}


def test_csv_of_a_spreadsheet_is_read(folder_root: Path) -> None:
    labels = folder_labels(folder_root, "\ufeffvideo,start,end\r\na,4,5\r\n")
    assert labels["a"] == [0, 0, 0, 0, 1, 1]


def test_frame_csv_labels_the_listed_videos_in_any_order(folder_root: Path) -> None:
    lines = [f"b,{frame},{int(frame > 3)}" for frame in (5, 4, 0, 1, 3, 2)]
    labels = folder_labels(folder_root, "\n".join(["video,frame,label", *lines]))
    assert labels == {"a": None, "b": [0, 0, 0, 0, 1, 1], "c": None}


def test_csv_labels_video_files_by_their_length(folder_root: Path) -> None:
    video = as_video(folder_root / "test" / "a", folder_root / "cache")
    video.rename(folder_root / "test" / "d.mp4")
    assert folder_labels(folder_root, "video,start,end\nd,5,5\n")["d"] == [0, 0, 0, 0, 0, 1]
    with pytest.raises(DataError, match=r"line 2: .*video of 6 frames"):
        folder_labels(folder_root, "video,start,end\nd,5,6\n")


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ("a,0,1\nz,0,1", r"line 3: found the video 'z', expected one of test/ \(a, b, c\)"),
        ("a,0,6", r"line 2: found the interval 0 to 6 .*video of 6 frames"),
        ("a,3,2", r"line 2: found the interval 3 to 2"),
        ("a,-1,2", r"line 2: found the interval -1 to 2"),
        ("a,0,1\n\na,1.5,2", r"line 4: start is '1\.5', expected a whole number"),
        ("a,1,", r"line 2: end is '', expected a whole number"),
        ("a,1", r"line 2: found 2 fields, expected 'video,start,end'"),
        ("a,1,2,3", r"line 2: found 4 fields"),
    ],
)
def test_wrong_interval_rows_are_reported(folder_root: Path, rows: str, message: str) -> None:
    with pytest.raises(DataError, match=rf"labels\.csv, {message}"):
        folder_labels(folder_root, f"video,start,end\n{rows}\n")


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ("z,0,1", r", line 2: found the video 'z'"),
        ("a,0,0\na,6,1", r", line 3: found frame 6, expected 0 to 5"),
        ("a,-1,1", r", line 2: found frame -1"),
        ("a,0,2", r", line 2: found label 2, expected 0 or 1"),
        ("a,0,x", r", line 2: label is 'x', expected a whole number"),
        ("a,0,0\na,0,0", r", line 3: found frame 0 a second time"),
        ("a,0,0\na,1,1", r", video a: found 2 labels, expected .* the 6 frames"),
    ],
)
def test_wrong_frame_rows_are_reported(folder_root: Path, rows: str, message: str) -> None:
    with pytest.raises(DataError, match=rf"labels\.csv{message}"):
        folder_labels(folder_root, f"video,frame,label\n{rows}\n")


def test_wrong_row_is_reported_for_its_video_alone(folder_root: Path) -> None:
    (folder_root / "labels.csv").write_text("video,start,end\na,0,6\nb,0,1\n")
    first, second, _ = folder(folder_root).test
    with pytest.raises(DataError, match=r"labels\.csv, line 2"):
        labels_of(first)
    assert labels_of(second) == [1, 1, 0, 0, 0, 0]


@pytest.mark.parametrize("header", ["", "video;start;end", "name,start,end", "a,0,1"])
def test_wrong_header_is_reported(folder_root: Path, header: str) -> None:
    with pytest.raises(
        DataError, match=rf"labels\.csv.*header '{header}', expected 'video,start,end' or 'video,fr"
    ):
        folder_labels(folder_root, f"{header}\n")


def test_csv_of_another_encoding_is_reported(folder_root: Path) -> None:
    (folder_root / "labels.csv").write_bytes("video,start,end\nä,0,1\n".encode("latin-1"))
    with pytest.raises(DataError, match=r"labels\.csv: this is not a CSV file in UTF-8"):
        folder(folder_root)


def test_street_has_a_name_of_its_own(folder_root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("memguard.data.datasets.street.dataset.is_complete", lambda root: True)
    assert street(folder_root).name == "street"
    assert folder(folder_root).name == "folder"
