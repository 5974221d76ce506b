"""MemAE's memory: items learned by gradient, and read through a hard shrinkage.

Source: Gong, Liu, Le, Saha, Mansour, Venkatesh, van den Hengel, "Memorizing Normality to Detect
Anomaly: Memory-augmented Deep Autoencoder for Unsupervised Anomaly Detection", ICCV 2019, section
3.3, equations 3-7.
"""

from functools import partial
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from memguard.model.memory.base import BaseMemory, MemoryRead, read_by

EPSILON = 1e-12


def shrunk_attention(similarity: Tensor, shrinkage: float) -> Tensor:
    """Weight items by the softmax of their cosines, without the small weights (equations 4-7).

    w_i ← max(w_i − s, 0)·w_i / (|w_i − s| + ε), divided by its sum, with s = ``shrinkage``/N.

    Args:
        similarity: (…, N), the cosine of a query with each item.
        shrinkage: s as a multiple of the mean weight 1/N; the paper takes 1 to 3. With at most 1 at
            least one item keeps its weight, unless all weights are equal.

    Returns:
        (…, N), with the sum 1, or 0 where no weight is above s.

    Example:
        >>> shrunk_attention(torch.tensor([0.6, 0.8, -0.6]), shrinkage=1)
        tensor([0.4502, 0.5498, 0.0000])
    """
    weight = similarity.softmax(dim=-1)
    above = weight - shrinkage / similarity.shape[-1]
    kept = above.relu() * weight / (above.abs() + EPSILON)
    return F.normalize(kept, p=1, dim=-1, eps=EPSILON)


def recall(features: Tensor, items: Tensor, shrinkage: float) -> MemoryRead:
    """Read the items alone: the decoder gets no query (equation 3).

    Args:
        features: (B, C, H, W), the encoder's map.
        items: (N, C), or (B, N, C) with a memory per row of the batch; unit rows.
        shrinkage: See :func:`shrunk_attention`.

    Raises:
        ValueError: If an argument has another shape.

    Example:
        >>> result = recall(torch.tensor([3.0, 4.0]).view(1, 2, 1, 1), torch.eye(2), shrinkage=0)
        >>> result.fused.flatten()
        tensor([0.0000, 0.0000, 0.4502, 0.5498])
    """
    attend = partial(shrunk_attention, shrinkage=shrinkage)
    return read_by(attend, features, items, pass_query=False)


class MemAEMemory(BaseMemory):
    """Items that the gradient of the loss learns; no query writes them, in a test neither.

    The direction of an item is learned, and its length is 1. The cosines of the paper are of the
    direction alone.

    Args:
        size: N, the number of items.
        dim: C, the length of an item, equal to the autoencoder's ``features``.
        shrinkage: See :func:`shrunk_attention`.

    Raises:
        ValueError: There is no item, or ``shrinkage`` is negative.

    Example:
        >>> memory = MemAEMemory(size=50, dim=8, shrinkage=1)
        >>> recalled = memory(torch.rand(2, 8, 4, 4))
        >>> recalled.fused[:, :8].any()  # no query
        tensor(False)
        >>> recalled.attention.sum(dim=-1).allclose(torch.ones(2, 16))
        True
    """

    writes: ClassVar[bool] = False

    def __init__(self, size: int, dim: int, shrinkage: float) -> None:
        super().__init__()
        if size < 1:
            raise ValueError(f"size={size} must be at least 1")
        if shrinkage < 0:
            raise ValueError(f"shrinkage={shrinkage} must be at least 0")
        self.shrinkage = shrinkage
        self.directions = nn.Parameter(F.normalize(torch.randn(size, dim), dim=1))

    @property
    def items(self) -> Tensor:  # type: ignore[override]
        """(N, C), unit rows, with the gradient of the parameter."""
        return F.normalize(self.directions, dim=1)

    def forward(self, features: Tensor, items: Tensor | None = None) -> MemoryRead:
        """Read from items; see :func:`recall`.

        Args:
            features: (B, C, H, W), the encoder's map.
            items: (N, C), or (B, N, C) with a memory per row of the batch; by default the trained
                ones.
        """
        return recall(features, self.items if items is None else items, self.shrinkage)
