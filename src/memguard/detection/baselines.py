"""Baselines: frame scorers without a trained model, to compare models with."""

import torch
from torch import Tensor

from memguard import scoring
from memguard.detection.frame_scorer import FrameScorer, ScoredFrames


class PreviousFrame(FrameScorer):
    """Predict each frame as the frame before it.

    PSNR compares the frame with the one before; the distance is their mean squared difference.
    It learns nothing, and has no memory to update.

    Args:
        scoring: Turns the values of a test into scores.

    Example:
        >>> from memguard.scoring.protocols import ScoreConfig
        >>> baseline = PreviousFrame(ScoreConfig("published", 1.0, (0.5, 0.5), 1.0, causal=False))
        >>> clips = torch.tensor([0, 255], dtype=torch.uint8).view(1, 2, 1, 1, 1)
        >>> output, target = baseline.predict(clips)
        >>> output.item(), target.item()
        (-1.0, 1.0)
    """

    def begin_test(self) -> None:
        """Do nothing: tests share no state."""

    def predict(self, clips: Tensor) -> tuple[Tensor, Tensor]:
        """Return the last frame but one of each window, and the last.

        Args:
            clips: uint8 (B, T, C, H, W), T ≥ 2.

        Returns:
            Both frames, (B, C, H, W) each, values in [−1, 1].
        """
        output, target = (clips[:, -2:].float() / 127.5 - 1).unbind(dim=1)
        return output, target

    def score_frames(self, clips: Tensor, videos: Tensor) -> ScoredFrames:
        """Compare the last frame of each window with the last but one.

        Args:
            clips: uint8 (B, T, C, H, W), T ≥ 2.
            videos: (B,); not used.
        """
        output, target = self.predict(clips)
        return ScoredFrames(
            output=output,
            target=target,
            psnr=scoring.psnr(output, target),
            distance=scoring.squared_error(output, target).flatten(1).mean(dim=1),
            regular=scoring.regular_score(output, target),
            written=torch.zeros(len(clips), dtype=torch.bool, device=clips.device),
            patch=scoring.patch_errors(output, target, self.scoring.sizes),
        )
