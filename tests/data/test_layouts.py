import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from scipy.io import savemat

from memguard.data.layouts import VIDEO_SUFFIXES, Benchmark, folder, labels_from_intervals, ped2
from memguard.data.video import as_video, frame_images
from memguard.errors import DataError


def write_frames(path: Path, count: int, suffix: str = ".jpg") -> Path:
    path.mkdir(parents=True)
    for number in range(count):
        Image.new("L", (64, 48), number).save(path / f"{number:03d}{suffix}")
    return path


def write_intervals(path: Path, videos: list[list[list[int]]]) -> None:
    """Write 2×n intervals per video, as bytes, as the data set does."""
    cells = np.empty((1, len(videos)), object)
    for number, spans in enumerate(videos):
        cells[0, number] = np.array(spans, np.uint8)
    savemat(path, {"gt": cells})


@pytest.fixture
def ped2_root(tmp_path: Path) -> Path:
    write_frames(tmp_path / "training" / "frames" / "01", 3)
    write_frames(tmp_path / "testing" / "frames" / "01", 5)
    write_frames(tmp_path / "testing" / "frames" / "02", 4)
    write_intervals(tmp_path / "ped2.mat", [[[1, 4], [2, 5]], [[2], [3]]])
    return tmp_path


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
    records = folder(root).test
    return {r.name: None if r.labels is None else r.labels.tolist() for r in records}


@given(st.data(), st.integers(1, 300))
def test_interval_labels_mark_exactly_the_union(data: st.DataObject, frames: int) -> None:
    starts, lengths = st.integers(0, frames - 1), st.integers(0, frames)
    spans = data.draw(st.lists(st.tuples(starts, lengths), max_size=5))
    intervals = [(start, min(start + length, frames - 1)) for start, length in spans]
    labels = labels_from_intervals(intervals, frames, "here")
    marked = {frame for start, end in intervals for frame in range(start, end + 1)}
    assert labels.dtype == np.uint8
    assert set(np.flatnonzero(labels)) == marked
    assert (len(labels), labels.sum()) == (frames, len(marked))


@pytest.mark.parametrize("interval", [(-1, 3), (4, 3), (0, 10), (10, 10)])
def test_interval_outside_its_video_is_told(interval: tuple[int, int]) -> None:
    with pytest.raises(DataError, match=r"^here: .*expected 0 <= start <= end <= 9"):
        labels_from_intervals([interval], 10, "here")


def test_real_ped2_agrees_with_the_labels_in_circulation(real_data: Path) -> None:
    benchmark = ped2(real_data / "ped2")
    assert (len(benchmark.train), len(benchmark.test)) == (16, 12)
    assert sum(len(frame_images(record.source)) for record in benchmark.train) == 2550
    assert all(record.labels is None for record in benchmark.train)
    labels = np.concatenate([record.labels for record in benchmark.test])
    assert (len(labels), labels.sum()) == (2010, 1648)
    expected = np.load(real_data / "labels" / "frame_labels_ped2.npy").ravel()
    np.testing.assert_array_equal(labels, expected)


def test_real_ped2_agrees_with_its_masks(real_data: Path) -> None:
    for record in ped2(real_data / "ped2").test:
        assert record.masks is not None
        marked = [np.asarray(Image.open(mask)).any() for mask in frame_images(record.masks)]
        np.testing.assert_array_equal(record.labels, marked, err_msg=record.name)


def test_ped2_counts_frames_from_zero(ped2_root: Path) -> None:
    write_frames(ped2_root / "testing" / "masks" / "02", 4, suffix=".png")
    benchmark = ped2(str(ped2_root))
    assert benchmark.name == "ped2"
    assert [record.name for record in benchmark.train] == ["01"]
    first, second = benchmark.test
    np.testing.assert_array_equal(first.labels, [1, 1, 0, 1, 1])
    np.testing.assert_array_equal(second.labels, [0, 1, 1, 0])
    assert first.masks is None
    assert second.masks == ped2_root / "testing" / "masks" / "02"


@pytest.mark.parametrize("spans", [[[0], [2]], [[2], [6]], [[3], [2]]])
def test_ped2_interval_outside_its_video_is_told(ped2_root: Path, spans: list[list[int]]) -> None:
    write_intervals(ped2_root / "ped2.mat", [spans, [[2], [3]]])
    with pytest.raises(DataError, match=r"ped2\.mat, test video 01: .*video of 5 frames"):
        ped2(ped2_root)


def test_ped2_number_of_videos_is_compared(ped2_root: Path) -> None:
    write_intervals(ped2_root / "ped2.mat", [[[1], [2]]])
    with pytest.raises(DataError, match=r"ped2\.mat: .*for 1 videos, expected 2 .*dataset\.root"):
        ped2(ped2_root)


@pytest.mark.parametrize("part", ["ped2.mat", "training", "testing/frames"])
def test_ped2_missing_part_is_told(ped2_root: Path, part: str) -> None:
    gone = ped2_root / part
    if gone.is_dir():
        shutil.rmtree(gone)
    else:
        gone.unlink()
    with pytest.raises(DataError, match=rf"{part}.*dataset\.root.*training/frames/NN") as error:
        ped2(ped2_root)
    assert str(error.value).startswith(str(ped2_root))


@pytest.mark.parametrize("content", [b"", b"not a MATLAB file\n" * 20])
def test_ped2_unreadable_labels_are_told(ped2_root: Path, content: bytes) -> None:
    (ped2_root / "ped2.mat").write_bytes(content)
    with pytest.raises(DataError, match=r"ped2\.mat: expected a MATLAB file"):
        ped2(ped2_root)


