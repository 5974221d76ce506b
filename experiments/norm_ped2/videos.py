"""Whether batch norm's statistics fit each video: ``experiments/norm_ped2/videos.py RUN …``.

For each RUN, the folder of a training on Ped2, WINDOWS of its training windows are painted one by
one as in a test. For the layer where training videos differ the most it is printed how many times
the variance that the layer divides by is what comes in, in each video, and at how many dB the
video's frames are painted.
"""

import sys
from collections import defaultdict
from itertools import islice
from pathlib import Path

import torch
from norms import take_up
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn

from memguard.config import register_resolvers
from memguard.norm import BatchNorm, batch_norms
from memguard.scoring import psnr

WINDOWS = 400


class Watch:
    """Notes at each pass how the variance of what comes into a layer compares with its own.

    Attributes:
        factor: Of the last pass, the geometric mean over the channels.
    """

    def __init__(self, layer: BatchNorm) -> None:
        self.factor = torch.ones(())
        layer.register_forward_pre_hook(self._note)

    def _note(self, layer: nn.Module, inputs: tuple[Tensor]) -> None:
        variance = inputs[0].float().var(dim=(0, 2, 3))
        self.factor = (variance / layer.get_buffer("running_var")).log().mean().exp()


@torch.no_grad()
def by_video(run: Path) -> tuple[str, dict[int, tuple[float, float]]]:
    """Find the layer whose videos differ the most, and factor and PSNR of each video there."""
    detector, datamodule, _ = take_up(run / "checkpoints" / "last.ckpt")
    watches = {name: Watch(layer) for name, layer in batch_norms(detector.autoencoder).items()}
    datamodule.stretch = datamodule.batch_size = 1
    found: dict[int, list[tuple[Tensor, Tensor]]] = defaultdict(list)
    for batch in islice(datamodule.train_dataloader(), WINDOWS):
        shown = psnr(*detector.paint(batch.frames))
        factors = torch.stack([watch.factor for watch in watches.values()])
        found[int(batch.video)].append((factors, shown.mean()))
    means = {
        video: (torch.stack(factors).mean(dim=0), float(torch.stack(shown).mean()))
        for video, (factors, shown) in ((v, zip(*of, strict=True)) for v, of in found.items())
    }
    all_factors = torch.stack([factors for factors, _ in means.values()]).log()
    worst = int((all_factors.amax(dim=0) - all_factors.amin(dim=0)).argmax())
    rows = {video: (float(factors[worst]), shown) for video, (factors, shown) in means.items()}
    return list(watches)[worst], rows


def main() -> None:
    """Print a table for each training."""
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    register_resolvers()
    for run in map(Path, sys.argv[1:]):
        layer, rows = by_video(run)
        table = Table("video", "variance ×", "PSNR, dB", title=f"{run.name}: {layer}")
        for video in sorted(rows):
            factor, shown = rows[video]
            table.add_row(f"{video + 1:02d}", f"{factor:.2f}", f"{shown:.1f}")
        Console().print(table)


if __name__ == "__main__":
    main()
