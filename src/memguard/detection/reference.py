"""The reference: the look of a camera's normal pictures, by small grey copies of them.

A checkpoint stores it, and :mod:`memguard.live.conditions` compares a camera's pictures with it.
"""

from collections.abc import Mapping

import numpy as np
import torch
from scipy.cluster.hierarchy import fcluster, linkage
from torch import Tensor, nn
from torch.nn import functional

SIDE = 64  # pixels of a small picture
LOOKS = 8  # the most that are stored, such as day, night and lamplight
# Pictures whose correlation is below this have different looks.
SAME_LOOK = 0.8
RARE = 0.01  # the share of pictures below which a look is not stored
COARSE = 16  # pixels; a person hardly changes the correlation of pictures so small
TRAITS = ("brightness", "contrast", "detail", "flicker")
QUANTILES = (0.01, 0.99)
# Grey levels of 255. A pixel of the small copy of one picture changes by up to 3.3 as it is encoded
# again (H.264, 640×360, 300 kbit/s).
UNCHANGED = 6.0
LUMA = (0.299, 0.587, 0.114)  # BT.601


def small(frames: Tensor) -> Tensor:
    """Make small grey copies of frames.

    Args:
        frames: uint8 (N, C, H, W), grey or RGB.

    Returns:
        (N, 64, 64), grey levels from 0 to 255.
    """
    levels = frames.float()
    if levels.shape[1] == len(LUMA):
        weights = torch.tensor(LUMA, device=levels.device)
        levels = (levels * weights[:, None, None]).sum(dim=1, keepdim=True)
    return functional.adaptive_avg_pool2d(levels, SIDE)[:, 0]


def traits(pictures: Tensor) -> dict[str, Tensor]:
    """Measure the brightness, contrast and detail of small pictures.

    Args:
        pictures: (N, 64, 64).

    Returns:
        (N,) each: ``brightness``, the mean grey level; ``contrast``, the standard deviation as a
        share of it; ``detail``, the mean absolute Laplacian as a share of the standard deviation.

    Example:
        >>> flat, edges = torch.full((64, 64), 50.0), torch.zeros(64, 64)
        >>> edges[:, ::2] = 100
        >>> measured = traits(torch.stack([flat, edges]))
        >>> measured["brightness"], measured["contrast"], measured["detail"]
        (tensor([50., 50.]), tensor([0., 1.]), tensor([0., 4.]))
    """
    brightness = pictures.mean(dim=(1, 2))
    deviation = pictures.std(dim=(1, 2), correction=0)
    inner = pictures[:, 1:-1, 1:-1]
    across = pictures[:, 1:-1, :-2] + pictures[:, 1:-1, 2:]
    down = pictures[:, :-2, 1:-1] + pictures[:, 2:, 1:-1]
    laplacian = (across + down - 4 * inner).abs().mean(dim=(1, 2))
    return {
        "brightness": brightness,
        "contrast": deviation / brightness.clamp(min=1),
        "detail": laplacian / deviation.clamp(min=1),
    }


def differences(earlier: Tensor, later: Tensor) -> dict[str, Tensor]:
    """Compare small pictures with the ones before.

    Args:
        earlier: (N, 64, 64).
        later: The same shape.

    Returns:
        (N,) each: ``flicker``, the median change of a pixel, which objects do not decide; and
        ``change``, the largest change.
    """
    change = (later - earlier).abs().flatten(1)
    return {"flicker": change.median(dim=1).values, "change": change.amax(dim=1)}


