"""A dataset: a disc crosses the picture, and in the second half of the test it jumps."""

from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from memguard.data.datasets.benchmark import Benchmark, VideoRecord


def discs(root: str, frames: int = 48) -> Benchmark:
    """Draw three videos, the last one for the test, unless they are there already."""
    folders = [Path(root, name) for name in ("train/1", "train/2", "test/1")]
    for number, folder in enumerate(folders):
        folder.mkdir(parents=True, exist_ok=True)
        for frame in range(frames):
            jump = 23 if folder.parent.name == "test" and frame >= frames // 2 else 0
            left, top = (2 + jump) * frame % 52, 10 + 14 * number
            picture = Image.new("L", (64, 64), 40)
            ImageDraw.Draw(picture).ellipse((left, top, left + 12, top + 12), fill=220)
            if not (path := folder / f"{frame:03}.png").exists():
                picture.save(path)
    *train, test = [VideoRecord(folder.name, folder) for folder in folders]
    labelled = VideoRecord(test.name, test.source, labels=lambda n: np.arange(n) >= n // 2)
    return Benchmark("discs", tuple(train), (labelled,))
