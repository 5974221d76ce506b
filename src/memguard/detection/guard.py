"""The guard: which frames of a test may write into the memory.

Source: Park, Noh, Ham, "Learning Memory-guided Normality for Anomaly Detection", CVPR 2020,
section 3.2, equation 8 and the paragraph around it.
"""

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn

from memguard.model.memory.mnad import write

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
    """

    normal_scores: Tensor

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
        """Start a test from the trained items, (M, C), with the γ then in force."""
        self._limit = self.threshold  # once: it waits for the device
        self._trained = items
        self._items: dict[int, Tensor] = {}

    def memories(self, videos: Tensor) -> list[int]:
        """Number the memory that each frame belongs to: its video's own, or the one for all.

        Args:
            videos: (B,), the number of each frame's video.
        """
        return videos.tolist() if self.scope == "video" else [0] * len(videos)

    def items(self, memories: Sequence[int]) -> Tensor:
        """Give the items in force of each of these memories, (B, M, C)."""
        return torch.stack([self._items.get(memory, self._trained) for memory in memories])

    def passes(self, regular: Tensor) -> Tensor:
        """Say which frames look normal, so that they are to be written; (B,).

        Args:
            regular: (B,), their regular scores.
        """
        return (regular < self._limit) & self.enabled

    def write(self, query: Tensor, memories: Sequence[int]) -> None:
        """Write frames into their memories.

        Args:
            query: (B, K, C), the queries of one frame for each memory.
            memories: Which, each once.
        """
        if memories:
            self._items.update(zip(memories, write(query, self.items(memories)), strict=True))
