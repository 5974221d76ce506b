"""Measure many cameras: ``python experiments/benchmarks/many_cameras.py CHECKPOINT VIDEO…``.

A real RTSP server (GStreamer's, of Debian's packages python3-gi and gir1.2-gst-rtsp-server-1.0)
sends the videos again and again as live cameras, 640×360 at 5 frames a second. ``memguard.watch``
watches them in one process. A line for each five minutes: scored frames a second and camera, the
largest lag of a camera, dropped frames, the share of one core, and resident memory.

``cameras=20 minutes=30`` after the videos is the load.
"""

import os
import re
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple
from urllib.request import urlopen

import av
import yaml
from rich.console import Console
from rich.progress import track
from rich.table import Table

WIDTH, HEIGHT, FPS = 640, 360, 5
# A picture is one slice: GStreamer's server tears a key frame of several.
ENCODER = {"preset": "veryfast", "threads": "1"}
READ_EVERY, LINE_MINUTES = 10, 5  # seconds, minutes
PYTHON = "/usr/bin/python3"  # the one with Debian's packages
SERVE = """
import sys, gi
gi.require_version("Gst", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import GLib, Gst, GstRtspServer

Gst.init(None)
server = GstRtspServer.RTSPServer()
server.set_address("127.0.0.1")
server.set_service(sys.argv[1])
for number, film in enumerate(sys.argv[2:]):
    factory = GstRtspServer.RTSPMediaFactory()
    factory.set_launch(
        f"( multifilesrc location={film} loop=true ! h264parse "
        "! rtph264pay name=pay0 config-interval=-1 )"
    )
    server.get_mount_points().add_factory(f"/{number}", factory)
assert server.attach(None)
print("ready", flush=True)
GLib.MainLoop().run()
"""


class Reading(NamedTuple):
    """The figures of a moment, summed over cameras but for the lag."""

    frames: float
    dropped: float
    largest_lag: float
    cpu_seconds: float
    resident_mib: float


def encode(video: Path, film: Path) -> None:
    """Encode a video as a camera sends it: thinned to its rate, without a length."""
    with av.open(str(video)) as source, av.open(str(film), "w", format="h264") as target:
        stream = target.add_stream("libx264", rate=FPS, options={**ENCODER, "g": "10"})
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        step = max(round(float(source.streams.video[0].average_rate or FPS) / FPS), 1)
        for number, frame in enumerate(source.decode(video=0)):
            if number % step == 0:
                picture = frame.reformat(WIDTH, HEIGHT, "yuv420p")
                picture.pts = None
                target.mux(stream.encode(picture))
        target.mux(stream.encode())


@contextmanager
def served(films: Sequence[Path]) -> Iterator[int]:
    """Serve each film as a live camera; yield the port."""
    port = free_port()
    words = [PYTHON, "-c", SERVE, str(port), *map(str, films)]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout
            assert server.stdout.readline() == "ready\n"
            yield port
        finally:
            server.kill()


@contextmanager
def watched(cameras: Mapping[str, object], folder: Path) -> Iterator[tuple[int, int]]:
    """Watch the cameras; yield the number of the process and the port of its page."""
    listing, page = folder / "cameras.yaml", free_port()
    listing.write_text(yaml.safe_dump(cameras))
    words = [f"cameras={listing}", f"folder={folder / 'watch'}", f"serve=127.0.0.1:{page}"]
    with (
        (folder / "watch.log").open("w") as log,
        subprocess.Popen([sys.executable, "-m", "memguard.watch", *words], stderr=log) as process,
    ):
        try:
            yield process.pid, page
        finally:
            process.terminate()


def free_port() -> int:
    """Find a port that nobody uses."""
    with socket.create_server(("127.0.0.1", 0)) as unused:
        return int(unused.getsockname()[1])


def read(process: int, page: int) -> Reading:
    """Read the metrics of the page and those of the system."""
    with urlopen(f"http://127.0.0.1:{page}/metrics", timeout=60) as answer:
        text = answer.read().decode()

    def values(name: str) -> list[float]:
        found = re.findall(rf"^memguard_camera_{name}{{[^}}]*}} (\S+)$", text, re.MULTILINE)
        return [float(value) for value in found] or [0.0]

    status = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return Reading(
        sum(values("frames_total")),
        sum(values("dropped_frames_total")),
        max(values("lag_seconds")),
        (int(status[11]) + int(status[12])) / os.sysconf("SC_CLK_TCK"),
        int(status[21]) * os.sysconf("SC_PAGE_SIZE") / 2**20,
    )


def measure(process: int, page: int, minutes: float) -> list[Reading]:
    """Read every ten seconds, from when the page answers."""
    for _ in range(120):
        time.sleep(1)
        try:
            readings = [read(process, page)]
            break
        except OSError:
            continue
    for _ in track(range(round(minutes * 60 / READ_EVERY)), "Watching"):
        time.sleep(READ_EVERY)
        readings.append(read(process, page))
    return readings


def table_of(readings: Sequence[Reading], cameras: int) -> Table:
    """Sum up the readings, five minutes a line."""
    table = Table(title=f"{cameras} cameras, {WIDTH}×{HEIGHT} at {FPS} frames a second")
    columns = ("until, min", "frames/s a camera", "largest lag, s", "dropped", "cores", "MiB")
    for column in columns:
        table.add_column(column, justify="right")
    step = min(LINE_MINUTES * 60 // READ_EVERY, len(readings) - 1)
    for end in range(step, len(readings), step):
        part, before = readings[end - step + 1 : end + 1], readings[end - step]
        seconds = step * READ_EVERY
        table.add_row(
            f"{end * READ_EVERY / 60:.0f}",
            f"{(part[-1].frames - before.frames) / seconds / cameras:.2f}",
            f"{max(reading.largest_lag for reading in part):.2f}",
            f"{part[-1].dropped - before.dropped:.0f}",
            f"{(part[-1].cpu_seconds - before.cpu_seconds) / seconds:.2f}",
            f"{max(reading.resident_mib for reading in part):.0f}",
        )
    return table


def main(words: Sequence[str]) -> None:
    """Print the table."""
    options = dict(word.split("=") for word in words if "=" in word)
    checkpoint, *videos = [Path(word).absolute() for word in words if "=" not in word]
    count = int(options.get("cameras", 20))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        films = [folder / f"{number}.h264" for number in range(len(videos))]
        for video, film in zip(track(videos, "Encoding"), films, strict=True):
            encode(video, film)
        with served([films[number % len(films)] for number in range(count)]) as port:
            cameras = {
                f"camera{number}": {
                    "source": f"rtsp://127.0.0.1:{port}/{number}",
                    "checkpoint": str(checkpoint),
                }
                for number in range(count)
            }
            with watched(cameras, folder) as (process, page):
                readings = measure(process, page, float(options.get("minutes", 30)))
    Console().print(table_of(readings, count))


if __name__ == "__main__":
    main(sys.argv[1:])
