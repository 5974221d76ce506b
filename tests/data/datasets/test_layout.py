"""Layouts: videos by name, and the errors that all datasets share."""

import os
import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from memguard.data.datasets.avenue import avenue
from memguard.data.datasets.benchmark import Benchmark, LabelsMissingError
from memguard.data.datasets.download import RELEASES
from memguard.data.datasets.folder import folder
from memguard.data.datasets.layout import VIDEO_SUFFIXES, named_videos
from memguard.data.datasets.shanghaitech import shanghaitech
from memguard.data.datasets.ucsd import ped1, ped2
from memguard.errors import DataError
from tests.data.datasets.conftest import all_labels, write_avenue_release, write_frames


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


def test_layouts_open_no_video(tmp_path: Path, shanghaitech_root: Path) -> None:
    write_avenue_release(tmp_path / "avenue", tmp_path / "avenue")
    (tmp_path / "avenue" / "testing_videos" / "08.avi").write_bytes(b"damaged")
    (shanghaitech_root / "training" / "videos" / "01_001.avi").write_bytes(b"damaged")
    for benchmark in (avenue(tmp_path / "avenue"), shanghaitech(shanghaitech_root)):
        assert pickle.loads(pickle.dumps(benchmark)) == benchmark


@pytest.mark.parametrize("layout", [ped1, ped2, avenue, shanghaitech, folder])
def test_missing_root_is_reported(tmp_path: Path, layout: Callable[[Path], Benchmark]) -> None:
    with pytest.raises(DataError, match=r"gone: there is no such folder; set dataset\.root"):
        layout(tmp_path / "gone")


@pytest.mark.parametrize("layout", [ped1, ped2, avenue])
def test_missing_root_of_an_open_release_can_be_downloaded(
    tmp_path: Path, layout: Callable[[Path], Benchmark]
) -> None:
    assert layout.__name__ in RELEASES
    command = f"or run python -m memguard.prepare dataset={layout.__name__} download=true$"
    with pytest.raises(DataError, match=command):
        layout(tmp_path / "gone")


@pytest.mark.parametrize("layout", [ped1, ped2, avenue, shanghaitech])
def test_root_without_videos_is_reported(
    tmp_path: Path, layout: Callable[[Path], Benchmark]
) -> None:
    with pytest.raises(DataError, match=r"found no videos here; set dataset\.root to the folder"):
        layout(tmp_path)


@pytest.mark.parametrize("layout", [ped1, ped2, avenue, shanghaitech])
def test_a_test_needs_no_training_videos(
    tmp_path: Path, layout: Callable[[Path], Benchmark]
) -> None:
    write_frames(tmp_path / "testing" / "frames" / "01_0014", 3)
    with pytest.raises(LabelsMissingError) as error:
        layout(tmp_path)
    benchmark = error.value.benchmark
    assert ([*benchmark.train], [r.name for r in benchmark.test]) == ([], ["01_0014"])
    # Videos that should be there and are not are another matter.
    (tmp_path / "training" / "frames").mkdir(parents=True)
    with pytest.raises(DataError, match="training/frames: found no videos here"):
        layout(tmp_path)


def test_suffixes_of_recorders_and_bare_streams_count_as_videos() -> None:
    suffixes = ".ts .m2ts .mts .flv .3gp .ogv .vob .h264 .264 .h265 .mjpeg"
    assert set(suffixes.split()) <= VIDEO_SUFFIXES


def test_a_name_that_is_not_in_utf8_is_refused_in_a_sentence(tmp_path: Path) -> None:
    try:
        (tmp_path / os.fsdecode(b"b\xff.mp4")).touch()
    except OSError:
        pytest.skip("this file system keeps names in UTF-8")
    (tmp_path / "ü.mp4").touch()
    with pytest.raises(DataError, match=r"b\ufffd\.mp4: the name of this video") as refusal:
        named_videos(tmp_path)
    assert str(refusal.value).isprintable()


@pytest.mark.parametrize("place", [".", "testing"])
@pytest.mark.parametrize(
    ("layout", "labels", "names"),
    [
        (ped1, "frame_labels_ped1.npy", ("01", "02")),
        (ped2, "frame_labels_ped2.npy", ("01", "02")),
        (avenue, "frame_labels_avenue.npy", ("01", "02")),
        (shanghaitech, "frame_labels_shanghai.npy", ("01_001", "01_0014")),
    ],
)
def test_tracks_lie_at_the_root_or_beside_the_test_videos(
    tmp_path: Path,
    layout: Callable[[Path], Benchmark],
    labels: str,
    names: tuple[str, str],
    place: str,
) -> None:
    for split, name in zip(("training", "testing"), names, strict=True):
        write_frames(tmp_path / split / "frames" / name, 3)
    np.save(tmp_path / labels, np.array([0, 1, 0]))
    (tmp_path / place / "tracks").mkdir()
    file = tmp_path / place / "tracks" / f"{names[1]}.txt"
    file.write_text("0,1,2,3,4,5\n")
    assert [record.tracks for record in layout(tmp_path).test] == [file]
    assert [record.tracks for record in layout(tmp_path).train] == [None]
