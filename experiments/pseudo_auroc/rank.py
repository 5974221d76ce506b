"""How well the pseudo AUROC ranks models: it against the test AUROC, checkpoint by checkpoint.

``python experiments/pseudo_auroc/rank.py NAME RUN_FOLDER [RUN_FOLDER …]`` takes runs on one dataset
that kept their checkpoints (``callbacks=each_epoch``), tests each of them, and writes the figures
under NAME into ``results.json`` and ``figures/NAME.png`` beside this file. Further runs may be jobs
of a sweep; a run with ``last.ckpt`` alone counts as one model.
"""

import argparse
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import matplotlib as mpl
import pytorch_lightning as pl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from omegaconf import OmegaConf
from scipy.stats import spearmanr

from memguard.builders import build_benchmark, build_datamodule, build_detector
from memguard.checkpoints import read_checkpoint
from memguard.config import register_resolvers
from memguard.data.pseudo import PseudoSample, pseudo_sample
from memguard.monitors import pseudo_auroc
from memguard.report.figures import BLUE, STYLE, VERMILION
from memguard.trained import as_trained

HERE = Path(__file__).parent
MARKERS = "osD^vP*X"
PROTOCOLS = {"test/auroc": "published protocol", "test/auroc_patch": "worst patch"}

Row = dict[str, Any]


def measure(run: Path, windows: int) -> Iterator[Row]:
    """Score the checkpoints of a run by both measures, in the order of their epochs.

    Args:
        run: The run folder.
        windows: Normal windows of the sample, as ``callbacks.pseudo_auroc.windows``.
    """
    paths = sorted((run / "checkpoints").glob("epoch*.ckpt")) or [run / "checkpoints" / "last.ckpt"]
    datamodule, sample = None, None
    for path in paths:
        checkpoint = read_checkpoint(path)
        config = as_trained(path, checkpoint, OmegaConf.create())
        if datamodule is None:
            datamodule = build_datamodule(config, build_benchmark(config))
            datamodule.prepare_data()
            datamodule.setup()
            sample = pseudo_sample(datamodule.held_out, datamodule.length, windows)
        if sample is None:
            raise SystemExit(f"{run}: nothing was held out (data.holdout=0), so nothing is made")
        yield _row(run, checkpoint, build_detector(config), datamodule, sample)


def _row(
    run: Path,
    checkpoint: dict[str, Any],
    detector: pl.LightningModule,
    datamodule: pl.LightningDataModule,
    sample: PseudoSample,
) -> Row:
    detector.load_state_dict(checkpoint["state_dict"])
    trainer = pl.Trainer(accelerator="auto", devices=1, logger=False, enable_model_summary=False)
    trainer.test(detector, datamodule, verbose=False)
    tested = {name: float(value) for name, value in trainer.callback_metrics.items()}
    pseudo = pseudo_auroc(detector.eval(), sample)  # type: ignore[arg-type]
    return {"run": run.name, "epoch": checkpoint["epoch"] + 1, **pseudo, **tested}


def rank_correlations(rows: list[Row]) -> dict[str, float]:
    """Spearman's ρ of every pseudo AUROC with every test AUROC over all checkpoints.

    A measure that is the same for all ranks nothing, and has none.
    """
    columns = {name: [row[name] for row in rows] for name in rows[0]}
    pseudo = [name for name in columns if name.startswith("pseudo") and len(set(columns[name])) > 1]
    return {
        f"{name} ~ {test}": float(spearmanr(columns[name], columns[test]).statistic)
        for name in pseudo
        for test in PROTOCOLS
    }


def draw(rows: list[Row]) -> Figure:
    """Draw both measures over the epochs of the first run, if any, and against each other."""
    runs: dict[str, list[Row]] = {}
    for row in rows:
        runs.setdefault(row["run"], []).append(row)
    first = next(iter(runs.values()))
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(7.2, 2.7))
        panels = list(figure.subplots(1, len(PROTOCOLS) + (len(first) > 1)))
        if len(first) > 1:
            _draw_epochs(panels.pop(0), first)
        for axes, (test, protocol) in zip(panels, PROTOCOLS.items(), strict=True):
            rho = rank_correlations(rows)[f"pseudo_auroc ~ {test}"]
            for of_run, marker in zip(runs.values(), MARKERS * len(runs), strict=False):
                _draw_points(axes, of_run, test, marker)
            axes.set(xlabel="pseudo AUROC", ylabel=f"test AUROC, {protocol}")
            axes.set_title(f"ρ = {rho:.2f}, {len(rows)} models", loc="left")
    return figure


def _draw_epochs(axes: Axes, rows: list[Row]) -> None:
    epochs = [row["epoch"] for row in rows]
    lines = {"pseudo_auroc": ("pseudo", BLUE, "-", "o")} | {
        test: (f"test, {protocol}", VERMILION, style, marker)
        for (test, protocol), style, marker in zip(
            PROTOCOLS.items(), ("-", "--"), ("s", "^"), strict=True
        )
    }
    for name, (label, colour, style, marker) in lines.items():
        values = [row[name] for row in rows]
        axes.plot(epochs, values, style, color=colour, marker=marker, markersize=3, label=label)
    axes.set(xlabel="epoch", ylabel="AUROC")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.figure.legend(loc="outside upper left", ncols=3, frameon=False)


def _draw_points(axes: Axes, rows: list[Row], test: str, marker: str) -> None:
    """Draw a point per epoch, with its number beside it where there are several."""
    x, y = [row["pseudo_auroc"] for row in rows], [row[test] for row in rows]
    axes.plot(x, y, marker, color=BLUE, markersize=3)
    for row in rows if len(rows) > 1 else []:
        place = (row["pseudo_auroc"], row[test])
        axes.annotate(
            str(row["epoch"]), place, (3, 2), textcoords="offset points", fontsize=6, color="0.3"
        )


def main() -> None:
    """Measure, and write results and figure."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("name")
    parser.add_argument("runs", type=Path, nargs="+")
    parser.add_argument("--windows", type=int, default=48)
    arguments = parser.parse_args()
    register_resolvers()
    rows = [row for run in arguments.runs for row in measure(run, arguments.windows)]
    results = HERE / "results.json"
    known = json.loads(results.read_text(encoding="utf-8")) if results.exists() else {}
    known[arguments.name] = {"rank_correlation": rank_correlations(rows), "models": rows}
    results.write_text(json.dumps(known, indent=2) + "\n", encoding="utf-8")
    (HERE / "figures").mkdir(exist_ok=True)
    draw(rows).savefig(HERE / "figures" / f"{arguments.name}.png")


if __name__ == "__main__":
    main()
