"""The compactness and separateness losses of the queries.

Source: Park, Noh, Ham, "Learning Memory-guided Normality for Anomaly Detection", CVPR 2020,
section 3.3, equations 9-12.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from memguard.model.shapes import require_shapes


def nearest_items(
    query: Tensor, items: Tensor, count: int, similarity: Tensor | None = None
) -> Tensor:
    """Return the items nearest to each query.

    Args:
        query: (B, K, C), unit rows.
        items: (M, C) or (B, M, C), unit rows.
        count: How many items for each query, at most M.
        similarity: (B, K, M), the cosine of each query with each item; None computes it.

    Returns:
        (B, K, count, C), the nearest first, without gradient.

    Raises:
        ValueError: If an argument has another shape.

    Example:
        >>> nearest_items(torch.tensor([[[0.6, 0.8]]]), torch.eye(2), count=1)
        tensor([[[[0., 1.]]]])
    """
    _require_shapes(query, items, similarity)
    with torch.no_grad(), torch.autocast(query.device.type, enabled=False):
        if similarity is None:
            similarity = query @ items.mT
        index = similarity.topk(count, dim=-1).indices  # (B, K, count)
        items = items.expand(query.shape[0], *items.shape[-2:])
        rows = torch.arange(query.shape[0], device=query.device).view(-1, 1, 1)
        return items[rows, index]


def compactness_loss(query: Tensor, items: Tensor, similarity: Tensor | None = None) -> Tensor:
    """Compute the mean squared error of each query and its nearest item (equation 9).

    Args:
        query: (B, K, C), unit rows.
        items: (M, C) or (B, M, C), unit rows, without gradient; with none the loss is 0.
        similarity: See :func:`nearest_items`.

    Raises:
        ValueError: If an argument has another shape.

    Example:
        >>> compactness_loss(torch.tensor([[[0.6, 0.8]]]), torch.eye(2))
        tensor(0.2000)
    """
    _require_shapes(query, items, similarity)
    if items.shape[-2] == 0:
        return query.new_zeros(())
    return F.mse_loss(query, nearest_items(query, items, 1, similarity)[:, :, 0])


def separateness_loss(
    query: Tensor, items: Tensor, margin: float = 1.0, similarity: Tensor | None = None
) -> Tensor:
    """Compute the triplet margin loss of each query (equations 10-12).

    The nearest item is the positive, the second nearest the negative. The loss separates the items,
    and the memory holds different patterns.

    Args:
        query: (B, K, C), unit rows.
        items: (M, C) or (B, M, C), unit rows, without gradient; with fewer than two the loss is 0.
        margin: The margin, in Euclidean distance.
        similarity: See :func:`nearest_items`.

    Raises:
        ValueError: If an argument has another shape.

    Example:
        >>> separateness_loss(torch.tensor([[[0.6, 0.8]]]), torch.eye(2))
        tensor(0.7380)
    """
    _require_shapes(query, items, similarity)
    if items.shape[-2] < 2:
        return query.new_zeros(())
    nearest = nearest_items(query, items, 2, similarity)
    return F.triplet_margin_loss(query, nearest[:, :, 0], nearest[:, :, 1], margin=margin)


def _require_shapes(query: Tensor, items: Tensor, similarity: Tensor | None) -> None:
    require_shapes(
        query=(query, "B K C"), items=(items, "M C|B M C"), similarity=(similarity, "B K M")
    )
