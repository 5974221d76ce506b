"""The curves as a CSV file: a full disk takes nothing from them."""

import csv
import logging
from pathlib import Path

import pytest
from lightning_fabric.loggers import csv_logs

from memguard.report.dashboard.csv_log import ResumableCSVLogger


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize("first", [{"train/loss": 5.0}, {}])
def test_rows_that_a_full_disk_does_not_take_are_written_later(
    first: dict[str, float], tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    logger = ResumableCSVLogger(None, save_dir=str(tmp_path), name="curves", version="")
    if first:
        logger.log_metrics(first, step=1)
        logger.save()
    path = tmp_path / "curves" / "metrics.csv"

    def fill(writer: csv_logs._ExperimentWriter) -> None:
        writer._record_new_keys()
        path.write_text("torn")  # as a header is written again
        raise OSError(28, "No space left on device", str(path))

    logger.log_metrics({"val/psnr": 20.0}, step=2)
    with monkeypatch.context() as full, caplog.at_level(logging.WARNING):
        full.setattr(csv_logs._ExperimentWriter, "save", fill)
        logger.save()
        logger.log_metrics({"val/psnr": 21.0}, step=3)
        logger.finalize("failed")
    assert caplog.text.count("cannot be written (No space left on device)") == 1
    assert [row["step"] for row in rows(path)] == (["1"] if first else [])
    logger.save()
    assert [row["step"] for row in rows(path)] == [*(["1"] if first else []), "2", "3"]
    assert [row["val/psnr"] for row in rows(path)][-2:] == ["20.0", "21.0"]
