"""The guard: which frames of a test may write into the memory.

Source: Park, Noh, Ham, "Learning Memory-guided Normality for Anomaly Detection", CVPR 2020,
section 3.2, equation 8 and the paragraph around it.
"""

from typing import Literal

import torch
from torch import Tensor, nn

from memguard.model.memory import write

QUANTILES = 101


class MemoryGuard(nn.Module):
    """Holds the test-time items; writes a frame's queries into them only if it looks normal.

    A frame looks normal when its regular score is below γ. What is written serves the *next* frame.
    The trained items are copied, never touched.

    Args:
        threshold: γ, or ``auto``: a quantile of the regular score over held-out normal frames. The
            published values belong to the published size of network and its error level; under
            a smaller one they let no frame through.
        quantile: Which quantile ``auto`` takes, in [0, 1]; 0.5 is the median.
        scope: ``dataset`` carries the items from video to video, as published; ``video`` starts
            afresh from the trained items in each.
        enabled: False leaves the items as they were trained.

    Attributes:
        normal_scores: (101,), the percentiles of the regular score over held-out normal frames;
            NaN before :meth:`calibrate`. A buffer, so that a checkpoint carries it.
        items: The test-time items, (M, C), once :meth:`begin` was called.
    """

    normal_scores: Tensor
    items: Tensor

    def __init__(
        self,
        *,
        threshold: float | Literal["auto"],
        quantile: float,
        scope: Literal["dataset", "video"],
        enabled: bool,
    ) -> None:
        super().__init__()
        self._threshold = threshold
        self.quantile = quantile
        self.scope = scope
        self.enabled = enabled
        self.register_buffer("normal_scores", torch.full((QUANTILES,), torch.nan))

    @torch.no_grad()
    def calibrate(self, regular: Tensor) -> None:
        """Learn which regular scores are normal.

        Args:
            regular: (N,), the regular scores of held-out normal frames.
        """
        grid = torch.linspace(0, 1, QUANTILES, device=regular.device)
        self.normal_scores.copy_(regular.float().quantile(grid))

    @property
    def threshold(self) -> float:
        """The γ in force; NaN where it is ``auto`` and nothing was calibrated."""
        if self._threshold == "auto":
            return float(self.normal_scores.quantile(self.quantile))
        return float(self._threshold)

    def begin(self, items: Tensor) -> None:
        """Start a test from the trained items, (M, C)."""
        self._trained = items
        self.items = items.clone()

    def begin_video(self) -> None:
        """Tell that the next frame belongs to another video."""
        if self.scope == "video":
            self.items = self._trained.clone()

    def observe(self, regular: Tensor, query: Tensor) -> bool:
        """Write a frame's queries if it looks normal.

        Args:
            regular: The frame's regular score, a number.
            query: (K, C), its queries.

        Returns:
            Whether it was written.
        """
        looks_normal = self.enabled and bool(regular < self.threshold)
        if looks_normal:
            self.items = write(query, self.items)
        return looks_normal
