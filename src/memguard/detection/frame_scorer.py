"""Frame scorers: the interface that trained detectors and baselines share in a test."""

from abc import abstractmethod
from typing import TypedDict

import pytorch_lightning as pl
import torch
from torch import Tensor

from memguard.data.clips.windows import ClipBatch
from memguard.scoring.metrics import FrameTable
from memguard.scoring.protocols import ScoreConfig, frame_metrics

COLUMNS = ["psnr", "distance", "regular", "written", "patch", "patch_row", "patch_column", "label"]


class ScoredFrames(TypedDict):
    """Values of successive frames of a video.

    Attributes:
        output: (B, C, H, W), the predicted or reconstructed frames, values in [−1, 1].
        target: (B, C, H, W), the true frames.
        psnr: (B,), dB; see :func:`memguard.scoring.psnr`.
        distance: (B,), the second term of the score; see :func:`memguard.scoring.feature_distance`.
        regular: (B,), see :func:`memguard.scoring.regular_score`.
        written: (B,), whether the frame updated the memory.
        patch: (B, rows, columns); see :func:`memguard.scoring.patch_error`.
    """

    output: Tensor
    target: Tensor
    psnr: Tensor
    distance: Tensor
    regular: Tensor
    written: Tensor
    patch: Tensor


class RememberedFrames(ScoredFrames):
    """Values of successive frames, and of the memory that scored them.

    Attributes:
        query: (B, H, W, C), the encoder's map, unit rows.
        similarity: (B, H, W, M), the cosine of each query with each item before the update.
        items: (M, C), the items of the last frame's memory, after the update.
    """

    query: Tensor
    similarity: Tensor
    items: Tensor


class FrameScorer(pl.LightningModule):
    """Score test videos frame by frame, in order, and log the metrics of each protocol.

    Args:
        scoring: Turns the values of a test into scores.

    Attributes:
        frames: The result of a test: ``video``, ``frame``, ``psnr``, ``distance``, ``regular``,
            ``written``, ``patch``, ``patch_row`` and ``patch_column`` (of the patch that decides
            the score), ``label`` (−1 unknown) and ``score``, each (frames,), in order.
        frame_shape: Height and width of the tested frames in pixels, (0, 0) before a test.
    """

    def __init__(self, scoring: ScoreConfig) -> None:
        super().__init__()
        self.scoring = scoring
        self.frames: dict[str, Tensor] = {}
        self.frame_shape = (0, 0)
        self._table = FrameTable(COLUMNS)
        self._unfinished: dict[int, list[dict[str, Tensor]]] = {}

    @abstractmethod
    def begin_test(self) -> None:
        """Discard the state of the last test."""

    @abstractmethod
    def score_frames(self, clips: Tensor, videos: Tensor) -> ScoredFrames:
        """Score the last frame of each window.

        Args:
            clips: uint8 (B, T, C, H, W). The windows of one video are in order, and the next call
                continues them.
            videos: (B,), the number of each window's video.
        """

    @abstractmethod
    def predict(self, clips: Tensor) -> tuple[Tensor, Tensor]:
        """Predict or reconstruct the last frame of separate windows, without memory updates.

        Args:
            clips: uint8 (B, T, C, H, W), of any videos.

        Returns:
            The frames and the targets, (B, C, H, W) each, values in [−1, 1].
        """

    def on_test_epoch_start(self) -> None:
        """Start with an empty table."""
        self.begin_test()
        self._table.reset()
        self._unfinished = {}

    def test_step(self, batch: ClipBatch, batch_idx: int) -> ScoredFrames:
        """Score successive windows of one or several videos."""
        scored = self.score_frames(batch.frames, batch.video)
        self.frame_shape = (batch.frames.shape[-2], batch.frames.shape[-1])
        values = {
            "video": batch.video,
            "frame": batch.frame,
            "label": batch.label,
            "psnr": scored["psnr"],
            "distance": scored["distance"],
            "regular": scored["regular"],
            "written": scored["written"],
            "patch": scored["patch"],
        }
        present = set(batch.video.tolist())
        for video in self._unfinished.keys() - present:
            self._finish_video(video)
        for video in present:
            rows = batch.video == video
            part = {name: column[rows] for name, column in values.items()}
            self._unfinished.setdefault(video, []).append(part)
        return scored

    def on_test_epoch_end(self) -> None:
        """Join the frames of all processes, and log the metrics."""
        self.frames = self.joined_frames()
        self.log_dict(frame_metrics(self.frames, self.scoring))

    def joined_frames(self) -> dict[str, Tensor]:
        """Join the frames of all processes and test steps; columns as in ``frames``."""
        for video in list(self._unfinished):
            self._finish_video(video)
        frames = self._table.rows()
        frames["score"] = self.scoring.scores(frames)[self.scoring.name]
        return frames

    def _finish_video(self, video: int) -> None:
        """Smooth the patches of a whole video, and add it to the table."""
        parts = self._unfinished.pop(video)
        columns = {name: torch.cat([part[name] for part in parts]) for name in parts[0]}
        errors = columns["patch"]
        columns["patch"] = self.scoring.worst_patch(errors)
        places = self.scoring.worst_places(errors, self.frame_shape)
        columns["patch_row"], columns["patch_column"] = places.unbind(dim=1)
        self._table.update(**columns)
