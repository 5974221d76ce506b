"""Labels in NumPy files."""

from pathlib import Path

import numpy as np
import pytest

from memguard.data.datasets.labels import FrameArray, read_concatenated
from memguard.errors import DataError


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


@pytest.mark.parametrize("shape", [(9,), (1, 9), (9, 1)])
def test_concatenated_array_is_dealt_out_in_order(tmp_path: Path, shape: tuple[int, ...]) -> None:
    values = np.array([0, 1, 1, 0, 0, 0, 0, 1, 0], np.int8)
    np.save(tmp_path / "x.npy", values.reshape(shape))
    labels = read_concatenated(tmp_path / "x.npy", {"a": 3, "b": 2, "c": 4})
    assert [labels[v](n).tolist() for v, n in (("a", 3), ("b", 2), ("c", 4))] == [
        [0, 1, 1], [0, 0], [0, 0, 1, 0]
    ]  # fmt: skip


@pytest.mark.parametrize("frames", [8, 10])
def test_concatenated_array_of_another_length_is_reported(tmp_path: Path, frames: int) -> None:
    np.save(tmp_path / "x.npy", np.zeros(9))
    with pytest.raises(DataError, match=rf"x\.npy: found 9 labels, expected {frames}, .*2 videos"):
        read_concatenated(tmp_path / "x.npy", {"a": 3, "b": frames - 3})


@pytest.mark.parametrize(
    "values", [np.array([0, 2]), np.array([0.5]), np.zeros((2, 2)), np.array(["a"])]
)
def test_array_of_another_form_is_reported(tmp_path: Path, values: np.ndarray) -> None:
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
