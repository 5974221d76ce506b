"""What is far from the memory: ``python …/farthest.py CHECKPOINT ROOT UNWRITTEN``.

CHECKPOINT, a detector of ``pred``, is tested on video 06 of Ped2, which lies in ROOT; its items
stay as they were trained. Of the normal frames after the last anomaly it looks up the places whose
queries are the farthest from their items. Printed is how well the video's distance tells its frames
apart with and without them; what the published score of the whole test is so, whose other videos
are those of UNWRITTEN, the folder of a test of CHECKPOINT with ``guard.enabled=false``; and in how
many frames of each video somebody is there. ``figures/farthest.png`` beside this file shows three
frames, the distance of their places, and where somebody was, in training and in this video.
"""

import argparse
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import matplotlib as mpl
import numpy as np
import torch
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from PIL import Image
from rich.progress import track
from torch import Tensor

from memguard.builders import build_benchmark, build_datamodule
from memguard.config import register_resolvers
from memguard.data.frames import frame_images
from memguard.data.layouts import ped2
from memguard.metrics import frame_auroc
from memguard.report.figures import PAGE_WIDTH, STYLE, VERMILION
from memguard.report.results import read_scores
from memguard.scoring import anomaly_score
from memguard.trained import restore

HERE = Path(__file__).parent
VIDEO = "06"
SHOWN = {60: "anomalous", 140: "anomalous", 172: "normal"}  # frames of the video
FARTHEST = 3  # places
CHANGED = 25  # grey levels by which a pixel with somebody in it differs from its video's median
SOMEBODY = 0.08  # of the pixels of a place
SELDOM = 1e-4  # share of the frames, the least that is drawn


@dataclass(frozen=True)
class Found:
    """A test of the video.

    Attributes:
        frame: (N,), numbers of the scored frames.
        label: (N,).
        far: (N, rows, columns), the mean squared distance of each query to its nearest item.
        weight: λ of the detector's published score.
    """

    frame: np.ndarray
    label: np.ndarray
    far: np.ndarray
    weight: float

    def after(self) -> np.ndarray:
        """The mean distance of each place, (rows, columns), after the last anomaly."""
        return self.far[self.frame > self.frame[self.label == 1].max()].mean(axis=0)

    def distance(self, places: np.ndarray) -> Tensor:
        """The mean distance of some of the places, (rows, columns), in each frame, (N,)."""
        return torch.from_numpy(self.far[:, places].mean(axis=1))

    def auroc(self, places: np.ndarray) -> float:
        """AUROC in % of the distance of some of the places, in the video alone."""
        return 100 * frame_auroc(self.distance(places), torch.from_numpy(self.label))

    def published(self, places: np.ndarray, test: Path) -> float:
        """AUROC in % of a whole test's published score, by these places of this video."""
        frames, names = read_scores(test / "scores.csv")
        distance = frames["distance"].clone()
        distance[frames["video"] == names.index(VIDEO)] = self.distance(places).to(distance)
        score = anomaly_score(frames["psnr"], distance, frames["video"], self.weight)
        return 100 * frame_auroc(score, frames["label"])


@torch.no_grad()
def find(checkpoint: Path) -> Found:
    """Test the video by the items as they were trained."""
    detector, config = restore(checkpoint)
    benchmark = build_benchmark(config)
    video = [record for record in benchmark.test if record.name == VIDEO]
    datamodule = build_datamodule(config, replace(benchmark, train=(), test=tuple(video)))
    datamodule.prepare_data()
    datamodule.setup()
    detector.eval()
    parts = []
    for batch in track(datamodule.test_dataloader(), "Test"):
        features, _ = detector.autoencoder.encoder(detector.split(batch.frames)[0])
        read = detector.memory(features)
        far = (2 - 2 * read.similarity.amax(dim=-1)) / read.query.shape[-1]  # of unit rows
        parts.append((batch.frame, batch.label, far))
    frame, label, far = (torch.cat(part).numpy() for part in zip(*parts, strict=True))
    side = int(far.shape[1] ** 0.5)
    return Found(frame, label, far.reshape(-1, side, side), detector.scoring.weight)


def changed(source: Path) -> np.ndarray:
    """Which pixels of each frame differ from the video's median, (frames, height, width)."""
    images = [np.asarray(Image.open(path).convert("L"), float) for path in frame_images(source)]
    frames = np.stack(images)
    return np.abs(frames - np.median(frames, axis=0)) > CHANGED


