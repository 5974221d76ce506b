"""The two losses that shape the feature space around the items.

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
    """Fetch each query's nearest items.

    Args:
        query: (B, K, C), unit rows.
        items: (M, C) or (B, M, C), unit rows.
        count: How many items for each query, at most M.
        similarity: (B, K, M), the cosine of each query with each item, where it is known already.

    Returns:
        (B, K, count, C), the most alike first, without gradient.

    Raises:
        ValueError: A shape is another one.
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
    """Draw each query to its nearest item: their mean squared error (equation 9).

    Args:
        query: (B, K, C), unit rows.
        items: (M, C) or (B, M, C); takes no gradient. Without any the loss is 0.
        similarity: As :func:`nearest_items` takes it.

    Raises:
        ValueError: A shape is another one.

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
    """Keep each query nearer to its nearest item than to the second nearest (equations 10-12).

    A triplet margin loss: the nearest item is the positive, the second nearest the negative. It
    keeps the items apart, so that the memory holds different patterns.

    Args:
        query: (B, K, C), unit rows.
        items: (M, C) or (B, M, C); takes no gradient. With fewer than two the loss is 0.
        margin: By how much, in Euclidean distance.
        similarity: As :func:`nearest_items` takes it.

    Raises:
        ValueError: A shape is another one.

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
