"""The figures and tables of a test, by hand."""

import csv
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from memguard.report.dashboard.figure_sink import FigureSink
from memguard.report.dashboard.test import TestFigures
from memguard.scoring.protocols import ScoreConfig


def shown_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, name: Any = "published", length: int = 5
) -> dict[str, Figure]:
    """Show a test of two videos, six frames each; return the figures by the names of their files.

    The label of each video's peak differs from those beside it.
    """
    figures: dict[str, Figure] = {}

    def keep(self: FigureSink, trainer: Any, name: str, figure: Figure, *, file: str) -> None:
        figures[file] = figure

    monkeypatch.setattr(FigureSink, "figure", keep)
    first, second = [0, 0, 1, 0, 0, 0], [1, 1, 1, 1, 0, 1]
    columns = {
        "video": torch.arange(12) // 6,
        "frame": torch.arange(12) % 6 + 4,
        "score": torch.tensor([0, 0.2, 0.9, 0.1, 0.3, 0, 0, 0.1, 0.2, 0.3, 1, 0]) / 100,
        "label": torch.tensor(first + second),
        "written": torch.tensor([0, 1, 1, 0, 0, 0, 0, 0, 0, 1, 1, 0]),
        "regular": torch.arange(12) / 10,
        "psnr": torch.arange(12),
        "distance": torch.arange(12),
        "patch": torch.arange(12),
        "patch_row": torch.arange(12),
        "patch_column": torch.arange(12) * 2,
    }
    target = torch.zeros(1, 1, 32, 64) - 1
    scorer: Any = SimpleNamespace(
        frames={key: column.double() for key, column in columns.items()},
        # A patch is 4 by 8 pixels, the next one begins 1 and 2 further.
        scoring=ScoreConfig(name, weight=0.6, patch=(1 / 8, 1 / 8), smoothing=0, causal=False),
        frame_shape=(32, 64),
        place_metrics={},
        device="cpu",
        predict=lambda clips: (target + 1, target),
    )
    records = [SimpleNamespace(name="one"), SimpleNamespace(name="two")]
    data = SimpleNamespace(
        benchmark=SimpleNamespace(test=records),
        length=length,
        test_window=lambda video, frame: torch.full((length, 1, 32, 64), 100 * video + frame),
    )
    trainer: Any = SimpleNamespace(
        is_global_zero=True, datamodule=data, loggers=[], global_step=0,
        precision_plugin=pl.plugins.Precision(),
    )  # fmt: skip
    TestFigures(str(tmp_path)).on_test_end(trainer, scorer)
    return figures


def test_the_truth_that_is_shown_is_that_of_each_frame(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    figures = shown_of(tmp_path, monkeypatch)
    shaded = [
        [(patch.get_x(), patch.get_x() + patch.get_width()) for patch in axes.patches]
        for axes in figures["scores.png"].axes[:2]
    ]
    assert shaded == [[(5.5, 6.5)], [(3.5, 7.5), (8.5, 9.5)]]
    # Those least normal to the guard come first; a frame around one says that it is anomalous.
    sheet = [
        (
            axes.get_title(),
            axes.spines["top"].get_visible(),
            float(axes.images[0].get_array()[0, 0]),
        )
        for axes in figures["written_frames.png"].axes
    ]
    assert sheet == [
        ("two, frame 8\nregular score 1", False, 108),
        ("two, frame 7\nregular score 0.9", True, 107),
        ("one, frame 6\nregular score 0.2", True, 6),
        ("one, frame 5\nregular score 0.1", False, 5),
    ]
    with (tmp_path / "tables" / "videos.csv").open(newline="") as file:
        rows = {row["video"]: row for row in csv.DictReader(file)}
    assert [rows[name]["peak_frame"] for name in ("one", "two")] == ["6", "8"]
    assert [rows[name]["written_anomalous"] for name in ("one", "two")] == ["1", "1"]
    assert [float(rows[name]["auroc"]) for name in ("one", "two")] == [1, 0]


def test_the_worst_frames_have_the_box_of_their_own_worst_patch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    figure = shown_of(tmp_path, monkeypatch)["worst_frames.png"]
    assert [axes.get_ylabel() for axes in figure.axes[:6:3]] == [
        "two, frame 8\nscore 0.01", "one, frame 6\nscore 0.009",
    ]  # fmt: skip
    for axes, (row, column) in zip(figure.axes[:6], [(10, 20)] * 3 + [(2, 4)] * 3, strict=True):
        box = axes.patches[-1]
        assert isinstance(box, Rectangle)
        assert (*box.get_xy(), box.get_width(), box.get_height()) == (
            2 * column - 0.5, row - 0.5, 8, 4,
        )  # fmt: skip


@pytest.mark.parametrize("length", [1, 5])
def test_the_worst_frames_say_whether_they_are_predicted(
    length: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    figure = shown_of(tmp_path, monkeypatch, length=length)["worst_frames.png"]
    assert ("prediction" in figure.axes[1].get_title()) == (length > 1)


@pytest.mark.parametrize(("name", "top"), [("published", 1), ("patch", 0.01)])
def test_a_chart_is_as_high_as_its_scores_can_be(
    name: str, top: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    axes = shown_of(tmp_path, monkeypatch, name=name)["scores.png"].axes[0]
    assert axes.get_ylim()[1] == pytest.approx(1.04 * top)
    assert axes.get_yticks().tolist() == pytest.approx([0, top / 2, top])


def test_each_curve_of_the_figure_has_a_colour_and_a_legend_with_its_area(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    roc, trade = shown_of(tmp_path, monkeypatch, name="shared_range")["curves.png"].axes
    for axes in (roc, trade):
        named = [line for line in axes.lines if not line.get_label().startswith("_")]
        assert len({line.get_color() for line in named}) == 4
        texts = [text.get_text().split(",")[0] for text in axes.get_legend().get_texts()]
        assert texts == ["shared_range", "published", "unnormalised", "patch"]
    assert roc.get_legend().get_title().get_text() == "score, AUROC"
    assert trade.get_legend().get_title().get_text() == "score, average precision"
