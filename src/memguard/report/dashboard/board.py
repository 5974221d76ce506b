"""The board: where findings are shown. It alone knows how each logger takes them."""

import csv
import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytorch_lightning as pl
from matplotlib.figure import Figure
from PIL import Image
from pytorch_lightning.loggers import Logger, TensorBoardLogger

from memguard.data.cache import written_whole
from memguard.report.dashboard.steady import SteadyWandbLogger

log = logging.getLogger(__name__)

Cell = str | int | float | None


class Board:
    """Shows figures, tables and histograms in the run folder and to every logger that can.

    Args:
        folder: The run folder: figures go to ``figures/``, tables to ``tables/``.
    """

    def __init__(self, folder: Path | str) -> None:
        self.folder = Path(folder)

    def figure(self, trainer: pl.Trainer, name: str, figure: Figure, *, file: str) -> None:
        """Show a figure.

        Args:
            trainer: Whose loggers are asked.
            name: For the loggers, such as ``test/scores``.
            figure: What to show.
            file: Below ``figures/``, such as ``scores.png``.
        """
        path = self.folder / "figures" / file
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with written_whole(path) as unfinished:
                figure.savefig(unfinished)
        except OSError as error:
            _warn_of_unwritten(path, error)
            return
        step = trainer.global_step
        for logger in trainer.loggers:
            if isinstance(logger, SteadyWandbLogger):
                logger.log_image(name, [str(path)], step=step)
            elif isinstance(logger, TensorBoardLogger):
                picture = np.asarray(Image.open(path).convert("RGB"))
                logger.experiment.add_image(name, picture, step, dataformats="HWC")

    def table(
        self,
        trainer: pl.Trainer,
        name: str,
        columns: Sequence[str],
        rows: Sequence[Sequence[Cell]],
    ) -> None:
        """Show a table; its file is named by what follows the last ``/`` of its name.

        Args:
            trainer: Whose loggers are asked.
            name: Such as ``test/videos``.
            columns: Their names.
            rows: A cell for each column; None leaves it empty.
        """
        path = self.folder / "tables" / f"{name.split('/')[-1]}.csv"
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("w", newline="", encoding="utf-8") as file:
                csv.writer(file).writerows([columns, *rows])
        except OSError as error:
            _warn_of_unwritten(path, error)
        step = trainer.global_step
        for logger in trainer.loggers:
            if isinstance(logger, SteadyWandbLogger):
                logger.log_table(name, list(columns), [list(row) for row in rows], step=step)
            elif isinstance(logger, TensorBoardLogger):
                logger.experiment.add_text(name, _markdown(columns, rows), step)

    def histogram(self, trainer: pl.Trainer, name: str, counts: np.ndarray) -> None:
        """Show how often each of several things was counted, from 0 on.

        Args:
            trainer: Whose loggers are asked.
            name: Such as ``memory/use``.
            counts: (M,), of any unit.
        """
        edges = np.arange(len(counts) + 1) - 0.5
        for logger in trainer.loggers:
            if isinstance(logger, SteadyWandbLogger):
                from wandb import Histogram  # takes seconds, as in config.wandb_mode

                histogram = Histogram(np_histogram=(counts, edges))
                logger.log_metrics({name: histogram}, step=trainer.global_step)
            elif isinstance(logger, TensorBoardLogger):
                number = np.arange(len(counts))
                logger.experiment.add_histogram_raw(
                    name,
                    min=0,
                    max=len(counts) - 1,
                    num=counts.sum(),
                    sum=(counts * number).sum(),
                    sum_squares=(counts * number**2).sum(),
                    bucket_limits=edges[1:].tolist(),
                    bucket_counts=counts.tolist(),
                    global_step=trainer.global_step,
                )


def _warn_of_unwritten(path: Path, error: OSError) -> None:
    log.warning(
        "%s cannot be written (%s). The run goes on without it: make room on its disk.",
        path, error.strerror,
    )  # fmt: skip


def _markdown(columns: Sequence[str], rows: Sequence[Sequence[Cell]]) -> str:
    lines = [columns, ["---"] * len(columns), *rows]
    return "\n".join(f"| {' | '.join(_written(cell) for cell in line)} |" for line in lines)


def _written(cell: Cell) -> str:
    if cell is None:
        return ""
    return f"{cell:.4g}" if isinstance(cell, float) else str(cell)


def keep_files(loggers: Sequence[Logger], files: Mapping[str, Path]) -> None:
    """Give a run's files to the loggers that keep such, as artifacts named by kind and run.

    Args:
        loggers: The trainer's.
        files: By kind, such as ``checkpoint``.
    """
    for logger in loggers:
        if isinstance(logger, SteadyWandbLogger):
            for kind, path in files.items():
                logger.keep(kind, path)


class LoggedSettings(pl.Callback):
    """Gives the loggers a run's settings once it begins; what is refused before leaves no run.

    Args:
        settings: Of the run.
    """

    def __init__(self, settings: dict[str, Any]) -> None:
        self._settings: dict[str, Any] | None = settings

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Give them, at the first stage of the run."""
        settings, self._settings = self._settings, None
        if settings is not None:
            for logger in trainer.loggers:
                logger.log_hyperparams(settings)


@contextmanager
def closing(loggers: Sequence[Logger]) -> Iterator[None]:
    """End the loggers' runs, so that the next job of a sweep does not go on in this one's.

    A run that raises is marked as failed.
    """
    status = 1
    try:
        yield
        status = 0
    finally:
        for logger in loggers:
            if isinstance(logger, SteadyWandbLogger):
                logger.end(status)
