"""The tail of normal video: how often its error exceeds a level, also one that it never reached.

Source: Coles, "An Introduction to Statistical Modeling of Extreme Values", 2001, chapters 4 and 5;
Hosking and Wallis, Technometrics 29 (3), 1987, for the moments.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy.stats import genpareto

from memguard.detection.events import BRIDGED_FRAMES, EventStream, Moment

# The quantiles that are thresholds of peaks.
QUANTILES = (0.9, 0.95, 0.98, 0.99, 0.995, 0.998, 0.999)
# With fewer peaks, a shape is a guess.
FEW_PEAKS = 20
WIDEST_SHAPE = 0.5  # beyond, chance speaks
BLOCKS, RESAMPLINGS = 20, 200
UNREACHED = (np.inf, 0.0, 1.0, 0.0)  # threshold, rate, scale and shape where peaks are few


class Tail(NamedTuple):
    """Rates of peaks above rising thresholds, and a generalised Pareto distribution above each.

    A distribution holds from its threshold to the next. Each value is an array (…, thresholds); a
    threshold with too few peaks is infinite, its rate 0.

    Attributes:
        threshold: u, an error.
        rate: Peaks per frame, never more than of a lower threshold.
        scale: σ, an error.
        shape: ξ; 0 is the exponential distribution.

    Example:
        >>> tail = Tail(*np.array([[0.1, 0.01, 0.02, 0.0], [0.2, 0.001, 0.02, 0.0]]).T)
        >>> round(float(tail.per_frame(0.12)), 5)
        0.00368
        >>> round(float(tail.error(0.00368)), 3)
        0.12
    """

    threshold: np.ndarray
    rate: np.ndarray
    scale: np.ndarray
    shape: np.ndarray

    def per_frame(self, error: float) -> np.ndarray:
        """Return how many peaks per frame exceed an error; all, below the lowest threshold."""
        holds, following = self._at((self.threshold <= error).sum(axis=-1))
        found = holds.rate * genpareto.sf(error, holds.shape, holds.threshold, holds.scale)
        return np.maximum(found, following.rate)

    def error(self, per_frame: float) -> np.ndarray:
        """Return the error that so many peaks per frame exceed; at least the lowest threshold."""
        holds, following = self._at((self.rate >= per_frame).sum(axis=-1))
        share = np.minimum(per_frame / holds.rate, 1)
        found = genpareto.isf(share, holds.shape, holds.threshold, holds.scale)
        return np.minimum(found, following.threshold)

    def _at(self, count: np.ndarray) -> tuple["Tail", "Tail"]:
        """Take the last of so many thresholds, or the first; and the one after it."""
        rows = np.stack(self, axis=-1)
        rows = np.concatenate([rows, np.broadcast_to(UNREACHED, (*rows.shape[:-2], 1, 4))], axis=-2)
        place = np.maximum(count - 1, 0)[..., None, None]
        holds, following = (np.take_along_axis(rows, at, axis=-2) for at in (place, place + 1))
        return tuple(Tail(*np.moveaxis(row[..., 0, :], -1, 0)) for row in (holds, following))  # type: ignore[return-value]


class Peaks(NamedTuple):
    """The peaks of series of errors above a threshold.

    Attributes:
        threshold: An error.
        excess: (peaks,), the height of each above it.
        block: (peaks,), the number of its block; blocks are equal parts of all series.
    """

    threshold: float
    excess: np.ndarray
    block: np.ndarray

    def resampled(self, times: np.ndarray) -> "Peaks":
        """Take each block so many times, (BLOCKS,)."""
        each = times[self.block]
        return Peaks(self.threshold, self.excess.repeat(each), self.block.repeat(each))


def fit_tail(
    videos: Sequence[np.ndarray], unit: float, bridged: int = BRIDGED_FRAMES
) -> tuple[Tail, int]:
    """Fit the tail of normal video, and its resamplings.

    Hours of a day differ, and so do the minutes of an hour: blocks of frames are resampled, and not
    single peaks.

    Args:
        videos: The errors of each video's frames, in order.
        unit: An error, the excess of the one peak that is added where peaks are few.
        bridged: See :class:`~memguard.detection.events.EventStream`.

    Returns:
        The tail, (1 + RESAMPLINGS, thresholds) each, and the number of peaks above the threshold
        that has most of them, or above the lowest where all have few.
    """
    errors = np.concatenate(videos)
    found = [_peaks(videos, float(np.quantile(errors, q)), bridged) for q in QUANTILES]
    random = np.random.default_rng(0)
    resamplings = random.multinomial(BLOCKS, [1 / BLOCKS] * BLOCKS, size=RESAMPLINGS)
    fits = [
        _fit([peaks.resampled(times) for peaks in found], len(errors), unit)
        for times in (np.ones(BLOCKS, int), *resamplings)
    ]
    counts = [len(peaks.excess) for peaks in found]
    tail = Tail(*np.moveaxis(np.array(fits), -1, 0))
    return tail, max(counts) if max(counts) >= FEW_PEAKS else counts[0]


def _peaks(videos: Sequence[np.ndarray], threshold: float, bridged: int) -> Peaks:
    """Find the highest frame of each event above a threshold."""
    found: list[tuple[float, int]] = []
    before, frames = 0, sum(map(len, videos))
    for video in videos:
        stream = EventStream(threshold, bridged=bridged)
        above = np.flatnonzero(video > threshold).tolist()
        ended = [stream.add(Moment(frame, frame), float(video[frame])) for frame in above]
        events = [event for event in (*ended, stream.finish()) if event]
        found += [(event.score, before + event.peak.frame) for event in events]
        before += len(video)
    height, frame = np.array(found).reshape(-1, 2).T
    return Peaks(threshold, height - threshold, (frame * BLOCKS // frames).astype(int))


def _fit(found: Sequence[Peaks], frames: int, unit: float) -> np.ndarray:
    """Fit the tail above each threshold that has enough peaks, or above the lowest alone."""
    rows = np.array([_fit_excess(peaks, frames) for peaks in found])
    if np.isinf(rows[:, 0]).all():
        threshold, excess, _ = found[0]
        mean = (excess.sum() + unit) / (len(excess) + 1)
        rows[0] = threshold, max(len(excess), 1) / frames, mean, 0
    rows = rows[np.argsort(rows[:, 0], kind="stable")]
    # An event above a low threshold can be several above a high one.
    rows[:, 1] = np.maximum.accumulate(rows[::-1, 1])[::-1]
    return rows


def _fit_excess(peaks: Peaks, frames: int) -> tuple[float, ...]:
    """Fit one distribution by probability-weighted moments."""
    threshold, excess, _ = peaks
    if len(excess) < FEW_PEAKS:
        return UNREACHED
    below = (np.arange(len(excess)) + 0.65) / len(excess)
    mean, weighted = excess.mean(), ((1 - below) * np.sort(excess)).mean()
    shape = np.clip(2 - mean / (mean - 2 * weighted), -WIDEST_SHAPE, WIDEST_SHAPE)
    return threshold, len(excess) / frames, mean * (1 - shape), shape
