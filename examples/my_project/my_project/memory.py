"""A memory: read the nearest items alone, and stay close to the trained ones."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from memguard import Memory
from memguard.model.memory.base import MemoryRead, read_by


class NearestMemory(Memory):
    """Read the nearest items of each query; the trained items hold back each update."""

    def __init__(self, size: int, dim: int, nearest: int, anchor: float) -> None:
        super().__init__(size, dim)
        self.nearest, self.anchor = nearest, anchor

    def forward(self, features: Tensor, items: Tensor | None = None) -> MemoryRead:
        """Read from items, by default the trained ones."""
        return read_by(self._attend, features, self.items if items is None else items)

    def _attend(self, similarity: Tensor) -> Tensor:
        """Weight the nearest items by the softmax of their cosines, (B, K, M)."""
        best = similarity.topk(self.nearest, dim=-1)
        return torch.zeros_like(similarity).scatter(-1, best.indices, best.values.softmax(-1))

    def write(self, query: Tensor, items: Tensor, *similarity: Any, **options: Any) -> Tensor:
        """Return updated items, in training and in a test."""
        written = super().write(query, items, *similarity, **options)
        return F.normalize(written + self.anchor * self.items, dim=-1)
