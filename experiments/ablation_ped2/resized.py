"""Ped2 resized by averaging: ``python experiments/ablation_ped2/resized.py ROOT OUTPUT SIZE``.

Trainings resize frames as published: OpenCV's bilinear, which looks at four pixels and skips what
lies between. OUTPUT becomes a copy of Ped2, which lies in ROOT, with square grey frames of SIZE
pixels, each the mean of the area it covers. With ``dataset.root=OUTPUT data.frame_size=SIZE``
nothing is resized any more.
"""

import shutil
import sys
from pathlib import Path

import cv2
import numpy as np
from PIL import Image
from rich.progress import track

from memguard.data.frames import frame_images
from memguard.data.layouts import ped2


def resize(root: Path, output: Path, size: int) -> None:
    """Write the copy.

    Args:
        root: Ped2 as papers use it.
        output: Where the copy goes.
        size: Side of its frames, pixels.
    """
    benchmark = ped2(root)
    for record in track((*benchmark.train, *benchmark.test)):
        folder = output / record.source.relative_to(root)
        folder.mkdir(parents=True, exist_ok=True)
        for path in frame_images(record.source):
            frame = np.asarray(Image.open(path).convert("L"))
            mean = cv2.resize(frame, (size, size), interpolation=cv2.INTER_AREA)
            Image.fromarray(mean).save((folder / path.name).with_suffix(".png"))
    shutil.copy(root / "ped2.mat", output)


if __name__ == "__main__":
    if len(sys.argv) != 4:
        sys.exit(__doc__)
    resize(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]))
