"""A memory: read the nearest items alone, and stay close to the trained ones."""

from dataclasses import replace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from memguard import Memory
from memguard.model.memory.mnad import MemoryRead


class NearestMemory(Memory):
    """Read the nearest items of each query; the trained items hold back each update."""

    def __init__(self, size: int, dim: int, nearest: int, anchor: float) -> None:
        super().__init__(size, dim)
        self.nearest, self.anchor = nearest, anchor

    def forward(self, features: Tensor, items: Tensor | None = None) -> MemoryRead:
        """Read from items, by default the trained ones."""
        items = self.items if items is None else items
        read = super().forward(features, items)
        best = read.similarity.topk(self.nearest, dim=-1)
        weight = torch.zeros_like(read.similarity).scatter(
            -1, best.indices, best.values.softmax(-1)
        )
        mixture = (weight @ items).mT.unflatten(2, features.shape[-2:])
        return replace(read, fused=torch.cat([read.fused[:, : features.shape[1]], mixture], dim=1))

    def write(self, query: Tensor, items: Tensor, *similarity: Any, **options: Any) -> Tensor:
        """Return updated items, in training and in a test."""
        written = super().write(query, items, *similarity, **options)
        return F.normalize(written + self.anchor * self.items, dim=-1)
