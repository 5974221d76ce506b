"""Baselines: what a test gives without any model, to hold every model against."""

import torch
from torch import Tensor

from memguard.detection.frame_scorer import FrameScorer, ScoredFrames
from memguard.scoring import functional as scoring


class PreviousFrame(FrameScorer):
    """Expects each frame to be as the one before it.

    Its PSNR term is that of a prediction which is the previous frame, its distance the mean squared
    difference of the two; which of them counts is the scoring's weight. Nothing is learnt, and
    nothing is written.
    """

    def begin_test(self) -> None:
        """Nothing is carried from test to test."""

    def paint(self, clips: Tensor) -> tuple[Tensor, Tensor]:
        """Give the last frame but one of each window, and the last.

        Args:
            clips: uint8 (B, T, C, H, W), T ≥ 2.
        """
        output, target = (clips[:, -2:].float() / 127.5 - 1).unbind(dim=1)
        return output, target

    def score_frames(self, clips: Tensor, videos: Tensor) -> ScoredFrames:
        """Hold the last frame of each window against the last but one.

        Args:
            clips: uint8 (B, T, C, H, W), T ≥ 2.
            videos: (B,); it makes no difference.
        """
        output, target = self.paint(clips)
        return ScoredFrames(
            output=output,
            target=target,
            psnr=scoring.psnr(output, target),
            distance=scoring.squared_error(output, target).flatten(1).mean(dim=1),
            regular=scoring.regular_score(output, target),
            written=torch.zeros(len(clips), dtype=torch.bool, device=clips.device),
            patch=scoring.patch_error(output, target, self.scoring.patch),
        )
