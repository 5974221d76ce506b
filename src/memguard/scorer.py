"""What scores the frames of test videos, be it a trained detector or a baseline."""

from abc import abstractmethod
from typing import TypedDict

import pytorch_lightning as pl
import torch
from torch import Tensor

from memguard.data.windows import ClipBatch
from memguard.metrics import FrameTable
from memguard.protocols import Scoring, frame_metrics
from memguard.scoring import patch_error

COLUMNS = ["psnr", "distance", "regular", "written", "patch", "label"]


class ScoredFrames(TypedDict):
    """What was found of successive frames of one video.

    Attributes:
        output: (B, C, H, W), the frames as they were expected, values in [−1, 1].
        target: (B, C, H, W), the frames as they were.
        psnr: (B,), dB; see :func:`memguard.scoring.psnr`.
        distance: (B,), how far they are from what is known; the second term of the score.
        regular: (B,), see :func:`memguard.scoring.regular_score`.
        written: (B,), whether the guard wrote them into the memory.
    """

    output: Tensor
    target: Tensor
    psnr: Tensor
    distance: Tensor
    regular: Tensor
    written: Tensor


class RememberedFrames(ScoredFrames):
    """What was found with a memory.

    Attributes:
        query: (B, H, W, C), the encoder's map, unit rows.
        similarity: (B, H, W, M), the cosine of each query with each item as it was then.
        items: (M, C), the items as the guard left them after the last of these frames.
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
            ``written``, ``patch``, ``label`` (−1 unknown) and ``score``, each (frames,), ordered.
    """

    def __init__(self, scoring: Scoring) -> None:
        super().__init__()
        self.scoring = scoring
        self.frames: dict[str, Tensor] = {}
        self._table = FrameTable(COLUMNS)
        self._video: int | None = None
        self._found: list[dict[str, Tensor]] = []

    @abstractmethod
    def begin_test(self) -> None:
        """Forget the last test."""

    @abstractmethod
    def begin_video(self) -> None:
        """Take note that the next frame belongs to another video."""

    @abstractmethod
    def score_frames(self, clips: Tensor) -> ScoredFrames:
        """Score the last frame of each window.

        Args:
            clips: uint8 (B, T, C, H, W), successive windows of one video.
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
        self._video = None
        self._found = []

    def test_step(self, batch: ClipBatch, batch_idx: int) -> ScoredFrames:
        """Score successive windows of one video."""
        if self._video != (video := int(batch.video[0])):
            self._finish_video()
            self.begin_video()
            self._video = video
        scored = self.score_frames(batch.frames)
        self._found.append(
            {
                "video": batch.video,
                "frame": batch.frame,
                "label": batch.label,
                "psnr": scored["psnr"],
                "distance": scored["distance"],
                "regular": scored["regular"],
                "written": scored["written"],
                "patch": patch_error(scored["output"], scored["target"], self.scoring.patch),
            }
        )
        return scored

    def on_test_epoch_end(self) -> None:
        """Join the frames of all processes, and say how well the scores tell them apart."""
        self.frames = self.joined_frames()
        self.log_dict(frame_metrics(self.frames, self.scoring))

    def joined_frames(self) -> dict[str, Tensor]:
        """Join what the test steps of all processes found; columns as in ``frames``."""
        self._finish_video()
        frames = self._table.compute()
        frames["score"] = self.scoring.scores(frames)[self.scoring.name]
        return frames

    def _finish_video(self) -> None:
        """Put a video into the table, now that its patches can be smoothed over all of it."""
        if not self._found:
            return
        columns = {name: torch.cat([part[name] for part in self._found]) for name in self._found[0]}
        columns["patch"] = self.scoring.worst_patch(columns["patch"])
        self._table.update(**columns)
        self._found = []
