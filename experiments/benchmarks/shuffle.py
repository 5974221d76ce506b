"""Measure how the stream shuffles: ``python experiments/benchmarks/shuffle.py PED2_ROOT``.

A batch of similar windows gives less information than its size. For each order, over all training
windows of Ped2 in batches of 4, 8 and 32:

- ``likeness``: the intraclass correlation of a batch's windows (their last frames, 32×32, minus the
  mean of all): 0 if they differ as any two windows of the set, 1 if they are equal;
- ``same second``: the share of batches in which two windows end within 25 frames of each other.
"""

import sys
import tempfile
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from memguard.data.clips.frame_cache import cache_in_memory
from memguard.data.clips.segments import Segment
from memguard.data.clips.windows import ShuffledWindows
from memguard.data.video.frame_folders import as_video
from memguard.data.video.reader import Video

LENGTH, SIZE, SECOND = 5, 32, 25
BATCHES = (4, 8, 32)
EPOCHS = 3


def intraclass_correlation(values: np.ndarray) -> float:
    """Compute the share of the variance that lies between groups, by one-way analysis of variance.

    Args:
        values: (groups, members, dimensions), about a mean of zero; dimensions are pooled.

    Example:
        >>> intraclass_correlation(np.array([[[1.0], [1.0]], [[-1.0], [-1.0]]]))
        1.0
    """
    groups, members, _ = values.shape
    means = values.mean(axis=1, keepdims=True)
    between = members * np.square(means).sum() / (groups - 1)
    within = np.square(values - means).sum() / (groups * (members - 1))
    return float((between - within) / (between + (members - 1) * within))


def judge(order: np.ndarray, shown: np.ndarray, batch: int) -> tuple[float, float]:
    """Measure one order.

    Args:
        order: (windows, 2), video and last frame of each window.
        shown: (windows, dimensions), the last frame of each, in the same order.
        batch: Windows per batch; an incomplete last batch is left out.
    """
    whole = len(order) // batch * batch
    places = order[:whole].reshape(-1, batch, 2)
    same_video = places[:, :, None, 0] == places[:, None, :, 0]
    near = np.abs(places[:, :, None, 1] - places[:, None, :, 1]) < SECOND
    close = (same_video & near & ~np.eye(batch, dtype=bool)).any(axis=(1, 2))
    likeness = intraclass_correlation(shown[:whole].reshape(-1, batch, shown.shape[1]))
    return likeness, float(close.mean())


def streamed(segments: list[Segment], epoch: int) -> np.ndarray:
    """Return video and last frame of each window, in the order of the stream."""
    windows = ShuffledWindows(segments, length=LENGTH, batch_size=1, seed=0, epoch=epoch, threads=0)
    return np.array([(int(batch.video), int(batch.frame)) for batch in windows])


def main() -> None:
    """Print the table."""
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    folders = sorted(p for p in (Path(sys.argv[1]) / "training" / "frames").iterdir() if p.is_dir())
    with tempfile.TemporaryDirectory() as cache:
        videos = [
            cache_in_memory(Video(as_video(folder, Path(cache)), frame_size=SIZE, channels=1))
            for folder in folders
        ]
    segments = [Segment(video, n, range(len(video))) for n, video in enumerate(videos)]
    pictures = [v.frames(range(len(v))).numpy().reshape(len(v), -1) / 255 for v in videos]
    mean = np.concatenate(pictures).mean(axis=0)
    in_order = np.array([(n, f) for n, v in enumerate(videos) for f in range(LENGTH - 1, len(v))])
    rng = np.random.default_rng(0)
    orders = {
        "in order": [in_order],
        "stream": [streamed(segments, epoch) for epoch in range(EPOCHS)],
        "any window anywhere": [rng.permutation(in_order) for _ in range(EPOCHS)],
    }
    table = Table(title=f"{len(in_order)} windows of Ped2")
    for column in ("order", "batch", "likeness", "same second"):
        table.add_column(column, justify="left" if column == "order" else "right")
    for name, epochs in orders.items():
        for batch in BATCHES:
            judged = [
                judge(order, np.stack([pictures[v][f] for v, f in order]) - mean, batch)
                for order in epochs
            ]
            likeness, close = np.mean(judged, axis=0)
            table.add_row(name, str(batch), f"{likeness:.3f}", f"{100 * close:.1f} %")
    Console().print(table)


if __name__ == "__main__":
    main()
