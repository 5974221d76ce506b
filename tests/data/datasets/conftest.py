"""Files of datasets that tests share."""

from collections.abc import Sequence
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image
from scipy.io import savemat

from memguard.data.datasets.benchmark import Benchmark, VideoRecord
from memguard.data.datasets.layout import count_frames


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


def write_avenue_release(root: Path, truth: Path) -> None:
    write_avi(root / "training_videos" / "01.avi", 3)
    marked = {"08": [1, 1, 1], "10": [0, 1, 0, 0]}
    for video, marks in marked.items():
        write_avi(root / "testing_videos" / f"{video}.avi", len(marks))
        masks = [np.full((6, 8), mark, np.uint8) for mark in marks]
        path = truth / "ground_truth_demo" / "testing_label_mask" / f"{int(video)}_label.mat"
        write_cells(path, "volLabel", masks)


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
