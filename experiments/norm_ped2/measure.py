"""What batch norm takes for usual, measured: ``experiments/norm_ped2/measure.py NAME=RUN …``.

Batch norm tests with a running mean and variance of each channel, most of which the last twenty
batches of a training make up. For each RUN, a training's folder, both are measured over all its
training windows, by its weights as they are; guard and alarm find the level of the held-out frames
again, and it is tested. Written are the training's own figures, the new ones, and how far its
statistics were off, under NAME into ``results.json`` beside this file; ``figures/measure.png``
shows all that is in there.

Source: Wu and Johnson, "Rethinking 'Batch' in BatchNorm", 2021.
"""

import argparse
import json
from pathlib import Path
from typing import Any

import matplotlib as mpl
import pytorch_lightning as pl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from norms import gather, offsets, statistics, take_up
from omegaconf import DictConfig
from rich.progress import track

from memguard.config import register_resolvers
from memguard.data.datamodule import ClipDataModule
from memguard.detector import Detector
from memguard.provenance import Provenance
from memguard.report.figures import BLUE, PAGE_WIDTH, STYLE, VERMILION

HERE = Path(__file__).parent
PROVENANCE = ("commit", "seed", "machine", "minutes")
WAYS = {
    "val/psnr": "held-out\nframes, dB",
    "test/auroc_psnr": "PSNR alone",
    "test/auroc": "published",
    "test/auroc_unnormalised": "unnormalised",
    "test/auroc_patch": "worst patch",
}


def measured(run: Path) -> dict[str, Any]:
    """Measure a training's statistics, and test it with them.

    Args:
        run: Its folder.
    """
    provenance = Provenance(seed=0)
    detector, datamodule, config = take_up(run / "checkpoints" / "last.ckpt")
    running = statistics(detector)
    windows = track(datamodule.train_dataloader(), run.name)
    precision = str(config.trainer.precision)
    true = gather(detector, (batch.frames for batch in windows), precision, momentum=None)
    trained, training = (
        json.loads((run / f"{of}.json").read_text(encoding="utf-8"))
        for of in ("metrics", "provenance")
    )
    found = test(detector, datamodule, config)
    made = provenance.finish()
    return {
        "trained": {key: trained[key] for key in found if key in trained},
        "measured": found,
        "off": offsets(running, true),
        "training": {key: training[key] for key in PROVENANCE},
        "measuring": {key: made[key] for key in PROVENANCE},
    }


def test(detector: Detector, datamodule: ClipDataModule, config: DictConfig) -> dict[str, float]:
    """Validate, so that guard and alarm find their levels, and test."""
    trainer = pl.Trainer(
        devices=1,
        precision=config.trainer.precision,
        logger=False,
        enable_checkpointing=False,
        use_distributed_sampler=False,
    )
    found: dict[str, float] = {}
    for of_split in (trainer.validate, trainer.test):
        of_split(detector, datamodule, verbose=False)
        found |= {name: float(value) for name, value in trainer.callback_metrics.items()}
    return found


def draw(results: dict[str, Any]) -> Figure:
    """Draw a panel per way of counting, a row per training: from as trained to as measured."""
    names = list(results)
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(PAGE_WIDTH, 0.24 * len(names) + 1.1))
        panels = figure.subplots(1, len(WAYS), sharey=True)
        for axes, (key, title) in zip(panels, WAYS.items(), strict=True):
            for place, result in enumerate(results.values()):
                if key in result["trained"]:  # the published size holds no frames out
                    _draw_change(axes, place, key, result)
            axes.set_title(title)
            axes.grid(axis="y", lw=0.3)
        panels[0].set_yticks(range(len(names)), [name.replace("_", " ") for name in names])
        panels[0].invert_yaxis()
        figure.supxlabel(
            "circles: as trained; bars: with measured statistics (AUROC in %)", fontsize=8
        )
    return figure


def _draw_change(axes: Axes, place: int, key: str, result: dict[str, Any]) -> None:
    scale = 1 if key == "val/psnr" else 100
    before, after = (scale * result[when][key] for when in ("trained", "measured"))
    axes.plot([before, after], [place] * 2, lw=1, color=BLUE)
    axes.plot(before, place, "o", ms=4, mfc="white", color=BLUE)
    axes.plot(after, place, "|", ms=9, mew=1.5, color=VERMILION)


def main() -> None:
    """Measure and test the runs, one after the other, and write results and figure."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("runs", nargs="*", metavar="NAME=RUN")
    arguments = parser.parse_args()
    register_resolvers()
    path = HERE / "results.json"
    results = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    for argument in arguments.runs:
        name, folder = argument.split("=", 1)
        results[name] = measured(Path(folder))
        path.write_text(json.dumps(results, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    (HERE / "figures").mkdir(exist_ok=True)
    draw(results).savefig(HERE / "figures" / "measure.png")


if __name__ == "__main__":
    main()
