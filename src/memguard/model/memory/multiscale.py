"""Memories at several scales: the decoder cannot copy the frame past the memory.

A skip connection hands a whole map of the encoder to the decoder, an anomaly in it too, and the
memory between them has little effect. Here each skip is recalled from items, or cut.

Source: Liu, Nie, Long, Zhang, Li, "A Hybrid Video Anomaly Detection Framework via Memory-Augmented
Flow Reconstruction and Flow-Guided Frame Prediction", ICCV 2021, section 3.1 (ML-MemAE-SC).
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from memguard.model.autoencoder import STRIDE
from memguard.model.memory.memae import MemAEMemory

# Of the network's skips, finest first.
SKIP_STRIDES = (1, 2, 4)


class MultiscaleMemory(MemAEMemory):
    """MemAE's memory at the query map, and one at each listed skip.

    The network has skips at the strides 1, 2 and 4, and the query map at 8. A skip that is not
    listed is cut: the decoder gets zeros in its place, or it could copy the frame through it. A
    fine scale has many queries, K = H·W/stride² for each frame, and each has a weight for each item
    of its scale: few items, or coarse scales alone, save memory.

    Args:
        scales: The strides that have a memory: 8, and any of 4, 2 and 1.
        sizes: The number of items of each.
        dim: C, the length of an item at stride 8, equal to the autoencoder's ``features``.
        width: The network's width; the skip at stride s has width·s channels.
        shrinkage: See :func:`~memguard.model.memory.memae.shrunk_attention`.

    Raises:
        ValueError: There is no such scale, or not a size for each.

    Example:
        >>> memory = MultiscaleMemory([8, 4], [50, 20], dim=16, width=2, shrinkage=1)
        >>> skips = [torch.rand(1, 2, 8, 8), torch.rand(1, 4, 4, 4), torch.rand(1, 8, 2, 2)]
        >>> [bool(skip.any()) for skip in memory.read_skips(skips)]
        [False, False, True]
    """

    def __init__(
        self, scales: Sequence[int], sizes: Sequence[int], dim: int, width: int, shrinkage: float
    ) -> None:
        known = (STRIDE, *SKIP_STRIDES)
        if STRIDE not in scales or not set(scales) <= set(known) or len(set(scales)) < len(scales):
            raise ValueError(f"scales={list(scales)} must be 8, and any of 4, 2 and 1, each once")
        if len(sizes) != len(scales):
            raise ValueError(f"sizes={list(sizes)} must have a number for each of scales")
        size_of = dict(zip(scales, sizes, strict=True))
        super().__init__(size_of.pop(STRIDE), dim, shrinkage)
        self.skips = nn.ModuleDict(
            {
                str(stride): MemAEMemory(size, width * stride, shrinkage)
                for stride, size in size_of.items()
            }
        )

    def read_skips(self, skips: list[Tensor]) -> list[Tensor]:
        """Recall the listed skips from their items, and cut the others.

        Args:
            skips: The encoder's maps at the strides 1, 2 and 4.

        Raises:
            ValueError: The network has other skips.
        """
        if len(skips) != len(SKIP_STRIDES):
            raise ValueError(
                f"a memory at several scales needs the skips at strides 1, 2 and 4, but the "
                f"network has {len(skips)}"
            )
        return [
            self._read_skip(str(stride), skip)
            for stride, skip in zip(SKIP_STRIDES, skips, strict=True)
        ]

    def _read_skip(self, stride: str, skip: Tensor) -> Tensor:
        if stride not in self.skips:
            return torch.zeros_like(skip)
        return self.skips[stride](skip).fused[:, skip.shape[1] :].to(skip.dtype)
