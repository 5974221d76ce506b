"""The figure sink: it sends figures and tables to the run folder and to each kind of logger."""

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytorch_lightning as pl
from matplotlib.figure import Figure
from PIL import Image
from pytorch_lightning.loggers import Logger, TensorBoardLogger

from memguard.files import written_whole
from memguard.report.dashboard.loggers import ResilientWandbLogger
from memguard.report.table import Cell, Table

log = logging.getLogger(__name__)


class FigureSink:
    """Show figures, tables and histograms in the run folder and in every logger that can.

    Args:
        folder: The run folder: figures go to ``figures/``, tables to ``tables/``.
    """

    def __init__(self, folder: Path | str) -> None:
        self.folder = Path(folder)

    def figure(self, trainer: pl.Trainer, name: str, figure: Figure, *, file: str) -> None:
        """Show a figure.

        Args:
            trainer: The trainer with the loggers.
            name: The name in the loggers, such as ``test/scores``.
            figure: The figure.
            file: The file below ``figures/``, such as ``scores.png``.
        """
        path, png = self.folder / "figures" / file, BytesIO()
        figure.savefig(png, format="png")
        try:
            with written_whole(path) as unfinished:
                unfinished.write_bytes(png.getvalue())
        except OSError as error:
            _warn_of_unwritten(path, error)
        picture, step = Image.open(png), trainer.global_step
        for logger in trainer.loggers:
            if isinstance(logger, ResilientWandbLogger):
                logger.log_image(name, [picture], step=step)
            elif isinstance(logger, TensorBoardLogger):
                levels = np.asarray(picture.convert("RGB"))
                logger.experiment.add_image(name, levels, step, dataformats="HWC")

    def table(self, trainer: pl.Trainer, name: str, table: Table) -> None:
        """Show a table; its file has the last part of its name.

        Args:
            trainer: The trainer with the loggers.
            name: The name in the loggers, such as ``test/videos``.
            table: The table.
        """
        path = self.folder / "tables" / f"{name.split('/')[-1]}.csv"
        try:
            table.write_csv(path)
        except OSError as error:
            _warn_of_unwritten(path, error)
        step = trainer.global_step
        for logger in trainer.loggers:
            if isinstance(logger, ResilientWandbLogger):
                rows = [list(row) for row in table.rows]
                logger.log_table(name, list(table.columns), rows, step=step)
            elif isinstance(logger, TensorBoardLogger):
                logger.experiment.add_text(name, _markdown(table), step)

    def histogram(self, trainer: pl.Trainer, name: str, counts: np.ndarray) -> None:
        """Show a count for each number from 0.

        Args:
            trainer: The trainer with the loggers.
            name: The name in the loggers, such as ``memory/use``.
            counts: (M,), of any unit.
        """
        edges = np.arange(len(counts) + 1) - 0.5
        for logger in trainer.loggers:
            if isinstance(logger, ResilientWandbLogger):
                from wandb import Histogram  # takes seconds to import

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
        "%s cannot be written (%s). The run continues without it: make room on its disk or correct "
        "its folder's permissions.", path, error.strerror,
    )  # fmt: skip


def _markdown(table: Table) -> str:
    lines = [table.columns, ["---"] * len(table.columns), *table.rows]
    return "\n".join(f"| {' | '.join(_text(cell) for cell in line)} |" for line in lines)


def _text(cell: Cell) -> str:
    if cell is None:
        return ""
    return f"{cell:.4g}" if isinstance(cell, float) else str(cell)


def keep_files(loggers: Sequence[Logger], files: Mapping[str, Path]) -> None:
    """Send a run's files to the loggers that store artifacts, and show those that are pages.

    Args:
        loggers: The trainer's loggers.
        files: The files, by a kind such as ``checkpoint``.
    """
    for logger in loggers:
        if isinstance(logger, ResilientWandbLogger):
            for kind, path in files.items():
                logger.log_file(kind, path)
                if path.suffix == ".html":
                    logger.log_page(kind, path)


class LoggedSettings(pl.Callback):
    """Log a run's settings once it begins; a configuration rejected before leaves no run.

    Args:
        settings: The settings.
    """

    def __init__(self, settings: dict[str, Any]) -> None:
        self._settings: dict[str, Any] | None = settings

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Log the settings at the first stage of the run."""
        settings, self._settings = self._settings, None
        if settings is not None:
            for logger in trainer.loggers:
                logger.log_hyperparams(settings)


@contextmanager
def closing(loggers: Sequence[Logger]) -> Iterator[None]:
    """End the loggers' runs, or the next job of a sweep would log into this one's.

    A run that raises is marked as failed.
    """
    status = 1
    try:
        yield
        status = 0
    finally:
        for logger in loggers:
            if isinstance(logger, ResilientWandbLogger):
                logger.end(status)
