"""Layouts: what is found of a dataset in each of the trees that it comes in, and what is told."""

import os
import pickle
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image
from scipy.io import savemat

from memguard.data.datasets import layouts
from memguard.data.datasets.labels import MaskImages
from memguard.data.datasets.layouts import (
    VIDEO_SUFFIXES,
    Benchmark,
    LabelsMissingError,
    VideoRecord,
    avenue,
    count_frames,
    folder,
    named_videos,
    ped1,
    ped2,
    shanghaitech,
)
from memguard.data.video.frame_folders import as_video, frame_images
from memguard.errors import ConfigError, DataError


def write_frames(path: Path, count: int, suffix: str = ".jpg") -> Path:
    path.mkdir(parents=True)
    for number in range(count):
        Image.new("L", (64, 48), number).save(path / f"{number:03d}{suffix}")
    return path


def write_masks(path: Path, marked: Sequence[int], name: str = "{:03d}.bmp") -> None:
    path.mkdir(parents=True)
    for number, mark in enumerate(marked, 1):
        Image.new("L", (64, 48), 255 * mark).save(path / name.format(number))


def write_avi(path: Path, count: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for level in range(count):
            pixels = np.full((48, 64, 3), level, np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        container.mux(stream.encode())


def write_cells(path: Path, name: str, arrays: Sequence[np.ndarray]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    cells = np.empty((1, len(arrays)), object)
    for number, array in enumerate(arrays):
        cells[0, number] = array
    savemat(path, {name: cells})


def write_intervals(path: Path, videos: list[list[list[int]]]) -> None:
    """Write 2×n intervals per video, as bytes, as the data set does."""
    write_cells(path, "gt", [np.array(spans, np.uint8) for spans in videos])


def labels_of(record: VideoRecord) -> list[int] | None:
    return record.labels(count_frames(record.source)).tolist() if record.labels else None


def all_labels(benchmark: Benchmark) -> dict[str, list[int] | None]:
    return {record.name: labels_of(record) for record in benchmark.test}


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


@pytest.mark.parametrize("layout", ["ped2", "avenue", "shanghaitech"])
def test_where_labels_are_missing_the_videos_are_there_without_them(
    tmp_path: Path, layout: str
) -> None:
    names = {"shanghaitech": ("01_001", "01_0014")}.get(layout, ("01", "02"))
    for split, name in zip(("training", "testing"), names, strict=True):
        write_frames(tmp_path / split / "frames" / name, 3)
    read: dict[str, Callable[[Path], Benchmark]] = {
        "ped2": ped2, "avenue": avenue, "shanghaitech": shanghaitech,
    }  # fmt: skip
    with pytest.raises(
        LabelsMissingError, match=r"the labels are missing; set dataset\.root"
    ) as error:
        read[layout](tmp_path)
    benchmark = error.value.benchmark
    assert benchmark.name == layout
    assert [record.name for record in benchmark.train] == [names[0]]
    assert all_labels(benchmark) == {names[1]: None}


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
def test_interval_outside_its_video_is_told_of_that_video_alone(
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


@pytest.mark.parametrize("part", ["ped2.mat", "training", "testing/frames"])
def test_ped2_missing_part_is_told(ped2_root: Path, part: str) -> None:
    gone = ped2_root / part
    if gone.is_dir():
        shutil.rmtree(gone)
    else:
        gone.unlink()
    with pytest.raises(
        DataError, match=r"dataset\.root.*UCSDped2/Train.*training/frames/NN"
    ) as told:
        ped2(ped2_root)
    assert str(ped2_root) in str(told.value)


def write_avenue_release(root: Path, truth: Path) -> None:
    write_avi(root / "training_videos" / "01.avi", 3)
    marked = {"08": [1, 1, 1], "10": [0, 1, 0, 0]}
    for video, marks in marked.items():
        write_avi(root / "testing_videos" / f"{video}.avi", len(marks))
        masks = [np.full((6, 8), mark, np.uint8) for mark in marks]
        path = truth / "ground_truth_demo" / "testing_label_mask" / f"{int(video)}_label.mat"
        write_cells(path, "volLabel", masks)


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
    for asked, labels in (
        ("masks", AVENUE_MASKS), ("intervals", AVENUE_INTERVALS), (None, AVENUE_INTERVALS)
    ):  # fmt: skip
        benchmark = avenue(tmp_path, labels=asked)
        assert all_labels(benchmark) == labels
        assert benchmark.label_set == (asked or "intervals")


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


def test_avenue_masks_of_no_video_are_told_and_missing_ones_where_they_are_used(
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


SHANGHAITECH_LABELS = {"01_0014": [0, 1, 1], "12_0142": [1, 0, 0, 0]}


@pytest.fixture
def shanghaitech_root(tmp_path: Path) -> Path:
    write_avi(tmp_path / "training" / "videos" / "01_001.avi", 3)
    testing = tmp_path / "testing"
    for part in ("test_frame_mask", "test_pixel_mask"):
        (testing / part).mkdir(parents=True)
    for video, labels in SHANGHAITECH_LABELS.items():
        write_frames(testing / "frames" / video, len(labels))
        np.save(testing / "test_frame_mask" / f"{video}.npy", np.array(labels, np.int8))
    np.save(testing / "test_pixel_mask" / "12_0142.npy", np.zeros((4, 48, 64), np.int8))
    return tmp_path


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


def test_shanghaitech_label_file_of_no_video_is_told(shanghaitech_root: Path) -> None:
    shutil.rmtree(shanghaitech_root / "testing" / "frames" / "01_0014")
    with pytest.raises(
        DataError, match=r"01_0014\.npy: found labels for a video that is not there"
    ):
        shanghaitech(shanghaitech_root)


def test_layouts_open_no_video(tmp_path: Path, shanghaitech_root: Path) -> None:
    write_avenue_release(tmp_path / "avenue", tmp_path / "avenue")
    (tmp_path / "avenue" / "testing_videos" / "08.avi").write_bytes(b"damaged")
    (shanghaitech_root / "training" / "videos" / "01_001.avi").write_bytes(b"damaged")
    for benchmark in (avenue(tmp_path / "avenue"), shanghaitech(shanghaitech_root)):
        assert pickle.loads(pickle.dumps(benchmark)) == benchmark


@pytest.mark.parametrize("layout", [ped1, ped2, avenue, shanghaitech, folder])
def test_missing_root_is_told(tmp_path: Path, layout: Callable[[Path], Benchmark]) -> None:
    with pytest.raises(DataError, match=r"gone: there is no such folder; set dataset\.root"):
        layout(tmp_path / "gone")


@pytest.mark.parametrize("layout", [ped1, ped2, avenue, shanghaitech])
def test_root_without_videos_is_told(tmp_path: Path, layout: Callable[[Path], Benchmark]) -> None:
    with pytest.raises(DataError, match=r"found no videos here; set dataset\.root to the folder"):
        layout(tmp_path)


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
    assert benchmark.no_videos == (folder_root / "train" / "notes.txt",)


def test_suffixes_of_recorders_and_bare_streams_count_as_videos() -> None:
    suffixes = ".ts .m2ts .mts .flv .3gp .ogv .vob .h264 .264 .h265 .mjpeg"
    assert set(suffixes.split()) <= VIDEO_SUFFIXES


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
        ("a,0,0\na,6,1", r", line 3: found frame 6, expected 0 to 5"),
        ("a,-1,1", r", line 2: found frame -1"),
        ("a,0,2", r", line 2: found label 2, expected 0 or 1"),
        ("a,0,x", r", line 2: label is 'x', expected a whole number"),
        ("a,0,0\na,0,0", r", line 3: found frame 0 a second time"),
        ("a,0,0\na,1,1", r", video a: found 2 labels, expected .* the 6 frames"),
    ],
)
def test_wrong_frame_rows_are_told(folder_root: Path, rows: str, message: str) -> None:
    with pytest.raises(DataError, match=rf"labels\.csv{message}"):
        folder_labels(folder_root, f"video,frame,label\n{rows}\n")


def test_wrong_row_is_told_of_its_video_alone(folder_root: Path) -> None:
    (folder_root / "labels.csv").write_text("video,start,end\na,0,6\nb,0,1\n")
    first, second, _ = folder(folder_root).test
    with pytest.raises(DataError, match=r"labels\.csv, line 2"):
        labels_of(first)
    assert labels_of(second) == [1, 1, 0, 0, 0, 0]


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


def test_the_street_scene_is_told_from_a_folder_of_ones_own(
    folder_root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(layouts, "is_complete", lambda root: True)
    assert layouts.street(folder_root).name == "street"
    assert folder(folder_root).name == "folder"


def test_a_name_that_is_not_in_utf8_is_refused_in_a_sentence(tmp_path: Path) -> None:
    try:
        (tmp_path / os.fsdecode(b"b\xff.mp4")).touch()
    except OSError:
        pytest.skip("this file system keeps names in UTF-8")
    (tmp_path / "ü.mp4").touch()
    with pytest.raises(DataError, match=r"b\ufffd\.mp4: the name of this video") as refusal:
        named_videos(tmp_path)
    assert str(refusal.value).isprintable()
