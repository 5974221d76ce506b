"""The curves of a run in a CSV file that a resumed run continues."""

import csv
import logging
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch
from lightning_fabric.loggers.logger import rank_zero_experiment
from pytorch_lightning.loggers import CSVLogger
from pytorch_lightning.utilities import rank_zero_only

from memguard.files import written_whole

log = logging.getLogger(__name__)


class ResumableCSVLogger(CSVLogger):
    """Log to a CSV file, and keep the rows of the run that a checkpoint resumes.

    Lightning's logger deletes the file. Here the rows up to the checkpoint's step stay; the resumed
    run takes later steps again.

    Args:
        checkpoint: The checkpoint that the run resumes; None starts a new file.
        settings: The options of Lightning's ``CSVLogger``.
    """

    def __init__(self, checkpoint: str | None, **settings: Any) -> None:
        super().__init__(**settings)
        self._checkpoint = checkpoint
        self._written = True  # the last time

    @property
    @rank_zero_experiment
    def experiment(self) -> Any:
        """The writer of the file."""
        if self._experiment is not None:
            return self._experiment
        path = Path(self.log_dir) / "metrics.csv"
        rows = _rows_before(path, self._checkpoint) if self._checkpoint and path.exists() else []
        path.unlink(missing_ok=True)
        writer = super().experiment
        if rows:
            _write(path, rows)
            writer.metrics_keys = list(rows[0])
        return writer

    @rank_zero_only
    def save(self) -> None:
        """Write the rows; on a full disk, hold them for the next time."""
        writer = self.experiment
        path, names = Path(writer.metrics_file_path), list(writer.metrics_keys)
        before = path.read_bytes() if path.exists() else b""
        try:
            super().save()
            self._written = True
        except OSError as error:
            writer.metrics_keys = names
            with suppress(OSError):
                path.write_bytes(before)
            if self._written:
                log.warning(
                    "The curves %s cannot be written (%s). Training continues and holds their rows "
                    "until they can: make room on its disk.", path, error.strerror,
                )  # fmt: skip
            self._written = False


def _rows_before(path: Path, checkpoint: str) -> list[dict[str, str]]:
    step = torch.load(checkpoint, map_location="cpu", weights_only=True).get("global_step", 0)
    with path.open(newline="", encoding="utf-8") as file:
        return [row for row in csv.DictReader(file) if int(row["step"]) < step]


def _write(path: Path, rows: list[dict[str, str]]) -> None:
    with written_whole(path) as unfinished, unfinished.open("w", newline="") as file:
        writer = csv.DictWriter(file, fieldnames=list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
