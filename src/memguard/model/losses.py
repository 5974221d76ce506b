"""Losses of a training step: of the predicted frame, and of the queries.

Source of the pixel, compactness and separateness loss: Park, Noh, Ham, "Learning Memory-guided
Normality for Anomaly Detection", CVPR 2020, section 3.3, equations 8-12.
"""

import torch
import torch.nn.functional as F
from torch import Tensor
from torchmetrics.functional.image import multiscale_structural_similarity_index_measure

from memguard.model.memory.base import cosines, present
from memguard.model.shapes import require_shapes

# The exponents of the scales, finest first (Wang et al., 2003, section 3.2).
SCALE_WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)


def pixel_loss(prediction: Tensor, target: Tensor) -> Tensor:
    """Compute the mean squared error of frames (equation 8).

    Args:
        prediction: (B, C, H, W).
        target: The same shape.

    Raises:
        ValueError: If the shapes differ.

    Example:
        >>> pixel_loss(torch.zeros(1, 1, 2, 2), torch.full((1, 1, 2, 2), 0.5))
        tensor(0.2500)
    """
    _require_same_shape(prediction, target)
    return F.mse_loss(prediction, target)


def gradient_difference_loss(prediction: Tensor, target: Tensor, alpha: float = 1.0) -> Tensor:
    """Compare the edges of frames, which keeps a prediction sharp.

    The mean of ``||∂target| − |∂prediction||^alpha`` over neighbours in a column, plus that
    over neighbours in a row.

    Source: Mathieu, Couprie, LeCun, "Deep multi-scale video prediction beyond mean square error",
    ICLR 2016, equation 6, with means in place of its sums.

    Args:
        prediction: (B, C, H, W).
        target: The same shape.
        alpha: The exponent, at least 1.

    Raises:
        ValueError: If the shapes differ, or ``alpha`` is below 1.

    Example:
        >>> sharp = torch.tensor([[0.0, 1.0], [0.0, 1.0]]).view(1, 1, 2, 2)
        >>> gradient_difference_loss(torch.full_like(sharp, 0.5), sharp)
        tensor(1.)
    """
    _require_same_shape(prediction, target)
    if alpha < 1:
        raise ValueError(f"alpha={alpha} has no gradient where edges agree: set it to 1 or more.")
    down, across = (
        (target.diff(dim=dim).abs() - prediction.diff(dim=dim).abs()).abs().pow(alpha).mean()
        for dim in (-2, -1)
    )
    return down + across


def ms_ssim_loss(prediction: Tensor, target: Tensor, scales: int = 5) -> Tensor:
    """Compute 1 − the multi-scale structural similarity of frames.

    Source: Wang, Simoncelli, Bovik, "Multi-scale structural similarity for image quality
    assessment", 2003, by torchmetrics.

    Args:
        prediction: (B, C, H, W), values in [−1, 1].
        target: The same shape.
        scales: How often the frames are compared, each time at half the size; 1 to 5. The weights
            of fewer scales than the published five have the same sum.

    Raises:
        ValueError: If the shapes differ, or the frames are too small for so many scales.

    Example:
        >>> frame = torch.linspace(-1, 1, 48 * 48).view(1, 1, 48, 48)
        >>> ms_ssim_loss(frame, frame, scales=3).abs() < 1e-6
        tensor(True)
    """
    _require_same_shape(prediction, target)
    if not 1 <= scales <= len(SCALE_WEIGHTS):
        raise ValueError(f"scales={scales} must be from 1 to {len(SCALE_WEIGHTS)}.")
    height, width = prediction.shape[-2:]
    if min(height, width) < (smallest := _smallest_side(scales)):
        raise ValueError(
            f"scales={scales} of the structural similarity need frames of {smallest} pixels or "
            f"more, but they have {height}×{width}: set fewer scales, or larger frames."
        )
    weights = SCALE_WEIGHTS[:scales]
    with torch.autocast(prediction.device.type, enabled=False):  # variances cancel in 16 bits
        similarity = multiscale_structural_similarity_index_measure(
            (prediction.float() + 1) / 2,
            (target.float() + 1) / 2,
            data_range=1.0,
            betas=tuple(weight * sum(SCALE_WEIGHTS) / sum(weights) for weight in weights),
            # A frame that resembles its target less than by chance would have an infinite gradient.
            normalize="simple",
        )
    return 1 - similarity


def _smallest_side(scales: int) -> int:
    """Return the fewest pixels that torchmetrics compares at so many scales.

    Its window of 11 pixels has to fit at each scale, and it requires more with four scales.
    """
    return 11 * max(2 ** (scales - 1), (scales - 1) ** 2)


def _require_same_shape(prediction: Tensor, target: Tensor) -> None:
    require_shapes(target=(target, "B C H W"), prediction=(prediction, "B C H W"))


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
            similarity = cosines(query, items)
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
            A row of zeros is no item.
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
    first, second = nearest.unbind(dim=2)
    losses = F.triplet_margin_loss(query, first, second, margin=margin, reduction="none")
    return (losses * present(second)).mean()


def entropy_loss(attention: Tensor) -> Tensor:
    """Compute the entropy of the weights by which a query reads items, the mean over queries.

    A memory whose items are learned by gradient then reads few items for each query.

    Source: Gong et al., "Memorizing Normality to Detect Anomaly", ICCV 2019, equation 9.

    Args:
        attention: (B, K, M), the weights, with the sum 1 for each query.

    Raises:
        ValueError: If the argument has another shape.

    Example:
        >>> entropy_loss(torch.tensor([[[0.5, 0.5], [1.0, 0.0]]]))  # of ln 2 and 0
        tensor(0.3466)
    """
    require_shapes(attention=(attention, "B K M"))
    # The derivative of w·log w is infinite at 0.
    return -(attention * (attention + 1e-12).log()).sum(dim=-1).mean()


def _require_shapes(query: Tensor, items: Tensor, similarity: Tensor | None) -> None:
    require_shapes(
        query=(query, "B K C"), items=(items, "M C|B M C"), similarity=(similarity, "B K M")
    )
