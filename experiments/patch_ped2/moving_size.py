"""How large what moves is: ``python experiments/patch_ped2/moving_size.py DATASET ROOT``.

The size of a patch for ``scoring=patch`` may not be chosen by test labels. This looks at training
video alone: what differs from the median of its video by more than 20 levels, in pieces of at least
a thousandth of the picture, every tenth frame. Printed are quantiles of the pieces' heights and
widths as shares of the picture's.
"""

import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
from rich.console import Console
from rich.table import Table

from memguard.data import layouts
from memguard.data.frames import as_video
from memguard.data.video import Video

EVERY, LEVELS, SMALLEST = 10, 20, 0.001
QUANTILES = (0.25, 0.5, 0.75, 0.9)
DEFAULT = (0.2, 0.1)  # scoring.patch


def moving_pieces(frames: np.ndarray) -> Iterator[tuple[float, float]]:
    """Find what moves in a video.

    Args:
        frames: uint8 (N, H, W).

    Yields:
        Height and width of a piece as shares of the picture's.
    """
    height, width = frames.shape[1:]
    ground = np.median(frames, axis=0)
    for frame in frames:
        moving = cv2.medianBlur((np.abs(frame - ground) > LEVELS).astype(np.uint8), 5)
        _, _, pieces, _ = cv2.connectedComponentsWithStats(moving)
        for _, _, across, down, area in pieces[1:]:  # the first is the ground
            if area >= SMALLEST * height * width:
                yield down / height, across / width


def main() -> None:
    """Print the quantiles."""
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    benchmark = getattr(layouts, sys.argv[1])(sys.argv[2])
    sizes: list[tuple[float, float]] = []
    with tempfile.TemporaryDirectory() as cache:
        for record in benchmark.train:
            video = Video(as_video(record.source, Path(cache)), channels=1)
            frames = video.frames(range(0, len(video), EVERY))[:, 0].numpy()
            sizes += moving_pieces(frames)
    table = Table(title=f"{len(sizes)} moving pieces in the training videos of {benchmark.title}")
    for column in ("quantile", "height", "width"):
        table.add_column(column, justify="right")
    for share in QUANTILES:
        height, width = np.quantile(sizes, share, axis=0)
        table.add_row(f"{share:.2f}", f"{height:.3f}", f"{width:.3f}")
    Console().print(table)
    within = np.mean([down <= DEFAULT[0] and across <= DEFAULT[1] for down, across in sizes])
    Console().print(f"{100 * within:.0f} % fit into the default patch, {DEFAULT[0]} × {DEFAULT[1]}")


if __name__ == "__main__":
    main()
