"""Pseudo-anomalies: windows of normal video, changed to be anomalous.

They need no labels and no anomalies, and compare models before any test. Windows are uint8
(T, C, H, W). The last frame is scored: each window is anomalous in its last frame or in the motion
towards it.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from memguard.data.clips.segments import Segment
from memguard.data.clips.windows import sample_windows

SPEEDS = (2, 3, 4)
# The side of a pasted patch and its path within a window, as shares of the frame's side.
PATCH_SIDE = (0.15, 0.3)
PATCH_WAY = (0.04, 0.2)
SEED = 0  # runs of all seeds have the same sample and are comparable


@dataclass(frozen=True)
class PseudoSample:
    """Normal windows and their pseudo-anomalies.

    Attributes:
        normal: uint8 (N, T, C, H, W).
        anomalous: uint8 (n, T, C, H, W) for each kind; kinds without windows are left out.
    """

    normal: Tensor
    anomalous: dict[str, Tensor]


def pseudo_sample(segments: Sequence[Segment], length: int, count: int) -> PseudoSample | None:
    """Make a fixed sample of pseudo-anomalies from segments of normal video.

    The kinds are ``pasted``, a moving patch; ``backwards``; ``frozen``, a frame shown twice; and
    ``fast``, played at 2, 3 and 4 times the speed, a third each. The last three need windows of
    three frames. A segment too short for a speed has no such window: windows of five frames need 9,
    13 and 17 frames.

    Args:
        segments: Segments of normal video.
        length: Frames T per window.
        count: The most normal windows, and the most windows of each kind; spread evenly.

    Returns:
        The sample, the same at each call; None if no window fits.
    """
    batch = sample_windows(segments, length=length, count=count)
    if batch is None:
        return None
    normal = list(batch.frames)
    rng = np.random.default_rng(SEED)
    kinds = {"pasted": torch.stack([_pasted_at_random(rng, normal, i) for i in range(len(normal))])}
    if length > 2:
        kinds["backwards"] = torch.stack([backwards(window) for window in normal])
        kinds["frozen"] = torch.stack([frozen(window) for window in normal])
        if fast := _fast(segments, length, count):
            kinds["fast"] = torch.cat(fast)
    return PseudoSample(batch.frames, kinds)


def _fast(segments: Sequence[Segment], length: int, count: int) -> list[Tensor]:
    """Sample equally many windows at each speed that fits."""
    each = -(-count // len(SPEEDS))
    batches = (sample_windows(segments, length=length, count=each, speed=speed) for speed in SPEEDS)
    return [batch.frames for batch in batches if batch]


def backwards(window: Tensor) -> Tensor:
    """Reverse a window.

    Args:
        window: (T, C, H, W).

    Example:
        >>> backwards(torch.tensor([1, 2, 3]).view(3, 1, 1, 1)).flatten()
        tensor([3, 2, 1])
    """
    return window.flip(0)


def frozen(window: Tensor) -> Tensor:
    """Replace the last frame but one by the frame before it.

    With more frozen frames, any model would detect the jump to the last frame.

    Args:
        window: (T, C, H, W), T ≥ 3.

    Example:
        >>> frozen(torch.tensor([1, 2, 3, 4]).view(4, 1, 1, 1)).flatten()
        tensor([1, 2, 2, 4])
    """
    result = window.clone()
    result[-2] = window[-3]
    return result


def pasted(window: Tensor, patch: Tensor, path: np.ndarray) -> Tensor:
    """Paste a patch into each frame, along a path.

    Args:
        window: (T, C, H, W).
        patch: (C, h, w).
        path: (T, 2), integers: row and column of the patch's upper left corner in each frame.
    """
    result = window.clone()
    height, width = patch.shape[-2:]
    for frame, (top, left) in zip(result, path, strict=True):
        frame[:, top : top + height, left : left + width] = patch
    return result


def _pasted_at_random(rng: np.random.Generator, windows: Sequence[Tensor], index: int) -> Tensor:
    """Paste a patch of another window's first frame, which moves along a line."""
    window, other = windows[index], windows[(index + len(windows) // 2) % len(windows)]
    picture = np.array(window.shape[-2:])
    side = np.ceil(rng.uniform(*PATCH_SIDE, 2) * picture).astype(int)
    room = picture - side
    top, left = rng.integers(room + 1)
    patch = other[0, :, top : top + side[0], left : left + side[1]]
    angle = rng.uniform(0, 2 * np.pi)
    end = rng.uniform(*PATCH_WAY) * picture * (np.sin(angle), np.cos(angle))
    way = np.linspace((0, 0), end, len(window))  # (T, 2), from its start
    start = rng.uniform(-way.min(axis=0), room - way.max(axis=0))
    return pasted(window, patch, np.round(start + way).astype(int))
