"""What scores the frames of test videos, be it a trained detector or a baseline."""

from abc import abstractmethod
from typing import TypedDict

import pytorch_lightning as pl
import torch
from torch import Tensor

from memguard.data.clips.windows import ClipBatch
from memguard.scoring.metrics import FrameTable
from memguard.scoring.protocols import Scoring, frame_metrics

COLUMNS = ["psnr", "distance", "regular", "written", "patch", "patch_row", "patch_column", "label"]


class ScoredFrames(TypedDict):
    """What was found of successive frames of one video.

    Attributes:
        output: (B, C, H, W), the frames as they were expected, values in [−1, 1].
        target: (B, C, H, W), the frames as they were.
        psnr: (B,), dB; see :func:`memguard.scoring.functional.psnr`.
        distance: (B,), how far they are from what is known; the second term of the score.
        regular: (B,), see :func:`memguard.scoring.functional.regular_score`.
        written: (B,), whether the guard wrote them into the memory.
        patch: (B, rows, columns); see :func:`memguard.scoring.functional.patch_error`.
    """

    output: Tensor
    target: Tensor
    psnr: Tensor
    distance: Tensor
    regular: Tensor
    written: Tensor
    patch: Tensor


class RememberedFrames(ScoredFrames):
    """What was found with a memory.

    Attributes:
        query: (B, H, W, C), the encoder's map, unit rows.
        similarity: (B, H, W, M), the cosine of each query with each item as it was then.
        items: (M, C), the items of the last frame's memory as the guard left them.
    """

    query: Tensor
    similarity: Tensor
    items: Tensor


class FrameScorer(pl.LightningModule):
    """Scores test videos frame by frame, in order, and counts by every protocol.

    Args:
        scoring: How scores are made.

    Attributes:
        frames: After a test: its columns ``video``, ``frame``, ``psnr``, ``distance``, ``regular``,
            ``written``, ``patch``, ``patch_row`` and ``patch_column`` (of the patch that the score
            is made of), ``label`` (−1 unknown) and ``score``, each (frames,), ordered.
        frame_shape: Height and width of the tested frames in pixels, (0, 0) before a test.
    """

    def __init__(self, scoring: Scoring) -> None:
        super().__init__()
        self.scoring = scoring
        self.frames: dict[str, Tensor] = {}
        self.frame_shape = (0, 0)
        self._table = FrameTable(COLUMNS)
        self._found: dict[int, list[dict[str, Tensor]]] = {}

    @abstractmethod
    def begin_test(self) -> None:
        """Forget the last test."""

    @abstractmethod
    def score_frames(self, clips: Tensor, videos: Tensor) -> ScoredFrames:
        """Score the last frame of each window.

        Args:
            clips: uint8 (B, T, C, H, W); the windows of one video in order, those that follow on
                them at the next call.
            videos: (B,), the number of each window's video.
        """

    @abstractmethod
    def paint(self, clips: Tensor) -> tuple[Tensor, Tensor]:
        """Paint the last frame of loose windows, with everything as trained and no guard.

        Args:
            clips: uint8 (B, T, C, H, W), of any videos.

        Returns:
            The frames as they were expected and as they were, (B, C, H, W) each, values in [−1, 1].
        """

    def on_test_epoch_start(self) -> None:
        """Begin with nothing found."""
        self.begin_test()
        self._table.reset()
        self._found = {}

    def test_step(self, batch: ClipBatch, batch_idx: int) -> ScoredFrames:
        """Score successive windows of one video, or of several side by side."""
        scored = self.score_frames(batch.frames, batch.video)
        self.frame_shape = (batch.frames.shape[-2], batch.frames.shape[-1])
        found = {
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
        for video in self._found.keys() - present:
            self._finish_video(video)
        for video in present:
            rows = batch.video == video
            part = {name: column[rows] for name, column in found.items()}
            self._found.setdefault(video, []).append(part)
        return scored

    def on_test_epoch_end(self) -> None:
        """Join the frames of all processes, and say how well the scores tell them apart."""
        self.frames = self.joined_frames()
        self.log_dict(frame_metrics(self.frames, self.scoring))

    def joined_frames(self) -> dict[str, Tensor]:
        """Join what the test steps of all processes found; columns as in ``frames``."""
        for video in list(self._found):
            self._finish_video(video)
        frames = self._table.rows()
        frames["score"] = self.scoring.scores(frames)[self.scoring.name]
        return frames

    def _finish_video(self, video: int) -> None:
        """Put a video into the table, now that its patches can be smoothed over all of it."""
        parts = self._found.pop(video)
        columns = {name: torch.cat([part[name] for part in parts]) for name in parts[0]}
        errors = columns["patch"]
        columns["patch"] = self.scoring.worst_patch(errors)
        places = self.scoring.worst_places(errors, self.frame_shape)
        columns["patch_row"], columns["patch_column"] = places.unbind(dim=1)
        self._table.update(**columns)
