"""Figures and tables reach the run folder and the loggers, each without the other."""

import csv
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
import pytorch_lightning as pl
from matplotlib.figure import Figure
from PIL import Image
from pytorch_lightning.loggers import TensorBoardLogger

from memguard.report.dashboard.figure_sink import FigureSink
from memguard.report.table import Table


def test_a_table_is_a_file_with_empty_cells(tmp_path: Path) -> None:
    trainer = pl.Trainer(logger=False, enable_checkpointing=False, accelerator="cpu")
    table = Table(["video", "auroc"], [["a, b", None], ["c", 0.5]])
    FigureSink(tmp_path).table(trainer, "test/videos", table)
    with (tmp_path / "tables" / "videos.csv").open(newline="") as file:
        assert list(csv.reader(file)) == [["video", "auroc"], ["a, b", ""], ["c", "0.5"]]


class Board(TensorBoardLogger):
    """TensorBoard's logger, which holds what it is given."""

    def __init__(self) -> None:
        self.given: dict[str, Any] = {}

    @property
    def experiment(self) -> Any:
        return SimpleNamespace(
            add_image=lambda name, picture, *_, **__: self.given.update({name: picture}),
            add_text=lambda name, text, *_: self.given.update({name: text}),
        )


@pytest.mark.parametrize("writable", [True, False])
def test_loggers_have_what_the_folder_does_not_take(
    writable: bool, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    board, figure, sink = Board(), Figure((1, 0.5), dpi=20), FigureSink(tmp_path)
    figure.patch.set_facecolor("red")
    trainer = cast(pl.Trainer, SimpleNamespace(loggers=[board], global_step=3))
    if not writable:
        for name in ("figures", "tables"):
            (tmp_path / name).touch()  # where a folder should be
    sink.figure(trainer, "test/scores", figure, file="epochs/scores.png")
    sink.table(trainer, "test/videos", Table(["video"], [["a"]]))
    picture = board.given["test/scores"]
    assert picture.shape == (10, 20, 3)
    assert (picture == [255, 0, 0]).all()
    assert board.given["test/videos"] == "| video |\n| --- |\n| a |"
    paths = tmp_path / "figures" / "epochs" / "scores.png", tmp_path / "tables" / "videos.csv"
    if writable:
        assert caplog.messages == []
        assert np.array_equal(np.asarray(Image.open(paths[0]).convert("RGB")), picture)
        assert paths[1].exists()
    else:
        for path, message in zip(paths, caplog.messages, strict=True):
            assert message.startswith(f"{path} cannot be written (")
            assert "The run continues without it: make room" in message
