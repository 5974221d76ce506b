"""What a test found: score charts, the frames to look at, curves and tables."""

from collections.abc import Sequence
from math import isnan
from typing import cast

import numpy as np
import pytorch_lightning as pl
import torch

from memguard.data.clips.datamodule import ClipDataModule
from memguard.detection.frame_scorer import FrameScorer
from memguard.report.curves import curves, video_auroc
from memguard.report.dashboard.figure_sink import Board, Cell
from memguard.report.plots import (
    PaintedFrame,
    ShownFrame,
    VideoScores,
    contact_sheet,
    levels,
    painted_frames,
    roc_and_precision_recall,
    score_timelines,
)
from memguard.scoring.functional import patch_box
from memguard.scoring.protocols import highest_shown, protocol_table

VIDEOS_PER_PAGE = 24
PAINTED_ROWS = 4
WRITTEN_SHOWN = 12
VIDEO_COLUMNS = (
    "video", "frames", "anomalous", "auroc", "peak_score", "peak_frame", "written",
    "written_anomalous",
)  # fmt: skip


class TestFindings(pl.Callback):
    """Shows what a test found, in the run folder and to the loggers.

    - ``figures/scores.png``: the score over time with the truth shaded, a chart per video, in
      numbered pages where there are many,
    - ``figures/worst_frames.png``: the frames with the highest scores, one of a video, predicted or
      reconstructed again from the trained items, with their error maps and the box of the patch
      that had the largest error in the test,
    - ``figures/written_frames.png``: of the frames that the guard wrote into the memory those that
      look least normal to it,
    - ``figures/curves.png``: ROC and precision-recall curves, where labels have both classes,
    - ``tables/videos.csv`` and ``tables/protocols.csv``: by video, and by every protocol.

    Args:
        folder: The run folder.
    """

    __test__ = False  # pytest takes classes of this name for its own

    def __init__(self, folder: str) -> None:
        self.board = Board(folder)

    @torch.no_grad()
    def on_test_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Show everything."""
        if not trainer.is_global_zero:
            return
        scorer = cast(FrameScorer, pl_module)
        data: ClipDataModule = trainer.datamodule  # type: ignore[attr-defined]
        columns = {name: column.cpu().numpy() for name, column in scorer.frames.items()}
        videos = _videos(columns, [record.name for record in data.benchmark.test])
        self._show_timelines(
            trainer, list(videos.values()), highest_shown(scorer.frames, scorer.scoring)
        )
        self._show_worst(trainer, scorer, data, videos)
        self._show_written(trainer, data, columns, videos)
        self._show_curves(trainer, scorer)
        self._show_tables(trainer, scorer, videos)

    def _show_timelines(
        self, trainer: pl.Trainer, videos: Sequence[VideoScores], top: float
    ) -> None:
        pages = [videos[i : i + VIDEOS_PER_PAGE] for i in range(0, len(videos), VIDEOS_PER_PAGE)]
        for number, page in enumerate(pages, start=1):
            name = f"scores_{number}" if len(pages) > 1 else "scores"
            figure = score_timelines(page, top)
            self.board.figure(trainer, f"test/{name}", figure, file=f"{name}.png")

    def _show_worst(
        self,
        trainer: pl.Trainer,
        scorer: FrameScorer,
        data: ClipDataModule,
        videos: dict[int, VideoScores],
    ) -> None:
        highest = sorted(videos, key=lambda number: -videos[number].score.max())[:PAINTED_ROWS]
        rows = []
        for number in highest:
            video, place = videos[number], int(videos[number].score.argmax())
            frame = int(video.frame[place])
            window = data.test_window(number, frame).to(scorer.device)
            with trainer.precision_plugin.forward_context():
                output, target = scorer.predict(window[None])
            title = f"{video.name}, frame {frame}\nscore {video.score[place]:.3g}"
            box = _box(scorer, number, frame)
            rows.append(PaintedFrame(title, levels(target[0]), levels(output[0]), box))
        figure = painted_frames(rows, predicted=data.length > 1)
        self.board.figure(trainer, "test/worst_frames", figure, file="worst_frames.png")

    def _show_written(
        self,
        trainer: pl.Trainer,
        data: ClipDataModule,
        columns: dict[str, np.ndarray],
        videos: dict[int, VideoScores],
    ) -> None:
        written = np.flatnonzero(columns["written"])
        if len(written) == 0:
            return
        least_normal = written[np.argsort(-columns["regular"][written], kind="stable")]
        shown = []
        for row in least_normal[:WRITTEN_SHOWN]:
            number, frame = int(columns["video"][row]), int(columns["frame"][row])
            title = f"{videos[number].name}, frame {frame}\nregular {columns['regular'][row]:.3g}"
            picture = data.test_window(number, frame)[-1].numpy()
            shown.append(ShownFrame(title, picture, marked=columns["label"][row] == 1))
        figure = contact_sheet(shown, mark="anomalous, and written all the same")
        self.board.figure(trainer, "test/written_frames", figure, file="written_frames.png")

    def _show_curves(self, trainer: pl.Trainer, scorer: FrameScorer) -> None:
        found = list(curves(scorer.frames, scorer.scoring))
        if not found:
            return
        labels = scorer.frames["label"]
        share = float((labels == 1).sum() / (labels >= 0).sum())
        figure = roc_and_precision_recall(found, share)
        self.board.figure(trainer, "test/curves", figure, file="curves.png")

    def _show_tables(
        self, trainer: pl.Trainer, scorer: FrameScorer, videos: dict[int, VideoScores]
    ) -> None:
        rows = [video_row(video) for video in videos.values()]
        self.board.table(trainer, "test/videos", VIDEO_COLUMNS, rows)
        if protocols := protocol_table(scorer.frames, scorer.scoring):
            counts = list(next(iter(protocols.values())))
            lines: list[list[Cell]] = [
                [name, *(None if isnan(row[count]) else row[count] for count in counts)]
                for name, row in protocols.items()
            ]
            self.board.table(trainer, "test/protocols", ["score", *counts], lines)


def _box(scorer: FrameScorer, video: int, frame: int) -> tuple[int, int, int, int]:
    """Find where in a frame, in its pixels, the patch lies that the score is made of."""
    frames = scorer.frames
    row = (frames["video"] == video) & (frames["frame"] == frame)
    place = int(frames["patch_row"][row][0]), int(frames["patch_column"][row][0])
    shape = scorer.frame_shape
    return patch_box(*place, scorer.scoring.patch, frame=shape, picture=shape)


def _videos(columns: dict[str, np.ndarray], names: Sequence[str]) -> dict[int, VideoScores]:
    """Part the frames by their videos' numbers."""
    parts = {}
    for number in np.unique(columns["video"]).astype(int):
        rows = columns["video"] == number
        values = (columns[column][rows] for column in ("frame", "score", "label", "written"))
        parts[int(number)] = VideoScores(names[number], *values)
    return parts


def video_row(video: VideoScores) -> list[Cell]:
    """Sum up a video; the cells are those of ``VIDEO_COLUMNS``.

    What labels are needed for is left empty without them, the AUROC also where they are all alike.
    """
    known, anomalous, written = video.label >= 0, video.label == 1, video.written.astype(bool)
    peak = int(video.score.argmax())
    return [
        video.name,
        len(video.frame),
        int(anomalous.sum()) if known.any() else None,
        video_auroc(video.score, video.label),
        float(video.score[peak]),
        int(video.frame[peak]),
        int(written.sum()),
        int((written & anomalous).sum()) if known.any() else None,
    ]
