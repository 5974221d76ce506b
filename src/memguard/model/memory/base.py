"""The contract of a memory, and the functions that all memories share."""

from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from memguard.model.shapes import require_shapes


@dataclass(frozen=True)
class MemoryRead:
    """The result of reading the memory.

    Attributes:
        fused: (B, 2C, H, W), each query, or zeros where the memory hides it from the decoder, and
            the mixture of items read for it; the decoder's input.
        query: (B, K, C), the K = H·W queries of each frame, unit rows.
        similarity: (B, K, M), the cosine of each query with each item.
        attention: (B, K, M), the weight of each item in the mixture.
    """

    fused: Tensor
    query: Tensor
    similarity: Tensor
    attention: Tensor

    @property
    def recalled(self) -> Tensor:
        """(B, K, C), the mixture of items read for each query."""
        return self.fused[:, self.query.shape[-1] :].flatten(2).transpose(1, 2)


class BaseMemory(nn.Module):
    """The contract of a memory: detector, guard and report know no more of any memory.

    A memory has ``items`` and reads them in :meth:`forward`. If queries write the items, it
    overrides :meth:`write` and :meth:`update`; else the items are learned by gradient, and
    ``writes`` is False.

    Attributes:
        items: (M, C), unit rows; a row of zeros is no item. The number of rows is constant, so
            checkpoints and processes have one shape. A buffer without gradient, or computed from
            a parameter.
        writes: Whether queries write the items, in training and in a test.
    """

    items: Tensor
    writes: ClassVar[bool] = True

    @abstractmethod
    def forward(self, features: Tensor, items: Tensor | None = None) -> MemoryRead:
        """Read from items.

        Args:
            features: (B, C, H, W), the encoder's map.
            items: (M, C), or (B, M, C) with a memory per row of the batch; by default the trained
                ones. A test has items of its own.
        """

    def read_skips(self, skips: list[Tensor]) -> list[Tensor]:
        """Return the maps that the decoder gets for the encoder's skips: here the skips.

        Args:
            skips: The encoder's maps, finest first.
        """
        return skips

    def write(
        self,
        query: Tensor,
        items: Tensor,
        similarity: Tensor | None = None,
        *,
        across_processes: bool = False,
    ) -> Tensor:
        """Return items updated by queries: here the same items.

        Args:
            query: (B, K, C), unit rows.
            items: (M, C), or (B, M, C) with a memory per row of the batch.
            similarity: (B, K, M), the cosine of each query with each item; None computes it.
            across_processes: Whether the queries of all processes update the items together, with
                the result of one process that has all queries.
        """
        return items

    def update(self, query: Tensor, similarity: Tensor | None = None) -> None:
        """Update the trained items with the queries of a training batch, of all processes.

        Args:
            query: (B, K, C), unit rows.
            similarity: (B, K, M), the cosine of each query with each item; None computes it.
        """

    def end_epoch(self) -> None:
        """End an epoch of the training, after the update of its last batch."""


def present(items: Tensor) -> Tensor:
    """Find the rows that are items; a row of zeros is none.

    Args:
        items: (…, M, C).

    Returns:
        bool (…, M).

    Example:
        >>> present(torch.tensor([[0.6, 0.8], [0.0, 0.0]]))
        tensor([ True, False])
    """
    return items.ne(0).any(dim=-1)


def cosines(query: Tensor, items: Tensor) -> Tensor:
    """Compute the cosine of each query with each item.

    Args:
        query: (…, K, C), unit rows.
        items: (…, M, C), unit rows or zeros.

    Returns:
        (…, K, M). A row of zeros, which is no item, has the lowest number of the type: it is
        nearest to no query, and a softmax gives it the weight 0.
    """
    similarity = query @ items.mT
    lowest = torch.finfo(similarity.dtype).min
    return similarity.masked_fill(~present(items).unsqueeze(-2), lowest)


def read_by(
    attend: Callable[[Tensor], Tensor],
    features: Tensor,
    items: Tensor,
    *,
    pass_query: bool = True,
) -> MemoryRead:
    """Read a mixture of items for each query.

    Args:
        attend: Turns cosines, (B, K, M), into the weights of the mixtures, the same shape.
        features: (B, C, H, W), the encoder's map.
        items: (M, C), or (B, M, C) with a memory per row of the batch; unit rows, or zeros for no
            item. With no item at all, the mixture is 0.
        pass_query: Whether the decoder gets the queries beside the mixtures. Where it does not,
            its input has zeros in their place, so every network takes every memory.

    Returns:
        See :class:`MemoryRead`; in the precision of the items.

    Raises:
        ValueError: If an argument has another shape.

    Example:
        >>> nearest = lambda similarity: F.one_hot(similarity.argmax(-1), 2).float()
        >>> features = torch.tensor([3.0, 4.0]).view(1, 2, 1, 1)
        >>> read_by(nearest, features, torch.eye(2)).fused.flatten()
        tensor([0.6000, 0.8000, 0.0000, 1.0000])
    """
    require_shapes(features=(features, "B C H W"), items=(items, "M C|B M C"))
    height, width = features.shape[-2:]
    query_map = F.normalize(features.to(items.dtype), dim=1)
    query = query_map.flatten(2).transpose(1, 2)  # (B, K, C)
    with torch.autocast(query.device.type, enabled=False):
        similarity = cosines(query, items)
        attention = attend(similarity)
        mixture = attention @ items  # (B, K, C)
    mixture_map = mixture.transpose(1, 2).unflatten(2, (height, width))
    passed = query_map if pass_query else torch.zeros_like(query_map)
    return MemoryRead(torch.cat([passed, mixture_map], dim=1), query, similarity, attention)


def queries_per_item(similarity: Tensor) -> Tensor:
    """Count the queries nearest to each item.

    Args:
        similarity: (B, K, M), the cosine of each query with each item.

    Returns:
        (M,), float.

    Raises:
        ValueError: If the argument has another shape.

    Example:
        >>> queries_per_item(torch.tensor([[[0.9, 0.1], [0.8, 0.3], [0.2, 0.7]]]))
        tensor([2., 1.])
    """
    require_shapes(similarity=(similarity, "B K M"))
    counts = torch.zeros(similarity.shape[-1], device=similarity.device)
    if len(counts) == 0:
        return counts
    nearest = similarity.argmax(dim=-1).flatten()
    # bincount would wait for a GPU.
    return counts.index_add(0, nearest, torch.ones_like(nearest, dtype=counts.dtype))


def item_use(item_counts: Tensor, items: Tensor) -> dict[str, Tensor]:
    """Measure how many items the queries use.

    Args:
        item_counts: (M,), the number of queries nearest to each item.
        items: (M, C); a row of zeros is no item.

    Returns:
        ``memory/used``, the share of items with a nearest query, and ``memory/perplexity``, the
        effective number of items by their shares of queries, 1 to M. Empty without rows.

    Raises:
        ValueError: If an argument has another shape.

    Example:
        >>> item_use(torch.tensor([4.0, 4.0, 0.0, 0.0]), torch.eye(4))
        {'memory/used': tensor(0.5000), 'memory/perplexity': tensor(2.)}
    """
    require_shapes(item_counts=(item_counts, "M"), items=(items, "M C"))
    if len(item_counts) == 0:
        return {}
    share = item_counts / item_counts.sum()
    return {
        "memory/used": share.gt(0).sum() / present(items).sum().clamp(min=1),
        "memory/perplexity": torch.special.entr(share).sum().exp(),
    }
