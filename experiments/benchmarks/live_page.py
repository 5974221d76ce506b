"""Picture the live page: ``python experiments/benchmarks/live_page.py CHECKPOINT [minutes=4]``.

CHECKPOINT is that of ``python -m memguard.train experiment=demo``. A real RTSP server sends two
films of the generated street in real time, with an event every minute or so, and
``memguard.watch`` watches them and a camera that is off. At the end a headless Chromium pictures
the page as ``figures/live_page.png``, or as PATH with ``picture=PATH``; ``width=390`` is a phone's.
"""

import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import av
import numpy as np
from many_cameras import ENCODER, served, watched
from PIL import Image
from rich.progress import track

from memguard.data.datasets.street.drawing import PICTURE_HEIGHT, PICTURE_WIDTH
from memguard.data.datasets.street.events import KINDS
from memguard.data.datasets.street.film import FRAMES_PER_SECOND
from memguard.data.datasets.street.scene import compose

PICTURE = Path(__file__).parents[1] / "figures" / "live_page.png"
NAMES = ("promenade", "town-hall")
OFF = "rtsp://127.0.0.1:9/yard"
PLACE, SEED = (0, 0, 0), 100  # the place of the demo, in other hours
EVENT_SECONDS = 60.0
FALSE_PER_HOUR = 12.0
HEIGHT = {1280: 1010, 390: 2400}
FLAGS = [
    "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--hide-scrollbars",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--virtual-time-budget=6000",
]  # fmt: skip


def film(path: Path, seed: int, minutes: float) -> None:
    """Film the street as a camera sends it, with an event every minute or so.

    Args:
        path: The file, H.264 without a container.
        seed: The seed of the crowd, the light and the events.
        minutes: The duration.
    """
    course = np.random.default_rng(seed)
    frames = round(minutes * 60 * FRAMES_PER_SECOND)
    events, start = [], 0.0
    while start < frames:
        start += float(FRAMES_PER_SECOND) * course.exponential(EVENT_SECONDS)
        events.append((str(course.choice(list(KINDS))), round(start)))
    scene = compose(np.random.default_rng(PLACE), course, frames, tuple(events))
    with av.open(str(path), "w", format="h264") as container:
        stream = container.add_stream(
            "libx264", FRAMES_PER_SECOND, options={**ENCODER, "g": "25", "crf": "20"}
        )
        stream.height, stream.width, stream.pix_fmt = PICTURE_HEIGHT, PICTURE_WIDTH, "yuv420p"
        for number in track(range(frames), path.stem):
            picture, _ = scene.render(number, course)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode())


def picture_page(port: int, path: Path, width: int) -> None:
    """Picture the page in 256 colours.

    Args:
        port: The port of the page.
        path: The file, PNG.
        width: The width of the window, pixels.
    """
    browser = shutil.which("chromium") or shutil.which("google-chrome")
    if browser is None:
        sys.exit("There is no browser: install Debian's package chromium.")
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        taken = Path(folder) / "page.png"
        where = [f"--user-data-dir={folder}", f"--window-size={width},{HEIGHT[width]}"]
        command = [browser, *FLAGS, *where, f"--screenshot={taken}", f"http://127.0.0.1:{port}/"]
        subprocess.run(command, check=True, stderr=subprocess.DEVNULL)
        with Image.open(taken) as image:
            colours = image.convert("RGB").quantize(256, Image.Quantize.MAXCOVERAGE)
            colours.save(path, optimize=True)


def main(words: Sequence[str]) -> None:
    """Film, watch and picture."""
    options = dict(word.split("=", 1) for word in words if "=" in word)
    (checkpoint,) = [Path(word).absolute() for word in words if "=" not in word]
    minutes, width = float(options.get("minutes", 4)), int(options.get("width", 1280))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        films = [folder / f"{camera}.h264" for camera in NAMES]
        for number, path in enumerate(films):
            film(path, SEED + number, minutes)
        with served(films) as port:
            sources = [f"rtsp://127.0.0.1:{port}/{number}" for number in range(len(films))]
            cameras = {
                camera: {
                    "source": source,
                    "checkpoint": str(checkpoint),
                    "alarm": {"false_per_hour": FALSE_PER_HOUR},
                }
                for camera, source in zip((*NAMES, "yard"), (*sources, OFF), strict=True)
            }
            with watched(cameras, folder) as (_, page):
                for _ in track(range(round(minutes * 60) - 30), "Watching"):
                    time.sleep(1)
                picture_page(page, Path(options.get("picture", PICTURE)), width)


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    main(sys.argv[1:])
