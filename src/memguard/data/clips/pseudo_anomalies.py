"""Pseudo-anomalies: windows of normal video, made to show what normal video does not.

They cost no labels and no anomalies, so that models can be compared before any test. Made of frames
as uint8 (T, C, H, W); the last frame of a window is the one that is scored, so each of them is odd
in its last frame or in what leads to it.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from memguard.data.clips.windows import Segment, sample_windows

SPEEDS = (2, 3, 4)
# Of the picture's side: how large a pasted patch is, and how far it moves within a window.
PATCH_SIDE = (0.15, 0.3)
PATCH_WAY = (0.04, 0.2)
SEED = 0  # the sample is the same for every run, whatever its seed, so that runs compare


@dataclass(frozen=True)
class PseudoSample:
    """Normal windows and what was made of them.

    Attributes:
        normal: uint8 (N, T, C, H, W).
        anomalous: By kind, uint8 (n, T, C, H, W) each; a kind of which nothing fits is not there.
    """

    normal: Tensor
    anomalous: dict[str, Tensor]


def pseudo_sample(segments: Sequence[Segment], length: int, count: int) -> PseudoSample | None:
    """Make a fixed sample of pseudo-anomalies from normal stretches of video.

    Kinds: ``pasted``, a moving patch; ``backwards``; ``frozen``, one frame shown twice; ``fast``,
    played 2, 3 and 4 times as fast, a third each. Those that change the time need three frames in a
    window, and so a window of one frame has ``pasted`` alone. Stretches that are too short for a
    speed have none of it: windows of five frames need 9, 13 and 17.

    Args:
        segments: Stretches of normal video.
        length: Frames T per window.
        count: Normal windows, and windows of each kind, at most; spread evenly.

    Returns:
        The sample, the same at each call; None where no window fits.
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
    """Play as many windows at each speed; none where the stretches are too short for it."""
    each = -(-count // len(SPEEDS))
    batches = (sample_windows(segments, length=length, count=each, speed=speed) for speed in SPEEDS)
    return [batch.frames for batch in batches if batch]


def backwards(window: Tensor) -> Tensor:
    """Play a window from its end.

    Args:
        window: (T, C, H, W).
    """
    return window.flip(0)


def frozen(window: Tensor) -> Tensor:
    """Show the last frame but two a second time in place of the next, then go on with the last.

    With more frames frozen than one, the jump to the last is told by any model, which then says
    nothing about it.

    Args:
        window: (T, C, H, W), T ≥ 3.
    """
    result = window.clone()
    result[-2] = window[-3]
    return result


def pasted(window: Tensor, patch: Tensor, path: np.ndarray) -> Tensor:
    """Paste a patch into each frame, along a path.

    Args:
        window: (T, C, H, W).
        patch: (C, h, w).
        path: (T, 2), whole numbers: row and column of the patch's upper left corner.
    """
    result = window.clone()
    height, width = patch.shape[-2:]
    for frame, (top, left) in zip(result, path, strict=True):
        frame[:, top : top + height, left : left + width] = patch
    return result


def _pasted_at_random(rng: np.random.Generator, windows: Sequence[Tensor], index: int) -> Tensor:
    """Paste a part of another window's picture, that moves straight on from frame to frame."""
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
