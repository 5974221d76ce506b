"""Label files: what they say of each video, and what is told of bad ones."""

import pickle
from collections.abc import Callable, Sequence
from pathlib import Path

import h5py
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image
from scipy.io import savemat

from memguard.data.datasets.labels import (
    FrameArray,
    FrameLabels,
    Interval,
    Intervals,
    Labels,
    MaskCells,
    MaskImages,
    read_concatenated,
    read_csv,
    read_matlab_intervals,
    read_matlab_script,
)
from memguard.errors import DataError

PED2_LENGTHS = (180, 180, 150, 180, 150, 180, 180, 180, 120, 150, 180, 180)
PED2_FRAMES = {f"{number:02d}": length for number, length in enumerate(PED2_LENGTHS, 1)}

PED1_SCRIPT = """TestVideoFile = {};
TestVideoFile{end+1}.gt_frame = [60:152];
TestVideoFile{end+1}.gt_frame = [5:90, 140:200];
% TestVideoFile{end+1}.gt_frame = [1:2];
TestVideoFile{end+1}.gt_frame = [7];
TestVideoFile{end+1}.gt_frame = [];
"""


def write_cells(path: Path, name: str, arrays: Sequence[np.ndarray]) -> Path:
    """Write a cell array as MATLAB did until version 7."""
    cells = np.empty((1, len(arrays)), object)
    for number, array in enumerate(arrays):
        cells[0, number] = array
    savemat(path, {name: cells}, do_compression=True)
    return path


def write_hdf5_cells(path: Path, name: str, arrays: Sequence[np.ndarray]) -> Path:
    """Write a cell array as MATLAB does since version 7.3: HDF5 behind a block of its own."""
    with h5py.File(path, "w", userblock_size=512) as file:
        cells = file.create_dataset(name, (len(arrays), 1), h5py.ref_dtype)
        cells.attrs["MATLAB_class"] = np.bytes_("cell")
        for number, array in enumerate(arrays):
            content = array.T if array.size else np.array(array.shape, np.uint64)
            part = file.create_dataset(f"#refs#/{number}", data=content)
            part.attrs["MATLAB_class"] = np.bytes_(array.dtype.name)
            if not array.size:
                part.attrs["MATLAB_empty"] = np.uint8(1)
            cells[number, 0] = part.ref
    header = b"MATLAB 7.3 MAT-file, Platform: GLNXA64".ljust(124) + b"\0\2IM"
    path.write_bytes(header + path.read_bytes()[len(header) :])
    return path


def write_masks(folder: Path, marked: Sequence[bool], name: str = "{:03d}.bmp") -> Path:
    """Write masks as UCSD's release has them: 8 bits, white where something is anomalous."""
    folder.mkdir(parents=True)
    for number, mark in enumerate(marked, 1):
        mask = np.zeros((16, 24), np.uint8)
        mask[3, 5] = 255 * mark
        Image.fromarray(mask).save(folder / name.format(number))
    return folder


CELL_WRITERS = pytest.mark.parametrize("write", [write_cells, write_hdf5_cells])


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
def test_interval_outside_its_video_is_told(interval: tuple[int, int]) -> None:
    with pytest.raises(DataError, match=r"^here: .*expected 0 <= start <= end <= 9"):
        Intervals((Interval(*interval, "here"),))(10)


def test_real_ped2_intervals_are_the_array_in_circulation(real_data: Path) -> None:
    intervals = read_matlab_intervals(real_data / "ped2" / "ped2.mat", list(PED2_FRAMES))
    array = read_concatenated(real_data / "labels" / "frame_labels_ped2.npy", PED2_FRAMES)
    for video, frames in PED2_FRAMES.items():
        np.testing.assert_array_equal(intervals[video](frames), array[video](frames), video)
    assert sum(array[video](frames).sum() for video, frames in PED2_FRAMES.items()) == 1648


@pytest.mark.parametrize(
    ("name", "frames", "anomalous"),
    [("ped2", 2010, 1648), ("avenue", 15324, 3867), ("shanghai", 40791, 17326)],
)
def test_real_arrays_have_their_known_totals(
    real_data: Path, name: str, frames: int, anomalous: int
) -> None:
    path = real_data / "labels" / f"frame_labels_{name}.npy"
    labels = read_concatenated(path, {"all": frames})["all"](frames)
    assert (labels.dtype, labels.sum()) == (np.uint8, anomalous)