def test_ped2_labels_of_another_form_are_told(ped2_root: Path) -> None:
    savemat(ped2_root / "ped2.mat", {"gt": np.arange(3)})
    with pytest.raises(DataError, match=r"ped2\.mat: .*'gt'"):
        ped2(ped2_root)
    savemat(ped2_root / "ped2.mat", {"labels": np.arange(3)})
    with pytest.raises(DataError, match=r"ped2\.mat: .*'gt'"):
        ped2(ped2_root)


@pytest.mark.parametrize("layout", [ped2, folder])
def test_missing_root_is_told(tmp_path: Path, layout: Callable[[Path], Benchmark]) -> None:
    with pytest.raises(DataError, match=r"gone: there is no such folder; set dataset\.root"):
        layout(tmp_path / "gone")


def test_folder_takes_files_and_frame_folders_in_natural_order(folder_root: Path) -> None:
    video = as_video(folder_root / "test" / "a", folder_root / "cache")
    for suffix in sorted(VIDEO_SUFFIXES):
        shutil.copy(video, folder_root / "train" / f"{suffix[1:]}{suffix.upper()}")
    (folder_root / "train" / "notes.txt").touch()
    (folder_root / "train" / ".hidden.mp4").touch()
    benchmark = folder(str(folder_root), name="station")
    assert benchmark.name == "station"
    suffixes = [suffix[1:] for suffix in sorted(VIDEO_SUFFIXES)]
    assert [record.name for record in benchmark.train] == ["2", "10", *suffixes]
    assert [record.name for record in benchmark.test] == ["a", "b", "c"]
    assert all(record.labels is None for record in benchmark.test)


def test_folder_needs_one_split_only(folder_root: Path) -> None:
    (folder_root / "train").rename(folder_root / "elsewhere")
    assert (len(folder(folder_root).train), len(folder(folder_root).test)) == (0, 3)
    (folder_root / "elsewhere").rename(folder_root / "train")
    shutil.rmtree(folder_root / "test")
    assert (len(folder(folder_root).train), len(folder(folder_root).test)) == (2, 0)
    (folder_root / "test").mkdir()
    assert folder(folder_root).test == ()


@pytest.mark.parametrize("kept", [[], ["train"], ["test"], ["train", "test"]])
def test_folder_without_videos_is_told(tmp_path: Path, kept: list[str]) -> None:
    for split in kept:
        (tmp_path / split).mkdir()
        (tmp_path / split / "notes.txt").touch()
    with pytest.raises(DataError, match=r"train: found no video .*dataset\.root"):
        folder(tmp_path)


def test_folder_with_empty_train_is_told_even_with_a_test(folder_root: Path) -> None:
    shutil.rmtree(folder_root / "train")
    (folder_root / "train").mkdir()
    with pytest.raises(DataError, match=r"train: found no video"):
        folder(folder_root)


def test_folder_two_videos_of_one_name_are_told(folder_root: Path) -> None:
    (folder_root / "test" / "b.mp4").touch()
    with pytest.raises(DataError, match=r"test/b\.mp4: .*second video with the name 'b' beside b"):
        folder(folder_root)


def test_folder_finds_masks(folder_root: Path) -> None:
    masks = folder_root / "masks"
    write_frames(masks / "a", 6, suffix=".png")
    np.savez(masks / "b.npz", np.zeros((6, 48, 64), bool))
    expected = [masks / "a", masks / "b.npz", None]
    assert [record.masks for record in folder(folder_root).test] == expected


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
def test_wrong_interval_rows_are_told(folder_root: Path, rows: str, message: str) -> None:
    with pytest.raises(DataError, match=rf"labels\.csv, {message}"):
        folder_labels(folder_root, f"video,start,end\n{rows}\n")


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ("z,0,1", r", line 2: found the video 'z'"),
        ("a,0,0\na,6,1", r", line 3: found frame 6 of the video 'a', expected 0 to 5"),
        ("a,-1,1", r", line 2: found frame -1"),
        ("a,0,2", r", line 2: found label 2, expected 0 or 1"),
        ("a,0,x", r", line 2: label is 'x', expected a whole number"),
        ("a,0,0\na,0,0", r", line 3: found frame 0 of the video 'a' a second time"),
        ("a,0,0\na,1,1", r": found 2 labels for the video 'a', expected .* its 6 frames"),
    ],
)
def test_wrong_frame_rows_are_told(folder_root: Path, rows: str, message: str) -> None:
    with pytest.raises(DataError, match=rf"labels\.csv{message}"):
        folder_labels(folder_root, f"video,frame,label\n{rows}\n")


@pytest.mark.parametrize("header", ["", "video;start;end", "name,start,end", "a,0,1"])
def test_wrong_header_is_told(folder_root: Path, header: str) -> None:
    with pytest.raises(
        DataError, match=rf"labels\.csv.*header '{header}', expected 'video,start,end' or 'video,fr"
    ):
        folder_labels(folder_root, f"{header}\n")


def test_csv_of_another_encoding_is_told(folder_root: Path) -> None:
    (folder_root / "labels.csv").write_bytes("video,start,end\nä,0,1\n".encode("latin-1"))
    with pytest.raises(DataError, match=r"labels\.csv: this is not a CSV file in UTF-8"):
        folder(folder_root)
