"""Normal windows that a quantisation is calibrated on, and those that it is compared on."""

from pathlib import Path

import numpy as np
import pytest

from memguard.convert import quantisation
from memguard.convert.quantisation import normal_windows, parted
from memguard.errors import DataError
from tests.conftest import moving_square, small_detector, write_video
from tests.convert.test_exporting import described

DESCRIBED = described(small_detector()).model_copy(update={"length": 3})


def test_windows_are_spread_evenly_over_all_videos(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(quantisation, "WINDOWS", 25)
    for name, frames in {"a": 2, "b": 12, "c": 41}.items():  # 0, 10 and 39 windows
        write_video(tmp_path / f"{name}.mp4", np.full((frames, 64, 96, 3), 3 * frames, np.uint8))
    windows = normal_windows(tmp_path, tmp_path, DESCRIBED)
    assert windows.shape == (25, 3, 32, 48, 1)
    assert windows.dtype == np.uint8
    of_b = np.abs(windows.astype(int) - 36).max(axis=(1, 2, 3, 4)) < 10
    assert of_b.tolist() == [True] * 5 + [False] * 20


def test_the_frames_of_a_window_follow_one_another(tmp_path: Path) -> None:
    video = write_video(tmp_path / "door.mp4", moving_square(30))
    windows = normal_windows(video, tmp_path, DESCRIBED)
    assert len(windows) == 28
    np.testing.assert_array_equal(windows[:-1, 1:], windows[1:, :-1])
    assert (windows[0, 0] != windows[0, 1]).any()


def test_every_eleventh_window_is_compared_and_calibrates_nothing() -> None:
    calibrating, compared = parted(np.arange(30))
    assert compared.tolist() == [5, 16, 27]
    assert sorted([*calibrating, *compared]) == list(range(30))


def test_video_that_is_missing_or_too_short_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"none\.mp4: there is no such file or folder; set video"):
        normal_windows(tmp_path / "none.mp4", tmp_path, DESCRIBED)
    short = write_video(tmp_path / "short.mp4", moving_square(20))
    with pytest.raises(DataError, match=r"short\.mp4 holds 18 windows, too few for precision=int8"):
        normal_windows(short, tmp_path, DESCRIBED)
