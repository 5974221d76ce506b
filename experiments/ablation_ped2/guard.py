"""AUROC over the guard's γ: ``python experiments/ablation_ped2/guard.py FIGURE RUN…``.

Of each RUN, a folder with ``checkpoints/last.ckpt`` and ``scores.csv``, it encodes the test once,
and replays its writes for one γ after the other, and once more with the labels as the guard. PSNR
and regular scores are those of the run's own test: they hardly depend on the items. It prints a
table and draws FIGURE.
"""

import sys
from functools import cache
from pathlib import Path

import matplotlib as mpl
import numpy as np
import torch
from matplotlib.figure import Figure
from rich.console import Console
from rich.progress import track
from rich.table import Table
from torch import Tensor
from weight import auroc

from memguard.builders import build_benchmark, build_datamodule
from memguard.config import register_resolvers
from memguard.model.losses import nearest_items
from memguard.model.memory import read, write
from memguard.report.figures import PAGE_WIDTH, STYLE
from memguard.report.results import read_scores
from memguard.scoring import feature_distance
from memguard.trained import restore


class Replay:
    """A test whose frames are encoded, to be scored from the memory again and again.

    Args:
        run: A run folder.

    Attributes:
        frames: What the run's own test found.
        auto: The γ that was in force then.
    """

    @torch.no_grad()
    def __init__(self, run: Path) -> None:
        detector, config = restore(run / "checkpoints" / "last.ckpt")
        detector.eval()
        self.auto = detector.guard.threshold
        self._items = detector.memory.items
        self.frames, _ = read_scores(run / "scores.csv")
        self._weight = detector.scoring.weight
        datamodule = build_datamodule(config, build_benchmark(config))
        datamodule.prepare_data()
        datamodule.setup()
        queries = []
        for batch in track(datamodule.test_dataloader(), run.name):
            features, _ = detector.autoencoder.encoder(detector.split(batch.frames)[0])
            queries.append(read(features, self._items).query)
        self._query = torch.cat(queries)

    def thresholds(self) -> list[float]:
        """Return γ from that below which no frame is to that below which all but one are."""
        regular = self.frames["regular"]
        return sorted([*np.geomspace(float(regular.min()), float(regular.max()), 25), self.auto])

    def passes(self, guard: float | None) -> Tensor:
        """Return (frames,), which a guard writes: those below γ, or what the labels call normal.

        Args:
            guard: γ; None for the labels.
        """
        return self.frames["label"] == 0 if guard is None else self.frames["regular"] < guard

    @cache  # noqa: B019 - a handful of tests, kept until the end
    def areas(self, guard: float | None) -> tuple[float, float]:
        """Return the AUROC in % of the distance alone and of the published score."""
        items, distances = self._items, []
        for query, write_it in zip(self._query.split(1), self.passes(guard).tolist(), strict=True):
            distances.append(feature_distance(query, nearest_items(query, items, 1)[:, :, 0]))
            if write_it:
                items = write(query, items)
        distance = torch.cat(distances).double()
        return auroc(self.frames, distance, 0.0), auroc(self.frames, distance, self._weight)


def print_table(replays: dict[str, Replay]) -> None:
    """Print what writing nothing, what γ lets pass, everything and what the labels allow gives.

    And from where to where the published score goes over γ.
    """
    table = Table(title="Frame AUROC in %: distance alone / published (frames written)")
    for column in ("run", "none", "γ of the run", "all", "what the labels call normal", "any γ"):
        table.add_column(column)
    for name, replay in replays.items():
        cells = [
            "{:.1f} / {:.1f} ({})".format(*replay.areas(guard), int(replay.passes(guard).sum()))
            for guard in (0.0, replay.auto, torch.inf, None)
        ]
        published = [replay.areas(guard)[1] for guard in replay.thresholds()]
        table.add_row(name, *cells, f"{min(published):.1f} to {max(published):.1f}")
    Console(width=140).print(table)


def draw(replays: dict[str, Replay]) -> Figure:
    """Draw both AUROC over γ, a line per run and a ring at the γ it chose."""
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(PAGE_WIDTH, 2.6))
        panels = figure.subplots(1, 2)
        for name, replay in replays.items():
            thresholds = replay.thresholds()
            curves = zip(*map(replay.areas, thresholds), strict=True)
            rings, by_label = replay.areas(replay.auto), replay.areas(None)
            for axes, curve, ring, best in zip(panels, curves, rings, by_label, strict=True):
                (line,) = axes.plot(thresholds, curve, lw=1, label=name.replace("_", " "))
                axes.plot(replay.auto, ring, "o", mfc="none", color=line.get_color())
                axes.axhline(best, lw=0.8, ls=":", color=line.get_color())
        for axes, title in zip(panels, ("distance alone", "published"), strict=True):
            axes.set_title(title, loc="left")
            axes.set(xscale="log", xlabel="γ: from no frame written to nearly all")
            axes.set_xticks([0.005, 0.01, 0.02, 0.04], ["0.005", "0.01", "0.02", "0.04"])
            axes.minorticks_off()
        panels[0].set_ylabel("frame AUROC, %")
        panels[0].legend(frameon=False)
    return figure


def main() -> None:
    """Replay the runs, print and draw."""
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    figure, *runs = map(Path, sys.argv[1:])
    register_resolvers()
    replays = {run.name: Replay(run) for run in runs}
    print_table(replays)
    draw(replays).savefig(figure)


if __name__ == "__main__":
    main()
