"""A finished test: its scores video by video, and its tables."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from math import isnan

import numpy as np
import torch
from torch import Tensor

from memguard.report.recorder import TestRecorder
from memguard.report.table import Cell, Table
from memguard.scoring import patch_box
from memguard.scoring.metrics import frame_auroc
from memguard.scoring.protocols import ScoreConfig, highest_shown, protocol_table

VIDEO_COLUMNS = (
    "video", "frames", "anomalous", "auroc", "peak_score", "peak_frame", "written",
    "written_anomalous",
)  # fmt: skip

Box = tuple[int, int, int, int]
"""Left, top, right and bottom in pixels; right and bottom are past the end."""


@dataclass(frozen=True)
class VideoScores:
    """The scores of one video.

    Attributes:
        name: The video's name.
        frame: (N,), 0-based frame numbers.
        score: (N,), anomaly scores.
        label: (N,), 1 anomalous, 0 normal, −1 unknown.
        written: (N,), whether the guard updated the memory with the frame.
    """

    name: str
    frame: np.ndarray
    score: np.ndarray
    label: np.ndarray
    written: np.ndarray

    @property
    def labelled(self) -> bool:
        """Whether any frame has a label."""
        return bool((self.label >= 0).any())

    @property
    def peak(self) -> int:
        """The place of the highest score among the N frames."""
        return int(self.score.argmax())

    def row(self) -> list[Cell]:
        """Summarise the video in the columns ``VIDEO_COLUMNS``.

        Cells that need labels are empty without them; the AUROC also needs both classes.
        """
        anomalous, written = self.label == 1, self.written.astype(bool)
        return [
            self.name,
            len(self.frame),
            int(anomalous.sum()) if self.labelled else None,
            video_auroc(self.score, self.label),
            float(self.score[self.peak]),
            int(self.frame[self.peak]),
            int(written.sum()),
            int((written & anomalous).sum()) if self.labelled else None,
        ]


def video_auroc(score: np.ndarray, label: np.ndarray) -> float | None:
    """Compute the area under the ROC curve of one video.

    Args:
        score: (N,), higher is more anomalous.
        label: (N,), 1 anomalous, 0 normal, −1 unknown.

    Returns:
        The area, in [0, 1]; None unless the labelled frames are of both classes.

    Example:
        >>> video_auroc(np.array([0.1, 0.4, 0.35, 0.8]), np.array([0, 0, 1, 1]))
        0.75
    """
    known = label >= 0
    if len(np.unique(label[known])) < 2:
        return None
    return frame_auroc(torch.from_numpy(score[known]), torch.from_numpy(label[known]))


@dataclass(frozen=True)
class ScoredTest:
    """The scores of a test.

    Attributes:
        frames: Columns as :class:`memguard.detection.frame_scorer.FrameScorer` has them.
        names: The names of the videos, by their numbers.
        scoring: The scoring of the test.
        frame_shape: Height and width of the tested frames in pixels.
        places: The metrics of :class:`memguard.detection.places.PlaceMetrics`.
    """

    frames: dict[str, Tensor]
    names: Sequence[str]
    scoring: ScoreConfig
    frame_shape: tuple[int, int]
    places: Mapping[str, float] = field(kw_only=True, default_factory=dict)

    @cached_property
    def columns(self) -> dict[str, np.ndarray]:
        """The frames' columns as arrays, (frames,) each."""
        return {name: column.cpu().numpy() for name, column in self.frames.items()}

    @cached_property
    def videos(self) -> dict[int, VideoScores]:
        """The scores of each video, by its number."""
        videos = {}
        for number in np.unique(self.columns["video"]).astype(int).tolist():
            rows = self.columns["video"] == number
            parts = (self.columns[name][rows] for name in ("frame", "score", "label", "written"))
            videos[number] = VideoScores(self.names[number], *parts)
        return videos

    @property
    def by_peak(self) -> list[int]:
        """The numbers of the videos, the one with the highest score first."""
        return sorted(self.videos, key=lambda number: -self.videos[number].score.max())

    @property
    def top(self) -> float:
        """The score at the upper end of a chart."""
        return highest_shown(self.frames, self.scoring)

    @property
    def anomalous_share(self) -> float:
        """The share of anomalous frames among those with a label."""
        label = self.columns["label"]
        return float((label == 1).sum() / (label >= 0).sum())

    def row_of(self, video: int, frame: int) -> int:
        """Find the row of a frame of a video."""
        found = (self.columns["video"] == video) & (self.columns["frame"] == frame)
        return int(np.flatnonzero(found)[0])

    def box(self, row: int) -> Box:
        """Locate the patch that decides the score of a row, in pixels of the tested frame."""
        place = int(self.columns["patch_row"][row]), int(self.columns["patch_column"][row])
        return patch_box(*place, self.scoring.sizes[0], self.frame_shape, self.frame_shape)

    def video_table(self) -> Table:
        """Tabulate the videos, a row each."""
        return Table(VIDEO_COLUMNS, [video.row() for video in self.videos.values()])

    def protocol_table(self) -> Table | None:
        """Tabulate every score under every protocol; None without labels.

        A cell is empty where the labels' classes do not allow the metric. The metrics of places do
        not depend on the score, and have a row of their own.
        """
        counts = protocol_table(self.frames, self.scoring)
        if not counts:
            return None
        metrics = list(next(iter(counts.values())))
        rows: list[list[Cell]] = [
            [name, *(None if isnan(row[metric]) else row[metric] for metric in metrics)]
            for name, row in counts.items()
        ]
        if self.places:
            blank: list[Cell] = [None] * len(self.places)
            rows = [[*row, *blank] for row in rows]
            rows.append(["places", *([None] * len(metrics)), *self.places.values()])
        places = [name.removeprefix("test/") for name in self.places]
        return Table(["score", *metrics, *places], rows)


@dataclass(frozen=True)
class FinishedTest(ScoredTest):
    """A finished test, with all that the report shows of it.

    Attributes:
        recorder: The recorder of the test.
        regions: (N, 7), see :attr:`memguard.detection.frame_scorer.FrameScorer.regions`.
        fps: Frames per second of each video, where there is a clock.
    """

    recorder: TestRecorder
    regions: Tensor
    fps: dict[int, float | None]
