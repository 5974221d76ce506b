"""MNAD's memory: M prototypes, read by attention and updated by their nearest queries.

Source: Park, Noh, Ham, "Learning Memory-guided Normality for Anomaly Detection", CVPR 2020,
section 3.2, equations 1-7.
"""

from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, distributed

from memguard.model.memory.base import BaseMemory, MemoryRead, cosines, present, read_by
from memguard.model.memory.processes import Reduce, all_reduce
from memguard.model.shapes import require_shapes


def read(features: Tensor, items: Tensor) -> MemoryRead:
    """Read a mixture of items for each query, weighted by similarity (equations 1-3).

    Args:
        features: (B, C, H, W), the encoder's map.
        items: (M, C), or (B, M, C) with a memory per row of the batch; unit rows. With none, the
            mixture is 0.

    Returns:
        See :class:`MemoryRead`; in the precision of the items.

    Raises:
        ValueError: If an argument has another shape.

    Example:
        >>> items = torch.eye(2)
        >>> result = read(torch.tensor([3.0, 0.0]).view(1, 2, 1, 1), items)
        >>> result.query, result.similarity
        (tensor([[[1., 0.]]]), tensor([[[1., 0.]]]))
        >>> result.fused.flatten()
        tensor([1.0000, 0.0000, 0.7311, 0.2689])
    """
    return read_by(partial(torch.softmax, dim=-1), features, items)


def _identity(value: Tensor) -> Tensor:
    return value


def _updated(
    query: Tensor,
    items: Tensor,
    similarity: Tensor | None,
    over_all: Reduce = _identity,
    in_sum: Reduce = _identity,
) -> Tensor:
    """Return the updated items; the reductions join the queries of several processes."""
    of_items, of_similarity = ("M C", "K M") if query.dim() == 2 else ("M C|B M C", "B K M")
    require_shapes(
        query=(query, "K C|B K C"),
        items=(items, of_items),
        similarity=(similarity, of_similarity),
    )
    if items.shape[-2] == 0:
        return items
    query = query.to(items.dtype)
    with torch.autocast(query.device.type, enabled=False):
        if similarity is None:
            similarity = cosines(query, items)  # (…, K, M)
        if items.dim() == 2:  # one batch of queries
            query, similarity = query.flatten(0, -2), similarity.flatten(0, -2)
        nearest = F.one_hot(similarity.argmax(dim=-1), items.shape[-2])  # (…, K, M)
        # Softmax over queries divided by its maximum: the normaliser cancels (equation 7).
        peak = over_all(similarity.amax(dim=-2, keepdim=True))  # (…, 1, M)
        weight = nearest * (similarity - peak).exp()
        pull = in_sum(weight.mT @ query)  # (…, M, C)
    # Weights are positive, and the unit queries nearest to one item do not cancel out: a pull of 0
    # means that no query is nearest. Such an item stays unchanged, to the bit.
    pulled = pull.ne(0).any(dim=-1, keepdim=True) & present(items).unsqueeze(-1)
    return torch.where(pulled, F.normalize(items + pull, dim=-1), items)


@torch.no_grad()
def write(query: Tensor, items: Tensor, similarity: Tensor | None = None) -> Tensor:
    """Move each item towards its nearest queries (equations 4-7).

    p_m ← normalise(p_m + Σ_{k∈U_m} v_km q_k) with v_km = exp(s_km − max_k s_km). An item without
    nearest queries stays unchanged. The write is local to the process and takes no gradient.

    Args:
        query: (K, C) or (B, K, C), unit rows.
        items: (M, C), updated by all queries; or (B, M, C), a memory per row of the batch, for
            queries of (B, K, C).
        similarity: (K, M) or (B, K, M), the cosine of each query with each item; None computes it.

    Returns:
        The updated items, the same shape, unit rows.

    Raises:
        ValueError: If an argument has another shape.

    Example:
        >>> write(torch.tensor([[0.6, 0.8]]), torch.eye(2))
        tensor([[1.0000, 0.0000],
                [0.3162, 0.9487]])
    """
    return _updated(query, items, similarity)


class Memory(BaseMemory):
    """The items of the memory, how they are read, and how queries update them.

    A memory of another kind is a subclass. It overrides :meth:`forward` to read otherwise, and
    :meth:`write` to update the items otherwise, in training and at test time alike.

    Args:
        size: M, the number of items; 0 for an ablation without memory.
        dim: C, the length of an item, equal to the autoencoder's ``features``.

    Attributes:
        items: (size, dim), unit rows, at first normalised uniform random rows. They are a buffer:
            checkpoints store them, and they take no gradient.

    Example:
        >>> memory = Memory(size=10, dim=64)
        >>> recalled = memory(torch.rand(2, 64, 4, 4))
        >>> recalled.fused.shape
        torch.Size([2, 128, 4, 4])
        >>> memory.update(recalled.query)
        >>> memory.items.shape
        torch.Size([10, 64])
    """

    def __init__(self, size: int, dim: int) -> None:
        super().__init__()
        self.register_buffer("items", F.normalize(torch.rand(size, dim), dim=1))

    def forward(self, features: Tensor, items: Tensor | None = None) -> MemoryRead:
        """Read from items; see :func:`read`.

        Args:
            features: (B, C, H, W), the encoder's map.
            items: (M, C), or (B, M, C) with a memory per row of the batch; by default the trained
                ones. A test has items of its own.
        """
        return read(features, self.items if items is None else items)

    @torch.no_grad()
    def write(
        self,
        query: Tensor,
        items: Tensor,
        similarity: Tensor | None = None,
        *,
        across_processes: bool = False,
    ) -> Tensor:
        """Return items updated by queries; see :func:`write`.

        Args:
            query: (B, K, C), unit rows.
            items: (M, C), or (B, M, C) with a memory per row of the batch.
            similarity: (B, K, M), the cosine of each query with each item; None computes it.
            across_processes: Whether the queries of all processes update the items together. The
                result equals that of one process with all queries; the processes exchange a
                maximum of M numbers and a sum of M×C.

        Raises:
            ValueError: If an argument has another shape.
        """
        if not across_processes:
            return write(query, items, similarity)
        maximum = all_reduce(distributed.ReduceOp.MAX)
        total = all_reduce(distributed.ReduceOp.SUM)
        return _updated(query, items, similarity, maximum, total)

    @torch.no_grad()
    def update(self, query: Tensor, similarity: Tensor | None = None) -> None:
        """Update the trained items with the queries of a training batch, of all processes.

        Args:
            query: (B, K, C), unit rows.
            similarity: (B, K, M), the cosine of each query with each item; None computes it.

        Raises:
            ValueError: If an argument has another shape.
        """
        require_shapes(query=(query, "B K C"))
        # A new tensor: the backward pass needs the items that were read.
        self.items = self.write(query, self.items, similarity, across_processes=True)
