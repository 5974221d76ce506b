"""Figures and tables of a test: scores, frames to look at, curves, videos and protocols."""

from typing import cast

import numpy as np
import pytorch_lightning as pl
import torch

from memguard.data.clips.datamodule import ClipDataModule
from memguard.detection.frame_scorer import FrameScorer
from memguard.report.dashboard.figure_sink import FigureSink
from memguard.report.pictures import levels
from memguard.report.plots.curves import roc_and_precision_recall, score_curves
from memguard.report.plots.frames import (
    ComparedFrame,
    SheetFrame,
    contact_sheet,
    frame_comparison,
)
from memguard.report.plots.scores import score_timelines
from memguard.report.tested import ScoredTest

VIDEOS_PER_PAGE = 24
COMPARED_FRAMES = 4
SHEET_FRAMES = 12


class TestFigures(pl.Callback):
    """Show the figures and tables of a test, in the run folder and in the loggers.

    - ``figures/scores.png``: the score of each video over time, anomalous stretches shaded, in
      numbered pages where there are many videos,
    - ``figures/worst_frames.png``: the frames with the highest scores, one of a video, predicted or
      reconstructed again from the trained items, with their error maps and the box of the patch
      that had the largest error in the test,
    - ``figures/written_frames.png``: of the memory updates those that look least normal to the
      guard,
    - ``figures/curves.png``: ROC and precision-recall curves, where labels have both classes,
    - ``tables/videos.csv`` and ``tables/protocols.csv``: by video, and by protocol.

    Args:
        folder: The run folder.
    """

    __test__ = False  # pytest takes classes of this name for its own

    def __init__(self, folder: str) -> None:
        self.sink = FigureSink(folder)

    @torch.no_grad()
    def on_test_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Show everything."""
        if not trainer.is_global_zero:
            return
        scorer = cast(FrameScorer, pl_module)
        data: ClipDataModule = trainer.datamodule  # type: ignore[attr-defined]
        names = [record.name for record in data.benchmark.test]
        test = ScoredTest(
            scorer.frames,
            names,
            scorer.scoring,
            scorer.frame_shape,
            places=scorer.place_metrics,
        )
        self._show_timelines(trainer, test)
        self._show_worst(trainer, scorer, data, test)
        self._show_updates(trainer, data, test)
        self._show_curves(trainer, test)
        self.sink.table(trainer, "test/videos", test.video_table())
        if protocols := test.protocol_table():
            self.sink.table(trainer, "test/protocols", protocols)

    def _show_timelines(self, trainer: pl.Trainer, test: ScoredTest) -> None:
        videos = list(test.videos.values())
        pages = [videos[i : i + VIDEOS_PER_PAGE] for i in range(0, len(videos), VIDEOS_PER_PAGE)]
        for number, page in enumerate(pages, start=1):
            name = f"scores_{number}" if len(pages) > 1 else "scores"
            figure = score_timelines(page, test.top)
            self.sink.figure(trainer, f"test/{name}", figure, file=f"{name}.png")

    def _show_worst(
        self, trainer: pl.Trainer, scorer: FrameScorer, data: ClipDataModule, test: ScoredTest
    ) -> None:
        rows = []
        for number in test.by_peak[:COMPARED_FRAMES]:
            video = test.videos[number]
            frame = int(video.frame[video.peak])
            window = data.test_window(number, frame).to(scorer.device)
            with trainer.precision_plugin.forward_context():
                output, target = scorer.predict(window[None])
            title = f"{video.name}, frame {frame}\nscore {video.score[video.peak]:.3g}"
            box = test.box(test.row_of(number, frame))
            rows.append(ComparedFrame(title, levels(target[0]), levels(output[0]), box))
        figure = frame_comparison(rows, predicted=data.length > 1)
        self.sink.figure(trainer, "test/worst_frames", figure, file="worst_frames.png")

    def _show_updates(self, trainer: pl.Trainer, data: ClipDataModule, test: ScoredTest) -> None:
        columns = test.columns
        updates = np.flatnonzero(columns["written"])
        if len(updates) == 0:
            return
        least_normal = updates[np.argsort(-columns["regular"][updates], kind="stable")]
        shown = []
        for row in least_normal[:SHEET_FRAMES]:
            number, frame = int(columns["video"][row]), int(columns["frame"][row])
            score = f"regular score {columns['regular'][row]:.3g}"
            title = f"{test.names[number]}, frame {frame}\n{score}"
            picture = data.test_window(number, frame)[-1].numpy()
            shown.append(SheetFrame(title, picture, marked=columns["label"][row] == 1))
        figure = contact_sheet(shown, mark="anomalous by the labels, yet a memory update")
        self.sink.figure(trainer, "test/written_frames", figure, file="written_frames.png")

    def _show_curves(self, trainer: pl.Trainer, test: ScoredTest) -> None:
        curves = score_curves(test.frames, test.scoring)
        if not curves:
            return
        figure = roc_and_precision_recall(curves, test.anomalous_share)
        self.sink.figure(trainer, "test/curves", figure, file="curves.png")
