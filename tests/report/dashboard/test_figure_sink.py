import csv
from pathlib import Path

import pytorch_lightning as pl

from memguard.report.dashboard.figure_sink import FigureSink
from memguard.report.table import Table


def test_a_table_is_a_file_with_empty_cells(tmp_path: Path) -> None:
    trainer = pl.Trainer(logger=False, enable_checkpointing=False, accelerator="cpu")
    table = Table(["video", "auroc"], [["a, b", None], ["c", 0.5]])
    FigureSink(tmp_path).table(trainer, "test/videos", table)
    with (tmp_path / "tables" / "videos.csv").open(newline="") as file:
        assert list(csv.reader(file)) == [["video", "auroc"], ["a, b", ""], ["c", "0.5"]]