def box(places: np.ndarray, shape: tuple[int, int]) -> tuple[slice, slice]:
    """The pixels of a picture of this shape that the places, (rows, columns), lie in."""
    rows, columns = places.nonzero()
    height, width = (pixels / cells for pixels, cells in zip(shape, places.shape, strict=True))
    return (
        slice(int(rows.min() * height), int((rows.max() + 1) * height)),
        slice(int(columns.min() * width), int((columns.max() + 1) * width)),
    )


def draw(
    found: Found, source: Path, trodden: dict[str, np.ndarray], at: tuple[slice, slice]
) -> Figure:
    """Draw frames, the distance of their places, and how often pixels changed."""
    paths = list(frame_images(source))
    height, width = next(iter(trodden.values())).shape
    extent = (0.0, float(width), float(height), 0.0)
    shown = np.isin(found.frame, list(SHOWN))
    scale = mpl.colors.LogNorm(found.far[shown].min(), found.far[shown].max())
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(PAGE_WIDTH, 2.9))
        grid = figure.subplots(2, len(SHOWN) + 1)
        for column, (number, kind) in enumerate(SHOWN.items()):
            picture, map_ = grid[:, column]
            picture.imshow(Image.open(paths[number]).convert("L"), cmap="gray", extent=extent)
            picture.set_title(f"frame {number}, {kind}", loc="left")
            far = found.far[found.frame == number][0]
            heat = map_.imshow(
                far, cmap="cividis", norm=scale, extent=extent, interpolation="nearest"
            )
        figure.colorbar(
            heat, ax=grid[1, :-1], label="distance", orientation="horizontal", aspect=40
        )
        for axes, (where, share) in zip(grid[:, -1], trodden.items(), strict=True):
            norm = mpl.colors.LogNorm(SELDOM, 1, clip=True)
            axes.imshow(share, cmap="cividis", norm=norm, extent=extent)
            axes.set_title(f"somebody, {where}", loc="left")
        for axes in grid.flat:
            corner = at[1].start, at[0].start
            size = at[1].stop - at[1].start, at[0].stop - at[0].start
            axes.add_patch(Rectangle(corner, *size, fill=False, color=VERMILION, lw=1))
            axes.set(xticks=[], yticks=[])
    return figure


def somebody(root: Path, at: tuple[slice, slice]) -> Iterator[tuple[str, str, int, np.ndarray]]:
    """Split and name of each video, its frames with somebody there, how often pixels change."""
    benchmark = ped2(root)
    for split, records in (("train", benchmark.train), ("test", benchmark.test)):
        for record in track(records, split, transient=True):
            pixels = changed(record.source)
            there = pixels[:, at[0], at[1]].mean(axis=(1, 2)) > SOMEBODY
            yield split, record.name, int(there.sum()), pixels.mean(axis=0)


def main() -> None:
    """Find the places, print what is known of them, and draw."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("root", type=Path)
    parser.add_argument("unwritten", type=Path)
    arguments = parser.parse_args()
    register_resolvers()
    found = find(arguments.checkpoint)
    after = found.after()
    farthest = after >= np.sort(after, axis=None)[-FARTHEST]
    source = next(record.source for record in ped2(arguments.root).test if record.name == VIDEO)
    at = box(farthest, changed(source).shape[1:])
    print(f"farthest places (row, column): {np.argwhere(farthest).tolist()}, pixels {at}")
    print(f"their share of the distance: {100 * after[farthest].sum() / after.sum():.0f} %")
    for name, places in (("all", np.ones_like(farthest)), ("others", ~farthest)):
        published = found.published(places, arguments.unwritten)
        print(f"{name}: the video's distance {found.auroc(places):.1f}, published {published:.1f}")
    changes: dict[str, dict[str, np.ndarray]] = {"train": {}, "test": {}}
    for split, name, frames, pixels in somebody(arguments.root, at):
        print(f"{split} {name}: somebody there in {frames} frames")
        changes[split][name] = pixels
    training = np.mean(list(changes["train"].values()), axis=0)
    trodden = {"in training": training, "in this video": changes["test"][VIDEO]}
    (HERE / "figures").mkdir(exist_ok=True)
    draw(found, source, trodden, at).savefig(HERE / "figures" / "farthest.png")


if __name__ == "__main__":
    main()