def test_real_avenue_masks_mark_every_frame_of_video_08(real_data: Path) -> None:
    masks = MaskCells(real_data / "avenue/ground_truth_demo/testing_label_mask/8_label.mat")
    assert masks(36).tolist() == [1] * 36
    with pytest.raises(DataError, match=r"8_label\.mat: found 36 labels, .* the 37 frames"):
        masks(37)


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
def test_matlab_masks_of_any_version_mark_frames(
    tmp_path: Path, write: Callable[..., Path]
) -> None:
    masks = np.zeros((3, 8, 12), np.uint8)
    masks[1, 2, 3] = 1
    path = write(tmp_path / "8_label.mat", "volLabel", list(masks))
    assert MaskCells(path)(3).tolist() == [0, 1, 0]


@CELL_WRITERS
def test_matlab_file_of_other_content_is_told(tmp_path: Path, write: Callable[..., Path]) -> None:
    path = write(tmp_path / "x.mat", "other", [np.ones((2, 2))])
    with pytest.raises(DataError, match=r"x\.mat: expected .*'gt'"):
        read_matlab_intervals(path, ["01"])
    with pytest.raises(DataError, match=r"x\.mat: expected .*'volLabel'"):
        MaskCells(path)(1)


@pytest.mark.parametrize("content", [np.arange(3), np.ones((2, 2)), "text"])
def test_matlab_intervals_of_another_form_are_told(tmp_path: Path, content: object) -> None:
    savemat(tmp_path / "x.mat", {"gt": content})
    with pytest.raises(DataError, match=r"x\.mat: expected .*'gt'"):
        read_matlab_intervals(tmp_path / "x.mat", ["01"])


@pytest.mark.parametrize("content", [b"", b"not a MATLAB file\n" * 20])
def test_what_is_no_matlab_file_is_told(tmp_path: Path, content: bytes) -> None:
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
def test_script_line_of_another_form_is_told(tmp_path: Path, entry: str) -> None:
    path = tmp_path / "UCSDped1.m"
    path.write_text(f"TestVideoFile{{end+1}}.gt_frame = {entry};\n")
    with pytest.raises(DataError, match=r"UCSDped1\.m: expected a MATLAB script"):
        read_matlab_script(path, ["1"])


@pytest.mark.parametrize("videos", [["1"], ["1", "2", "3", "4", "5"]])
def test_labels_for_another_number_of_videos_are_told(tmp_path: Path, videos: list[str]) -> None:
    (tmp_path / "x.m").write_text(PED1_SCRIPT)
    mat = write_cells(tmp_path / "x.mat", "gt", [np.array([[1], [2]])] * 4)
    message = rf": found intervals for 4 videos, expected {len(videos)}"
    with pytest.raises(DataError, match=r"x\.m" + message):
        read_matlab_script(tmp_path / "x.m", videos)
    with pytest.raises(DataError, match=r"x\.mat" + message):
        read_matlab_intervals(mat, videos)


@pytest.mark.parametrize("shape", [(9,), (1, 9), (9, 1)])
def test_concatenated_array_is_dealt_out_in_order(tmp_path: Path, shape: tuple[int, ...]) -> None:
    values = np.array([0, 1, 1, 0, 0, 0, 0, 1, 0], np.int8)
    np.save(tmp_path / "x.npy", values.reshape(shape))
    labels = read_concatenated(tmp_path / "x.npy", {"a": 3, "b": 2, "c": 4})
    assert [labels[v](n).tolist() for v, n in (("a", 3), ("b", 2), ("c", 4))] == [
        [0, 1, 1], [0, 0], [0, 0, 1, 0]
    ]  # fmt: skip


@pytest.mark.parametrize("frames", [8, 10])
def test_concatenated_array_of_another_length_is_told(tmp_path: Path, frames: int) -> None:
    np.save(tmp_path / "x.npy", np.zeros(9))
    with pytest.raises(DataError, match=rf"x\.npy: found 9 labels, expected {frames}, .*2 videos"):
        read_concatenated(tmp_path / "x.npy", {"a": 3, "b": frames - 3})


@pytest.mark.parametrize(
    "values", [np.array([0, 2]), np.array([0.5]), np.zeros((2, 2)), np.array(["a"])]
)
def test_array_of_another_form_is_told(tmp_path: Path, values: np.ndarray) -> None:
    np.save(tmp_path / "01_0014.npy", values)
    with pytest.raises(DataError, match=r"01_0014\.npy: expected a NumPy array with a 0 or 1"):
        FrameArray(tmp_path / "01_0014.npy")(values.size)


def test_array_of_one_video_must_have_its_length(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.array([False, True]))
    labels = FrameArray(tmp_path / "x.npy")
    assert labels(2).tolist() == [0, 1]
    for frames in (1, 3):
        with pytest.raises(DataError, match=rf"x\.npy: found 2 labels, .* the {frames} frames"):
            labels(frames)


