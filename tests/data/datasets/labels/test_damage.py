"""Damaged label files return labels or raise a DataError."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from memguard.data.datasets.labels import (
    FrameArray,
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
from tests.data.datasets.labels.conftest import (
    PED1_SCRIPT,
    PED2_FRAMES,
    write_hdf5_cells,
    write_masks,
)


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
def test_damage_is_reported_or_harmless(
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
