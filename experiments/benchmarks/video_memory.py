"""Measure memory by the size of pictures: ``python experiments/benchmarks/video_memory.py``.

Stream generated H.264 of 640×360, 1920×1080 and 3840×2160, with a key frame every 25 and every 250
frames, each case in a process of its own, and print the resident memory along the way:

- ``windows``: shuffled training windows of eight files, two threads;
- ``by_decord``: the same, read by decord alone, one reader per file and thread, at most eight: it
  decodes ahead without bound, and is stopped at `LIMIT_MIB`;
- ``in_order``: one file from its beginning to its end, as ``memguard.score`` reads it.
"""

import tempfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import lru_cache
from itertools import islice
from multiprocessing import get_context
from pathlib import Path
from threading import get_ident

import av
import decord
import numpy as np
import torch
from rich.console import Console
from rich.progress import track
from rich.table import Table
from stream_memory import _resident_mib, linked

from memguard.data.clips.segments import Frames, Segment
from memguard.data.clips.windows import ShuffledWindows
from memguard.data.video.reader import OPEN_READERS, Video, fit
from memguard.data.video.stream import VideoStream

# Width, height, frames.
SIZES = {"360p": (640, 360, 1500), "1080p": (1920, 1080, 500), "4K": (3840, 2160, 150)}
KEY_FRAMES = (25, 250)
FILES, BATCH, SIZE = 8, 4, 256
BATCHES = 200
LIMIT_MIB = 4096


def write_video(path: Path, width: int, height: int, frames: int, key_frames: int) -> Path:
    """Film a street of blurred colours from a camera that sways, with a box that crosses it."""
    rng = np.random.default_rng(0)
    coarse = rng.integers(0, 256, (height // 16 + 20, width // 16 + 20, 3), np.uint8)
    ground = coarse.repeat(16, axis=0).repeat(16, axis=1)
    options = {"preset": "ultrafast", "g": str(key_frames), "sc_threshold": "0"}
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25, options=options)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        for number in range(frames):
            top, left = (int(100 + 90 * np.sin(number / pace)) for pace in (40, 55))
            picture = ground[top : top + height, left : left + width].copy()
            across = 7 * number % (width - width // 8)
            picture[height // 3 : height // 2, across : across + width // 8] = (200, 40, 60)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode())
    return path


class DecordVideo:
    """A video that decord alone reads."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __len__(self) -> int:
        """Count the frames."""
        return len(Video(self.path))

    def frames(self, indices: range) -> torch.Tensor:
        """Decode frames, a few at a time."""
        parts = [indices[at : at + 4] for at in range(0, len(indices), 4)]
        reader = _reader(self.path, get_ident())
        decoded = (p for part in parts for p in reader.get_batch(part).asnumpy())
        return fit(decoded, frame_size=SIZE, channels=3)


@lru_cache(maxsize=OPEN_READERS)
def _reader(path: Path, thread: int) -> decord.VideoReader:
    return decord.VideoReader(str(path), ctx=decord.cpu(0), num_threads=1)


def windows(paths: list[Path]) -> Iterator[object]:
    """Stream training windows, as memguard does."""
    return _shuffled([Video(path, frame_size=SIZE) for path in paths])


def by_decord(paths: list[Path]) -> Iterator[object]:
    """Stream training windows, with decord alone."""
    return _shuffled([DecordVideo(path) for path in paths])


def _shuffled(videos: Sequence[Frames]) -> Iterator[object]:
    parts = [Segment(video, n, range(len(video))) for n, video in enumerate(videos)]
    shuffled = ShuffledWindows(parts, length=5, batch_size=BATCH, seed=0, epoch=0, threads=2)
    return islice(shuffled, BATCHES)


def in_order(paths: list[Path]) -> Iterator[object]:
    """Read one file from its beginning to its end."""
    return iter(VideoStream(paths[0]))


def readings(read: Callable[[list[Path]], Iterator[object]], paths: list[Path]) -> list[float]:
    """Measure the resident memory in MiB at the start and after each step, up to the limit."""
    found = [_resident_mib()]
    for _ in read(paths):
        found.append(_resident_mib())
        if found[-1] > LIMIT_MIB:
            break
    return found


def main() -> None:
    """Stream every case, and print the table."""
    table = Table(title="Resident memory, MiB")
    for column in ("pictures", "key frame each", "read"):
        table.add_column(column)
    for column in ("start", "at 10 %", "at 50 %", "end", "highest"):
        table.add_column(column, justify="right")
    cases = [(name, key_frames) for name in SIZES for key_frames in KEY_FRAMES]
    for name, key_frames in track(cases, "Streaming"):
        with tempfile.TemporaryDirectory() as scratch:
            video = write_video(Path(scratch) / "video.mp4", *SIZES[name], key_frames)
            paths = linked(video, Path(scratch) / "videos", FILES)
            for read in (windows, by_decord, in_order):
                # A process of its own: memory that one case leaves behind is not another's.
                with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
                    found = pool.submit(readings, read, paths).result()
                end = len(found) - 1
                shown = [found[place] for place in (0, end // 10, end // 2, end)] + [max(found)]
                stopped = "" if max(found) <= LIMIT_MIB else ", stopped"
                numbers = [f"{value:.0f}" for value in shown]
                table.add_row(name, str(key_frames), read.__name__ + stopped, *numbers)
    Console(width=100).print(table)


if __name__ == "__main__":
    main()
