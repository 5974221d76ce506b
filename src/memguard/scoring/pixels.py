"""Pixel AUROC: how well a map of errors marks the anomalous pixels.

All pixels of all frames are pooled. The mean of each frame's area is another figure.
"""

from typing import Any

import torch
from torch import Tensor
from torchmetrics.utilities import rank_zero_warn

from memguard.model.shapes import require_shapes
from memguard.scoring.metrics import Share

# A bin has the exponent of a single-precision number and 15 of the 23 bits of its mantissa: 2^15
# bins for each of the 32 doublings from 2^-32 to 1, one for 1 itself, and before them one for 0.
BITS_LEFT_OUT = 8
BINS = 1 + 32 * 2**15 + 1
BITS_OF_ONE = 127 * 2**15

LARGEST_ERROR = 1e-4


def pixel_auroc(score: Tensor, mask: Tensor) -> float:
    """Compute the area under the ROC curve of all pixels of all frames together, exactly.

    It holds all pixels in memory; :class:`PixelAUROC` does not.

    Args:
        score: (N, H, W), the higher, the more anomalous; any range.
        mask: (N, H, W), not 0 where the pixel is anomalous.

    Returns:
        The area, in [0, 1]; NaN if the pixels are of one class.

    Raises:
        ValueError: A shape is another one.

    Example:
        >>> pixel_auroc(torch.tensor([[[0.1, 0.4, 0.35, 0.8]]]), torch.tensor([[[0, 0, 1, 1]]]))
        0.75
    """
    require_shapes(score=(score, "N H W"), mask=(mask, "N H W"))
    values, place = score.unique(return_inverse=True)
    return float(_ranked_area(_count(place, mask, len(values))))


def _count(place: Tensor, mask: Tensor, places: int) -> Tensor:
    """Count the normal and the anomalous pixels of each place, (2, places)."""
    both = place.flatten() + places * (mask.flatten() != 0)
    return torch.bincount(both, minlength=2 * places).view(2, places)


def _ranked_area(counts: Tensor) -> Tensor:
    """Compute the AUROC of pixels that have only ranks: (2, ranks), normal and anomalous."""
    normal, anomalous = counts.cpu().double()
    below = normal.cumsum(0) - normal / 2
    return (anomalous * below).sum() / (normal.sum() * anomalous.sum())


class PixelAUROC(Share):
    """Area under the ROC curve of all pixels of all frames together, in bounded memory.

    A pixel's score is rounded to a bin, which is the leading bits of the number: 2^15 bins for each
    doubling, so bins are narrow at any size of the errors, whose distribution is very skewed. 0 has
    a bin of its own, and scores up to 2^-32 share the next; the error of one grey level is 2^16
    times as large.

    Error: bins are in the order of scores. So a normal and an anomalous pixel in different bins
    count as in the exact area; in one bin they count ½ instead of 0, ½ or 1. With shares n_b and
    a_b of the normal and the anomalous pixels in bin b, the area is off by at most ½ Σ n_b a_b over
    all bins but that of 0, for which ½ is exact (:meth:`error_bound`). No fixed number bounds the
    error, because it depends on the scores: it is below 1e-4 unless one bin, a range of a factor of
    1 + 2^-15, holds 0.02 % of the normal pixels. :meth:`compute` warns where the bound is larger.
    Equal scores add to the bound, though not to the error: the differences of two 8-bit frames do.

    State: the counts of normal and anomalous pixels, (2, bins), 16 MB, summed over processes. They
    are integers, so the result does not depend on the order or distribution of frames.

    Example:
        >>> metric = PixelAUROC()
        >>> metric.update(torch.tensor([[[0.1, 0.4, 0.35, 0.8]]]), torch.tensor([[[0, 0, 1, 1]]]))
        >>> metric.compute()
        tensor(0.7500, dtype=torch.float64)
    """

    counts: Tensor

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        counts = torch.zeros(2, BINS, dtype=torch.long)
        self.add_state("counts", default=counts, dist_reduce_fx="sum")

    def update(self, score: Tensor, mask: Tensor) -> None:
        """Add frames.

        Args:
            score: (N, H, W), in [0, 1], as :func:`~memguard.scoring.squared_error` is; the higher,
                the more anomalous.
            mask: (N, H, W), not 0 where the pixel is anomalous.

        Raises:
            ValueError: A shape is another one, or a score is not in [0, 1].
        """
        require_shapes(score=(score, "N H W"), mask=(mask, "N H W"))
        if not ((score >= 0) & (score <= 1)).all():
            raise ValueError("score must be in [0, 1]: scale it, or count 1 − exp(−score)")
        self.counts += _count(_bin(score), mask.to(score.device), BINS).cpu()

    def compute(self) -> Tensor:
        """Return the area, in [0, 1]; NaN if the pixels are of one class.

        A warning says how far it can be from the exact area if that is more than 1e-4.
        """
        if (bound := self.error_bound()) > LARGEST_ERROR:
            rank_zero_warn(
                f"The pixel AUROC can be off by {bound:.1g}: many pixels have scores that its "
                "histogram does not distinguish. Compare it with others by fewer digits."
            )
        return _ranked_area(self.counts)

    def error_bound(self) -> float:
        """Return how far the area can be from the exact one, from the frames of this process."""
        normal, anomalous = self.counts.double()
        pairs = (normal * anomalous)[1:].sum()
        return float(pairs / (2 * normal.sum() * anomalous.sum()))


def _bin(score: Tensor) -> Tensor:
    """Return the bin of each score: positive numbers are in the order of their bits."""
    bits = score.float().contiguous().view(torch.int32) >> BITS_LEFT_OUT
    return ((bits - BITS_OF_ONE + BINS - 1).clamp(min=1) * (score > 0)).long()
