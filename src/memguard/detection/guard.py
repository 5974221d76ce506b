"""The guard: decide at test time which frames update the memory.

Source: Park, Noh, Ham, "Learning Memory-guided Normality for Anomaly Detection", CVPR 2020,
section 3.2, equation 8 and the paragraph around it.
"""

from collections.abc import Sequence
from math import isnan
from typing import Literal, get_args

import torch
from torch import Tensor, nn

from memguard.detection.scope import Scope
from memguard.model.memory.base import BaseMemory

QUANTILES = 101


class MemoryGuard(nn.Module):
    """Hold the items of a test, and update them with the frames that look normal.

    A frame looks normal if its regular score is below γ. Its update serves the *next* frame. The
    trained items never change. No frame updates a memory whose items are learned by gradient.

    Args:
        threshold: γ, or ``auto``: a quantile of the regular score over held-out normal frames. The
            published values fit the error of the published network; a smaller network has larger
            errors, and no frame passes.
        quantile: The quantile that ``auto`` takes, in [0, 1]; 0.5 is the median.
        scope: ``dataset`` carries the items from video to video, as published; ``video`` starts
            each video from the trained items.
        enabled: False leaves the items as trained.

    Raises:
        ValueError: A value is none of these.

    Attributes:
        normal_scores: (101,), the percentiles of the regular score over held-out normal frames;
            NaN before :meth:`calibrate`. It is a buffer, because checkpoints store it.

    Example:
        >>> from memguard.model.memory import Memory
        >>> guard = MemoryGuard(threshold=0.01, quantile=0.5, scope="dataset", enabled=True)
        >>> memory = Memory(size=2, dim=2)
        >>> memory.items = torch.eye(2)
        >>> guard.begin(memory)
        >>> guard.passes(torch.tensor([0.002, 0.3]))
        tensor([ True, False])
        >>> guard.update(torch.tensor([[[0.6, 0.8]]]), [0])
        >>> guard.items([0])
        tensor([[[1.0000, 0.0000],
                 [0.3162, 0.9487]]])

        With ``auto``, held-out normal frames give γ:

        >>> guard = MemoryGuard(threshold="auto", quantile=0.5, scope="dataset", enabled=True)
        >>> guard.calibrate(torch.tensor([0.1, 0.2, 0.4]))
        >>> round(guard.threshold, 3)
        0.2
    """

    normal_scores: Tensor

    def __init__(
        self,
        *,
        threshold: float | Literal["auto"],
        quantile: float,
        scope: Scope,
        enabled: bool,
    ) -> None:
        super().__init__()
        if isinstance(threshold, str) and threshold != "auto":
            raise ValueError(f"threshold={threshold!r} must be a number or auto")
        if not 0 <= quantile <= 1:
            raise ValueError(f"quantile={quantile} must be from 0 to 1")
        if scope not in get_args(Scope):
            raise ValueError(f"scope={scope!r} must be dataset or video")
        self._threshold = threshold
        self.quantile = quantile
        self.scope = scope
        self.enabled = enabled
        self._writes = True
        self.register_buffer("normal_scores", torch.full((QUANTILES,), torch.nan))

    @torch.no_grad()
    def calibrate(self, regular: Tensor) -> None:
        """Learn the distribution of normal regular scores.

        Args:
            regular: (N,), the regular scores of held-out normal frames.
        """
        grid = torch.linspace(0, 1, QUANTILES, device=regular.device)
        self.normal_scores.copy_(regular.float().quantile(grid))

    @property
    def threshold(self) -> float:
        """The γ in force; NaN for ``auto`` before :meth:`calibrate`."""
        if self._threshold == "auto":
            return float(self.normal_scores.quantile(self.quantile))
        return float(self._threshold)

    def begin(self, memory: BaseMemory) -> None:
        """Start a test from the trained items of a memory, with the present γ."""
        self._limit = self.threshold  # once: it waits for the device
        self._trained = memory.items.detach()
        self._writes = memory.writes
        self._write = memory.write  # no submodule: checkpoints hold the memory once
        self._items: dict[int, Tensor] = {}

    def memories(self, videos: Tensor) -> list[int]:
        """Number the memory of each frame: one for each video, or one for all.

        Args:
            videos: (B,), the number of each frame's video.
        """
        return videos.tolist() if self.scope == "video" else [0] * len(videos)

    def items(self, memories: Sequence[int]) -> Tensor:
        """Return the present items of each of these memories, (B, M, C)."""
        return torch.stack([self._items.get(memory, self._trained) for memory in memories])

    def restore(self, memory: int, items: Tensor) -> None:
        """Continue a memory with the items of an earlier test, (M, C).

        Raises:
            ValueError: They are not as many, or not as long, as the trained ones.
        """
        if items.shape != self._trained.shape:
            wanted, given = (tuple(each.shape) for each in (self._trained, items))
            raise ValueError(f"The items have the shape {given}; this memory has {wanted}.")
        self._items[memory] = items.to(self._trained)

    def passes(self, regular: Tensor) -> Tensor:
        """Compare regular scores with γ.

        Args:
            regular: (B,), the regular scores of frames.

        Returns:
            (B,), True for the frames that update the memory.
        """
        return (regular < self._limit) & (self.enabled and self._writes)

    def update(self, query: Tensor, memories: Sequence[int]) -> None:
        """Write the queries of frames into their memories.

        Args:
            query: (B, K, C), the queries of one frame for each memory.
            memories: The numbers of the memories, without repetition.
        """
        if memories:
            written = self._write(query, self.items(memories))
            self._items.update(zip(memories, written, strict=True))

    def idle_warning(self, regular: Tensor, written: Tensor) -> str | None:
        """Say why a test had no frame, or only frames, that update the memory.

        Args:
            regular: (N,), the regular scores of all frames.
            written: (N,), True for the frames that updated the memory.

        Returns:
            A sentence with the remedy; None for a guard that separates frames, or is disabled.
        """
        if not self.enabled or 0 < int(written.sum()) < len(written):
            return None
        if not self._writes:
            return (
                "The guard leaves the items as trained: this memory learns them by gradient alone, "
                "and no frame writes them. guard.enabled=false omits this warning."
            )
        some = f"all {len(written)} frames" if written.any() else "no frame"
        if isnan(self.threshold):
            why = "guard.threshold=auto finds γ in a validation, and there was none"
            remedy = "a number between"
        else:
            why = f"γ = {self.threshold:.4g} does not separate normal from anomalous here"
            remedy = "a number between, or to auto with another guard.quantile"
        return (
            f"The guard let {some} into the memory: {why}. The regular scores go from "
            f"{regular.min():.4g} to {regular.max():.4g}: set guard.threshold to {remedy}."
        )
