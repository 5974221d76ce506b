"""What the callbacks sum up, by hand."""

import csv
from math import log
from pathlib import Path

import numpy as np
import pytest
import pytorch_lightning as pl
import torch

from memguard.report.dashboard.board import Board
from memguard.report.dashboard.memory import item_statistics
from memguard.report.dashboard.test import VIDEO_COLUMNS, video_row
from memguard.report.figures import MemoryHistory, VideoScores, memory_history


def test_item_statistics_by_hand() -> None:
    items = torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.6, 0.8]])
    found = item_statistics(torch.tensor([0.5, 0.5, 0.0]), torch.tensor([0.0, 0.1, 0.5]), items)
    expected = {
        "memory/dead": 1, "memory/entropy": log(2), "memory/drift_mean": 0.2,
        "memory/drift_max": 0.5, "memory/cosine_mean": (0 + 0.6 + 0.8) / 3,
        "memory/cosine_max": 0.8,
    }  # fmt: skip
    assert {name: float(value) for name, value in found.items()} == pytest.approx(expected)


def test_a_single_item_is_compared_with_none() -> None:
    found = item_statistics(torch.ones(1), torch.zeros(1), torch.tensor([[1.0, 0.0]]))
    assert "memory/cosine_max" not in found
    assert float(found["memory/entropy"]) == 0


@pytest.mark.parametrize("size", [1, 4, 40])
@pytest.mark.parametrize("dead", [True, False])
@pytest.mark.filterwarnings("error")
def test_a_memory_of_any_size_is_drawn(size: int, dead: bool, tmp_path: Path) -> None:
    share = np.full((2, size), 1 / size)
    if dead:
        share[:, 0] = 0
    figure = memory_history(MemoryHistory(1, share, np.zeros((2, size)), np.eye(size)))
    figure.savefig(tmp_path / "memory.png")
    assert (tmp_path / "memory.png").stat().st_size > 0
    now = figure.axes[1]
    assert now.get_title(loc="left").startswith(f"{int(dead)} of {size} dead")
    assert [bar.get_height() for bar in now.patches] == share[-1].tolist()
    crosses = [line for line in now.lines if line.get_marker() == "x"]
    assert [float(line.get_xdata()[0]) for line in crosses] == ([0] if dead else [])


def video(label: list[int]) -> VideoScores:
    return VideoScores(
        "v", np.array([4, 5, 6, 7]), np.array([0.1, 0.4, 0.35, 0.8]), np.array(label),
        np.array([1, 0, 1, 0]),
    )  # fmt: skip


def test_a_videos_row_by_hand() -> None:
    row = dict(zip(VIDEO_COLUMNS, video_row(video([0, 0, 1, 1])), strict=True))
    assert row == {
        "video": "v", "frames": 4, "anomalous": 2, "auroc": 0.75, "peak_score": 0.8,
        "peak_frame": 7, "written": 2, "written_anomalous": 1,
    }  # fmt: skip


def test_a_video_without_both_classes_has_no_area() -> None:
    normal = dict(zip(VIDEO_COLUMNS, video_row(video([0, 0, 0, 0])), strict=True))
    assert normal["auroc"] is None
    assert normal["anomalous"] == 0
    unknown = dict(zip(VIDEO_COLUMNS, video_row(video([-1, -1, -1, -1])), strict=True))
    assert unknown["auroc"] is unknown["anomalous"] is unknown["written_anomalous"] is None


def test_a_table_is_a_file_with_empty_cells(tmp_path: Path) -> None:
    trainer = pl.Trainer(logger=False, enable_checkpointing=False, accelerator="cpu")
    Board(tmp_path).table(trainer, "test/videos", ["video", "auroc"], [["a, b", None], ["c", 0.5]])
    with (tmp_path / "tables" / "videos.csv").open(newline="") as file:
        assert list(csv.reader(file)) == [["video", "auroc"], ["a, b", ""], ["c", "0.5"]]
