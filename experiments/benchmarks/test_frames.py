"""Measure the speed of a test: ``python experiments/benchmarks/test_frames.py [OVERRIDE…]``.

From a batch of windows on the device to scores and updated items, side by side:

- ``plain``: encode, read, predict, score and perhaps write one frame after the other, by the same
  model in 32 bits, eager, channels outermost,
- ``dataset`` and ``video``: memguard's test with ``guard.scope`` of that name; the second takes
  several videos side by side.

Weights are untrained, γ is such that half of the frames update the memory, and the videos are the
first of the dataset's test. The largest difference between the scores is printed too. Overrides are
those of ``memguard.train``: ``model=mnad dataset=ped2``.
"""

import copy
import sys
import time
from collections.abc import Callable
from statistics import median

import torch
from composed import composed
from lightning_fabric import Fabric
from omegaconf import DictConfig
from rich.console import Console
from rich.table import Table
from torch import Tensor

from memguard import scoring
from memguard.data.clips.windows import ClipBatch, OrderedWindows
from memguard.detection.detector import Detector
from memguard.model.losses import nearest_items
from memguard.model.memory.mnad import read, write
from memguard.training.build import build_benchmark, build_datamodule, build_detector

ROUNDS = 2
VIDEOS, WINDOWS = 3, 3  # of each video so many

Test = Callable[[], Tensor]


def plain(detector: Detector, device: torch.device) -> Detector:
    """Copy a detector without memguard's optimisations."""
    slow = copy.deepcopy(detector).to(device, memory_format=torch.contiguous_format)
    slow.layout = torch.contiguous_format
    return slow


def plain_test(detector: Detector, batches: list[ClipBatch], scope: str) -> Tensor:
    """Score frames one by one: (frames, 3), PSNR, distance and regular score."""
    items = detector.memory.items
    rows = []
    for batch in batches:
        items = detector.memory.items if scope == "video" else items
        for clip in batch.frames.split(1):
            frames, target = detector.split(clip)
            features, skips = detector.autoencoder.encoder(frames)
            recalled = read(features, items)
            output = detector.autoencoder.decoder(recalled.fused, skips)
            regular = scoring.regular_score(output, target)
            nearest = nearest_items(recalled.query, items, 1)[:, :, 0]
            distance = scoring.feature_distance(recalled.query, nearest)
            if regular < detector.guard.threshold:
                items = write(recalled.query[0], items)
            rows.append(torch.cat([scoring.psnr(output, target), distance, regular]))
    return torch.stack(rows)


def our_test(detector: Detector, batches: list[ClipBatch], fabric: Fabric, scope: str) -> Tensor:
    """Score frames as memguard's test does; the same as of :func:`plain_test`."""
    detector.guard.scope = "video" if scope == "video" else "dataset"
    detector.begin_test()
    rows = []
    for batch in batches:
        with fabric.autocast():
            found = detector.score_frames(batch.frames, batch.video)
        rows.append(torch.stack([found["psnr"], found["distance"], found["regular"]], dim=1))
    return torch.cat(rows)


def windows(config: DictConfig, fabric: Fabric) -> tuple[list[ClipBatch], list[ClipBatch]]:
    """Batches of one video each, and the same windows with the videos side by side."""
    datamodule = build_datamodule(config, build_benchmark(config))
    datamodule.prepare_data()
    datamodule.setup("test")
    loader = OrderedWindows(
        datamodule.test_segments, length=datamodule.length, batch_size=WINDOWS, threads=0
    )
    firsts: dict[int, ClipBatch] = {}
    for batch in loader:
        firsts.setdefault(int(batch.video[0]), batch)
        if len(firsts) == VIDEOS:
            break
    one_by_one = [ClipBatch(*map(fabric.to_device, batch)) for batch in firsts.values()]
    columns = (torch.stack(column).transpose(0, 1) for column in zip(*one_by_one, strict=True))
    side_by_side = [ClipBatch(*row) for row in zip(*columns, strict=True)]
    return one_by_one, side_by_side


def main(overrides: list[str]) -> None:
    """Print the table."""
    config, fabric, wait = composed(overrides)
    one_by_one, side_by_side = windows(config, fabric)
    detector = build_detector(config).eval().to(fabric.device)
    slow = plain(detector, fabric.device)
    with torch.no_grad():
        half = plain_test(slow, one_by_one, "dataset")[:, 2].sort().values
        between = float(half[len(half) // 2 - 1 : len(half) // 2 + 1].mean())
        detector.guard._threshold = slow.guard._threshold = between
        tests: dict[str, Test] = {
            "plain": lambda: plain_test(slow, one_by_one, "dataset"),
            "dataset": lambda: our_test(detector, one_by_one, fabric, "dataset"),
            "video": lambda: our_test(detector, side_by_side, fabric, "video"),
        }
        expected = {
            "dataset": tests["plain"](),
            "video": _side_by_side(plain_test(slow, one_by_one, "video")),
        }
        unlike = {name: _difference(tests[name](), truth) for name, truth in expected.items()}
        speeds: dict[str, list[float]] = {name: [] for name in tests}
        for _ in range(ROUNDS):
            for name, test in tests.items():
                start = time.perf_counter()
                frames = len(test())
                wait()
                speeds[name].append(frames / (time.perf_counter() - start))

    table = Table(title=f"Test frames, {config.trainer.precision}, {fabric.device}")
    for column in ("test", "frames/s", "lowest", "highest", "× plain", "largest difference"):
        table.add_column(column, justify="left" if column == "test" else "right")
    for name, values in speeds.items():
        ratio = median(a / b for a, b in zip(values, speeds["plain"], strict=True))
        numbers = (median(values), min(values), max(values))
        table.add_row(name, *(f"{n:.2f}" for n in numbers), f"{ratio:.2f}", unlike.get(name, ""))
    Console().print(table)


def _side_by_side(rows: Tensor) -> Tensor:
    """Rows of video after video in the order of windows side by side."""
    return rows.unflatten(0, (-1, WINDOWS)).transpose(0, 1).flatten(0, 1)


def _difference(found: Tensor, truth: Tensor) -> str:
    """The largest relative difference of a value."""
    return f"{float(((found - truth) / truth).abs().max()):.1e}"


if __name__ == "__main__":
    main(sys.argv[1:])
