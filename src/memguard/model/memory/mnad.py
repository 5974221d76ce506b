"""The memory: M prototypes of normality, read by attention and written by what is nearest.

Source: Park, Noh, Ham, "Learning Memory-guided Normality for Anomaly Detection", CVPR 2020,
section 3.2, equations 1-7.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, distributed, nn

from memguard.model.shapes import require_shapes

Reduce = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class MemoryRead:
    """What one look into the memory gives.

    Attributes:
        fused: (B, 2C, H, W), each query with what was remembered for it; the decoder's input.
        query: (B, K, C), the K = H·W queries of each frame, unit rows.
        similarity: (B, K, M), the cosine of each query with each item.
    """

    fused: Tensor
    query: Tensor
    similarity: Tensor


def read(features: Tensor, items: Tensor) -> MemoryRead:
    """Recall each query as a mixture of items, weighted by how alike they are (equations 1-3).

    Args:
        features: (B, C, H, W), the encoder's map.
        items: (M, C), or (B, M, C) for a memory of its own per row of the batch; unit rows. Where
            there are none, nothing is recalled: zeros.

    Returns:
        See :class:`MemoryRead`; computed in the items' precision.

    Raises:
        ValueError: A shape is another one.

    Example:
        >>> items = torch.eye(2)
        >>> result = read(torch.tensor([3.0, 0.0]).view(1, 2, 1, 1), items)
        >>> result.query, result.similarity
        (tensor([[[1., 0.]]]), tensor([[[1., 0.]]]))
        >>> result.fused.flatten()
        tensor([1.0000, 0.0000, 0.7311, 0.2689])
    """
    require_shapes(features=(features, "B C H W"), items=(items, "M C|B M C"))
    height, width = features.shape[-2:]
    query_map = F.normalize(features.to(items.dtype), dim=1)
    query = query_map.flatten(2).transpose(1, 2)  # (B, K, C)
    with torch.autocast(query.device.type, enabled=False):
        similarity = query @ items.mT  # (B, K, M)
        recalled = similarity.softmax(dim=-1) @ items  # (B, K, C)
    recalled_map = recalled.transpose(1, 2).unflatten(2, (height, width))
    return MemoryRead(torch.cat([query_map, recalled_map], dim=1), query, similarity)


def _same(value: Tensor) -> Tensor:
    return value


def _written(
    query: Tensor,
    items: Tensor,
    similarity: Tensor | None,
    over_all: Reduce = _same,
    in_sum: Reduce = _same,
) -> Tensor:
    """One write; the two reductions join what several processes hold of the queries."""
    of_items, of_similarity = ("M C", "K M") if query.dim() == 2 else ("M C|B M C", "B K M")
    require_shapes(
        query=(query, "K C|B K C"),
        items=(items, of_items),
        similarity=(similarity, of_similarity),
    )
    query = query.to(items.dtype)
    with torch.autocast(query.device.type, enabled=False):
        if similarity is None:
            similarity = query @ items.mT  # (…, K, M)
        if items.dim() == 2:  # one batch of queries
            query, similarity = query.flatten(0, -2), similarity.flatten(0, -2)
        nearest = F.one_hot(similarity.argmax(dim=-1), items.shape[-2])  # (…, K, M)
        # Softmax over queries divided by its maximum: the normaliser cancels (equation 7).
        peak = over_all(similarity.amax(dim=-2, keepdim=True))  # (…, 1, M)
        weight = nearest * (similarity - peak).exp()
        pull = in_sum(weight.mT @ query)  # (…, M, C)
    # A query's weight is never zero and unit queries near one item do not cancel out, so an item
    # without any pull is one that nobody is nearest to: it stays, to the bit.
    pulled = pull.ne(0).any(dim=-1, keepdim=True)
    return torch.where(pulled, F.normalize(items + pull, dim=-1), items)


@torch.no_grad()
def write(query: Tensor, items: Tensor, similarity: Tensor | None = None) -> Tensor:
    """Move each item towards the queries that are nearest to it (equations 4-7).

    p_m ← normalise(p_m + Σ_{k∈U_m} v_km q_k) with v_km = exp(s_km − max_k s_km). An item that no
    query is nearest to stays as it is. Local to the process, without gradient.

    Args:
        query: (K, C) or (B, K, C), unit rows.
        items: (M, C): all queries count as one batch. (B, M, C): one memory per row of the batch,
            which queries of (K, C) have none of.
        similarity: (K, M) or (B, K, M) as query is, the cosine of each query with each item, where
            it is known already.

    Returns:
        The new items, in the shape of the old, unit rows.

    Raises:
        ValueError: A shape is another one.

    Example:
        >>> write(torch.tensor([[0.6, 0.8]]), torch.eye(2))
        tensor([[1.0000, 0.0000],
                [0.3162, 0.9487]])
    """
    return _written(query, items, similarity)


def queries_per_item(similarity: Tensor) -> Tensor:
    """Count the queries that each item is the nearest to, (M,).

    Args:
        similarity: (B, K, M), the cosine of each query with each item.

    Raises:
        ValueError: The shape is another one.
    """
    require_shapes(similarity=(similarity, "B K M"))
    if similarity.shape[-1] == 0:
        return similarity.new_zeros(0)
    # bincount would have to wait for a GPU.
    return F.one_hot(similarity.argmax(dim=-1), similarity.shape[-1]).float().sum(dim=(0, 1))


def item_use(item_counts: Tensor) -> dict[str, Tensor]:
    """How queries share the items.

    Args:
        item_counts: (M,), the number of queries nearest to each item.

    Returns:
        ``memory/used``, the share of items that any query is nearest to, and ``memory/perplexity``,
        how many items are in use when each counts by its share of queries: 1 to M. Nothing where
        there are no items.

    Raises:
        ValueError: The shape is another one.
    """
    require_shapes(item_counts=(item_counts, "M"))
    if len(item_counts) == 0:
        return {}
    share = item_counts / item_counts.sum()
    return {
        "memory/used": share.gt(0).float().mean(),
        "memory/perplexity": torch.special.entr(share).sum().exp(),
    }


def _all_reduce(operation: distributed.ReduceOp.RedOpType) -> Reduce:
    """Join a tensor over all processes, where there are several."""

    def reduce(value: Tensor) -> Tensor:
        if distributed.is_available() and distributed.is_initialized():
            value = value.contiguous()
            distributed.all_reduce(value, operation)
        return value

    return reduce


class Memory(nn.Module):
    """The items, and their training write.

    Args:
        size: M, how many prototypes; 0 for none at all, to see what they are worth.
        dim: C, their length; the same as the autoencoder's ``features``.

    Attributes:
        items: (size, dim), unit rows; a buffer, so it travels with the checkpoint and takes no
            gradient. They start as normalised uniform random rows.
    """

    items: Tensor

    def __init__(self, size: int, dim: int) -> None:
        super().__init__()
        self.register_buffer("items", F.normalize(torch.rand(size, dim), dim=1))

    def forward(self, features: Tensor) -> MemoryRead:
        """Read from the items; see :func:`read`."""
        return read(features, self.items)

    @torch.no_grad()
    def update(self, query: Tensor, similarity: Tensor | None = None) -> None:
        """Write a training batch's queries into the items.

        Across processes the items become what one process with all queries would make of them: one
        maximum of M numbers and one sum of M×C travel.

        Args:
            query: (B, K, C), unit rows.
            similarity: (B, K, M), where it is known already, as from a read.

        Raises:
            ValueError: A shape is another one.
        """
        require_shapes(query=(query, "B K C"))
        if len(self.items) == 0:
            return
        maximum = _all_reduce(distributed.ReduceOp.MAX)
        total = _all_reduce(distributed.ReduceOp.SUM)
        # A new tensor: the backward pass still needs the items that were read.
        self.items = _written(query, self.items, similarity, maximum, total)
