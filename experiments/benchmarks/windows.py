"""Measure the speed of loaders: ``python experiments/benchmarks/windows.py PED2_ROOT [WORKERS]``.

Windows of 5 frames at 256×256 grey from Ped2's training half, in batches of 4, side by side:

- ``opencv``: each window's five JPEGs read and resized by OpenCV, as in published code,
- ``decord``: a random window straight from a video with a key frame every 12 frames,
- ``stream``, ``disk``, ``ram``: memguard's, with ``dataset.cache`` none, disk and ram; the stream
  reads the videos that memguard converts the folders to,
- ``disk, anywhere``, ``ram, anywhere``: the same with ``data.stretch=1``.

The first two load in worker processes, memguard's in as many threads. The loaders take turns,
several times: other load on the machine then slows all of them alike.
"""

import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from statistics import median

import av
import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from memguard.data.clips.frame_cache import cache_in_memory, cache_on_disk
from memguard.data.clips.segments import STRETCH_WINDOWS, Frames, Segment
from memguard.data.clips.windows import ShuffledWindows
from memguard.data.video.frame_folders import as_video, frame_images
from memguard.data.video.reader import Video

LENGTH, SIZE, BATCH, ROUNDS = 5, 256, 4, 3
SECONDS = 6.0  # each loader runs so long in each round, its start left out

Place = tuple[Path, int]


class OpenCVWindows(Dataset[Tensor]):
    """Windows whose images are read and resized each time."""

    def __init__(self, folders: list[Path]) -> None:
        self.windows = [
            images[start : start + LENGTH]
            for images in map(frame_images, folders)
            for start in range(len(images) - LENGTH + 1)
        ]

    def __len__(self) -> int:
        """Count the windows."""
        return len(self.windows)

    def __getitem__(self, index: int) -> Tensor:
        """Read one window."""
        frames = [cv2.resize(_read(path), (SIZE, SIZE)) for path in self.windows[index]]
        return torch.from_numpy(np.stack(frames))


def _read(path: Path) -> NDArray[np.uint8]:
    frame = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
    if frame is None:
        raise FileNotFoundError(path)
    return frame.astype(np.uint8, copy=False)


def write_h264(folder: Path, target: Path) -> Path:
    """Write a folder's images as people usually have them: H.264, a key frame every 12 frames."""
    images = [_read(image) for image in frame_images(folder)]
    with av.open(str(target), "w") as container:
        stream = container.add_stream("libx264", rate=25, options={"g": "12"})
        stream.height, stream.width = images[0].shape
        for grey in images:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(grey, format="gray")))
        container.mux(stream.encode())
    return target


class DecordWindows(Dataset[Tensor]):
    """Windows that are sought in their video."""

    def __init__(self, videos: list[Video]) -> None:
        self.places = [(v, start) for v in videos for start in range(len(v) - LENGTH + 1)]

    def __len__(self) -> int:
        """Count the windows."""
        return len(self.places)

    def __getitem__(self, index: int) -> Tensor:
        """Decode one window."""
        video, start = self.places[index]
        return video.frames(range(start, start + LENGTH))


def naive(windows: Dataset[Tensor], workers: int) -> Iterator[Tensor]:
    """Yield a naive loader's batches for ever."""
    while True:
        yield from DataLoader(windows, batch_size=BATCH, shuffle=True, num_workers=workers)


def ours(videos: list[Frames], workers: int, stretch: int = STRETCH_WINDOWS) -> Iterator[Tensor]:
    """Yield memguard's batches for ever, epoch after epoch."""
    segments = [Segment(video, n, range(len(video))) for n, video in enumerate(videos)]
    epoch = 0
    while True:
        windows = ShuffledWindows(
            segments,
            length=LENGTH,
            batch_size=BATCH,
            seed=0,
            epoch=epoch,
            threads=workers,
            stretch=stretch,
        )
        for batch in windows:
            yield batch.frames
        epoch += 1


def windows_per_second(batches: Iterator[Tensor]) -> float:
    """Count what a running loader hands over, its start and its first batches left out."""
    for _ in islice(batches, 8):
        pass
    count, start = 0, time.perf_counter()
    while (elapsed := time.perf_counter() - start) < SECONDS:
        count += len(next(batches))
    return count / elapsed


def measure(root: Path, workers: int) -> dict[str, list[float]]:
    """Time each loader in turn, and all of them several times."""
    folders = sorted(path for path in (root / "training" / "frames").iterdir() if path.is_dir())
    with tempfile.TemporaryDirectory() as scratch:
        cache = Path(scratch)
        videos = [Video(as_video(folder, cache), frame_size=SIZE, channels=1) for folder in folders]
        usual = [
            Video(write_h264(folder, cache / f"{folder.name}.mp4"), frame_size=SIZE, channels=1)
            for folder in folders
        ]
        disk = [cache_on_disk(video, cache) for video in videos]
        memory = [cache_in_memory(video) for video in videos]
        loaders: dict[str, Callable[[], Iterator[Tensor]]] = {
            "opencv": lambda: naive(OpenCVWindows(folders), workers),
            "decord": lambda: naive(DecordWindows(usual), workers),
            "stream": lambda: ours(list(videos), workers),
            "disk": lambda: ours(list(disk), workers),
            "ram": lambda: ours(list(memory), workers),
            "disk, anywhere": lambda: ours(list(disk), workers, stretch=1),
            "ram, anywhere": lambda: ours(list(memory), workers, stretch=1),
        }
        speeds: dict[str, list[float]] = {name: [] for name in loaders}
        for _ in range(ROUNDS):
            for name, loader in loaders.items():
                speeds[name].append(windows_per_second(loader()))
    return speeds


def main() -> None:
    """Print the table."""
    if not 2 <= len(sys.argv) <= 3:
        sys.exit(__doc__)
    workers = int(sys.argv[2]) if len(sys.argv) == 3 else 2
    speeds = measure(Path(sys.argv[1]), workers)
    table = Table(title=f"{LENGTH}-frame windows at {SIZE}×{SIZE}, {workers} workers or threads")
    for column in ("loader", "windows/s", "lowest", "highest", "× opencv", "× decord"):
        table.add_column(column, justify="left" if column == "loader" else "right")
    for name, values in speeds.items():
        ratios = [
            median(a / b for a, b in zip(values, speeds[other], strict=True))
            for other in ("opencv", "decord")
        ]
        numbers = (median(values), min(values), max(values))
        table.add_row(name, *(f"{n:.0f}" for n in numbers), *(f"{ratio:.2f}" for ratio in ratios))
    Console().print(table)


if __name__ == "__main__":
    main()