def test_pickled_objects_are_never_loaded(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.array([0, 1], object), allow_pickle=True)
    with pytest.raises(DataError, match=r"x\.npy: expected a NumPy array"):
        FrameArray(tmp_path / "x.npy")(2)


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


@pytest.mark.parametrize("reader", [FrameArray, MaskCells, MaskImages])
def test_missing_labels_are_told(tmp_path: Path, reader: Callable[[Path], Labels]) -> None:
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


@st.composite
def damaged(draw: st.DrawFn, content: bytes) -> bytes:
    """Cut a file off, change some of its bytes, or both; headers are hit as often as the rest."""
    size = len(content)
    place = st.integers(0, min(size, 700) - 1) | st.integers(0, size - 1)
    changes = draw(st.lists(st.tuples(place, st.integers(0, 255)), min_size=1, max_size=8))
    changed = bytearray(content)
    for position, byte in changes:
        changed[position] = byte
    cut = draw(st.just(size) | place)
    return bytes(changed[:cut])


def ped2_video(path: Path) -> Labels:
    return read_matlab_intervals(path, list(PED2_FRAMES))["12"]


def ped2_part(path: Path) -> Labels:
    return read_concatenated(path, PED2_FRAMES)["12"]


def script_video(path: Path) -> Labels:
    return read_matlab_script(path, ["1", "2", "3", "4"])["2"]


def hdf5_video(path: Path) -> Labels:
    return read_matlab_intervals(path, ["01"])["01"]


def csv_video(path: Path) -> Labels:
    unlabelled = Intervals(())
    return read_csv(path, ["01"]).get("01", unlabelled)


def mask_image(path: Path) -> Labels:
    return MaskImages(path.parent)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "read", "frames"),
    [
        ("ped2.mat", ped2_video, 180),
        ("8_label.mat", MaskCells, 36),
        ("v73.mat", hdf5_video, 180),
        ("v73_label.mat", MaskCells, 2),
        ("frame_labels_ped2.npy", ped2_part, 180),
        ("01_0014.npy", FrameArray, 40),
        ("UCSDped1.m", script_video, 200),
        ("intervals.csv", csv_video, 180),
        ("frames.csv", csv_video, 6),
        ("001.bmp", mask_image, 1),
    ],
)
@settings(max_examples=120, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_damage_is_told_or_harmless(
    request: pytest.FixtureRequest,
    tmp_path: Path,
    name: str,
    read: Callable[[Path], Labels],
    frames: int,
    data: st.DataObject,
) -> None:
    """Whatever happens to a label file, it gives labels or a DataError."""
    whole = tmp_path / "whole" / name
    if not whole.exists():
        write_whole(whole, request)
        assert read(whole)(frames).shape == (frames,)
    path = tmp_path / "damaged" / name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(data.draw(damaged(whole.read_bytes())))
    try:
        labels = read(path)(frames)
    except DataError:
        return
    assert (labels.dtype, labels.shape) == (np.uint8, (frames,))
    assert set(labels.tolist()) <= {0, 1}


def write_whole(path: Path, request: pytest.FixtureRequest) -> None:
    """Copy a real label file, or write one of the real form."""
    path.parent.mkdir()
    real = {
        "ped2.mat": "ped2/ped2.mat",
        "8_label.mat": "avenue/ground_truth_demo/testing_label_mask/8_label.mat",
        "frame_labels_ped2.npy": "labels/frame_labels_ped2.npy",
    }
    if path.name in real:
        real_data: Path = request.getfixturevalue("real_data")
        path.write_bytes((real_data / real[path.name]).read_bytes())
    elif path.name == "v73.mat":
        write_hdf5_cells(path, "gt", [np.array([[61], [180]], np.uint8)])
    elif path.name == "v73_label.mat":
        write_hdf5_cells(path, "volLabel", [np.zeros((4, 6), np.uint8), np.ones((4, 6), np.uint8)])
    elif path.name == "01_0014.npy":
        np.save(path, np.arange(40) % 2)
    elif path.name == "UCSDped1.m":
        path.write_text(PED1_SCRIPT)
    elif path.name == "intervals.csv":
        path.write_text("video,start,end\n01,0,90\n01,140,179\n")
    elif path.name == "frames.csv":
        path.write_text("video,frame,label\n" + "".join(f"01,{n},{n % 2}\n" for n in range(6)))
    else:
        write_masks(path.parent / "masks", [True])
        path.write_bytes((path.parent / "masks" / "001.bmp").read_bytes())
