"""Measure the memory of the stream: ``python experiments/benchmarks/stream_memory.py``.

Stream each of these sets once, every case in a process of its own, and print the resident memory
along the way:

- 3 000 and 300 000 frames in videos of 1 000 (the second is ShanghaiTech's size),
- one video of 60 minutes at 25 frames a second, shuffled and in order.

The videos are generated, 160×120. Many names are links to few files: the content does not matter.
"""

import resource
import tempfile
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import av
import numpy as np
from rich.console import Console
from rich.progress import track
from rich.table import Table

from memguard.data.clips.segments import Segment
from memguard.data.clips.windows import ClipBatch, OrderedWindows, ShuffledWindows
from memguard.data.video.reader import Video

MINUTES = 60


def write_video(path: Path, frames: int) -> Path:
    """Write a bright bar that drifts over a noisy ground."""
    rng = np.random.default_rng(0)
    ground = rng.integers(60, 90, (120, 160 + 512), dtype=np.uint8)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25, options={"preset": "ultrafast"})
        stream.height, stream.width, stream.pix_fmt = 120, 160, "gray"
        for number in range(frames):
            left = number % 512
            frame = np.ascontiguousarray(ground[:, left : left + 160])
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="gray")))
        container.mux(stream.encode())
    return path


def linked(source: Path, folder: Path, count: int) -> list[Path]:
    """Give one file many names."""
    folder.mkdir()
    names = [folder / f"{number:04d}.mp4" for number in range(count)]
    for name in names:
        name.symlink_to(source)
    return names


def _resident_mib() -> float:
    with open("/proc/self/statm", encoding="ascii") as file:
        return int(file.read().split()[1]) * resource.getpagesize() / 2**20


def stream_through(paths: list[Path], in_order: bool) -> list[float]:
    """Stream all windows of some videos once.

    Returns:
        The resident memory in MiB at the start and after each hundredth of the windows.
    """
    videos = [Video(path, frame_size=64, channels=1) for path in paths]
    segments = [Segment(video, n, range(len(video))) for n, video in enumerate(videos)]
    batches: Iterator[ClipBatch]
    if in_order:
        ordered = OrderedWindows(segments, length=5, batch_size=8, threads=2)
        batches, total = iter(ordered), len(ordered)
    else:
        shuffled = ShuffledWindows(segments, length=5, batch_size=8, seed=0, epoch=0, threads=2)
        batches, total = iter(shuffled), len(shuffled)
    readings = [_resident_mib()]
    for number, _ in enumerate(batches, start=1):
        if number % (total // 100) == 0:
            readings.append(_resident_mib())
    return readings


def main() -> None:
    """Stream every case, and print the table."""
    table = Table(title="Resident memory while streaming, MiB")
    table.add_column("set")
    for column in ("start", "at 10 %", "at 50 %", "end", "highest"):
        table.add_column(column, justify="right")
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        short = write_video(folder / "short.mp4", 1000)
        hour = write_video(folder / "hour.mp4", MINUTES * 60 * 25)
        cases = {
            "3 000 frames": (linked(short, folder / "few", 3), False),
            "300 000 frames": (linked(short, folder / "many", 300), False),
            f"{MINUTES} minutes, shuffled": ([hour], False),
            f"{MINUTES} minutes, in order": ([hour], True),
        }
        for name, case in track(cases.items(), "Streaming"):
            # A process of its own: memory that one case leaves behind is not another's.
            with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
                readings = pool.submit(stream_through, *case).result()
            middle = [readings[0], readings[10], readings[50], readings[-1], max(readings)]
            table.add_row(name, *(f"{value:.0f}" for value in middle))
    Console().print(table)


if __name__ == "__main__":
    main()