class Reference(nn.Module):
    """Learn the look of normal pictures.

    A checkpoint of a version without references loads as not learned.

    Attributes:
        looks: (8, 64, 64), the mean small picture of each look, such as day and night; 0 where
            there are fewer. It is a buffer, because checkpoints store it.
        look_count: The number of looks.
        ranges: (4, 2), the 1 % and the 99 % quantile of each of :data:`TRAITS`.
        still: The longest run of frames that hardly differ from the frame before.
        frame_size: (2,), height and width of the frames, pixels.

    Example:
        >>> reference = Reference()
        >>> reference.learned
        False
        >>> pictures = torch.rand(50, 64, 64) * 255
        >>> place = {"video": torch.zeros(50), "change": torch.full((50,), 9.0)}
        >>> rows = place | traits(pictures) | {"flicker": torch.full((50,), 2.0)}
        >>> reference.learn(rows, pictures, frame_size=(64, 64))
        >>> reference.learned, reference.range("flicker")
        (True, (2.0, 2.0))
    """

    looks: Tensor
    look_count: Tensor
    ranges: Tensor
    still: Tensor
    frame_size: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("looks", torch.full((LOOKS, SIDE, SIDE), torch.nan))
        self.register_buffer("look_count", torch.tensor(torch.nan))
        self.register_buffer("ranges", torch.full((len(TRAITS), 2), torch.nan))
        self.register_buffer("still", torch.tensor(torch.nan))
        self.register_buffer("frame_size", torch.full((2,), torch.nan))
        self.register_load_state_dict_pre_hook(_add_missing_buffers)

    @torch.no_grad()
    def learn(
        self, rows: Mapping[str, Tensor], pictures: Tensor, frame_size: tuple[int, int]
    ) -> None:
        """Learn from normal frames.

        Args:
            rows: For each frame in order its ``video``, its :func:`traits`, and its
                :func:`differences` from the frame before, NaN where there is none.
            pictures: (N, 64, 64), the small copies of some of the frames.
            frame_size: Height and width of the frames, pixels.
        """
        found = _mean_looks(pictures.cpu().numpy())
        self.looks.zero_()
        self.looks[: len(found)] = torch.from_numpy(found)
        self.look_count.fill_(len(found))
        quantiles = torch.tensor(QUANTILES, dtype=torch.float64)
        ranges = [rows[name].double().nanquantile(quantiles) for name in TRAITS]
        self.ranges.copy_(torch.stack(ranges))
        still = rows["change"] <= UNCHANGED
        videos = rows["video"].unique()
        self.still.fill_(max(_longest_run(still[rows["video"] == video]) for video in videos))
        self.frame_size.copy_(torch.tensor(frame_size))

    @property
    def learned(self) -> bool:
        """Whether :meth:`learn` has run."""
        return not bool(self.frame_size.isnan().any())

    @property
    def known_looks(self) -> Tensor:
        """The mean pictures of the looks, (N, 64, 64)."""
        return self.looks[: int(self.look_count)]

    def range(self, trait: str) -> tuple[float, float]:
        """Return the usual range of a trait in normal pictures; NaN if it is unknown."""
        low, high = self.ranges[TRAITS.index(trait)].tolist()
        return low, high


def coarse(pictures: np.ndarray) -> np.ndarray:
    """Reduce small pictures to unit vectors, whose products are correlations.

    Args:
        pictures: (N, 64, 64).

    Returns:
        (N, 256).
    """
    block = SIDE // COARSE
    means = (
        pictures.reshape(-1, COARSE, block, COARSE, block).mean(axis=(2, 4)).reshape(-1, COARSE**2)
    )
    centred = means - means.mean(axis=1, keepdims=True)
    unit: np.ndarray = centred / np.maximum(np.linalg.norm(centred, axis=1, keepdims=True), 1e-3)
    return unit


def _mean_looks(pictures: np.ndarray) -> np.ndarray:
    """Return the mean picture of each look, the most frequent first."""
    apart = (2 * (1 - SAME_LOOK)) ** 0.5  # the distance of unit vectors with that correlation
    tree = linkage(coarse(pictures), "average") if len(pictures) > 1 else None
    look = np.ones(1, int) if tree is None else fcluster(tree, apart, "distance")
    counts = np.bincount(look)
    frequent = np.argsort(-counts)[:LOOKS]
    return np.stack(
        [pictures[look == k].mean(axis=0) for k in frequent if counts[k] > RARE * len(pictures)]
    ).astype(np.float32)


def _longest_run(flags: Tensor) -> int:
    """Return the length of the longest run of true values."""
    ends = torch.nonzero(~torch.cat([flags.new_zeros(1), flags, flags.new_zeros(1)])).flatten()
    return int(ends.diff().max()) - 1


def _add_missing_buffers(
    module: nn.Module, state: dict[str, Tensor], prefix: str, *_: object
) -> None:
    """Load checkpoints of versions without references as not learned."""
    for name, buffer in module.named_buffers():
        state.setdefault(prefix + name, torch.full_like(buffer, torch.nan))
