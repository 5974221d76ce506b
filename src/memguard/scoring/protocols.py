"""Protocols: the ways of making a score and of counting how well it tells anomalous from normal.

The published one comes first; the others stand beside it, so that no number goes without its way of
being made.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import isnan
from typing import Literal

import torch
from torch import Tensor

from memguard.model.shapes import require_shapes
from memguard.scoring import functional as scoring
from memguard.scoring.metrics import FrameAP, FrameAUROC, FrameEER, FrameMetric

MEANINGS = {
    "published": "PSNR and distance, each min–max normalised over its video: the paper's",
    "shared_range": "as published, but the distance in units of its widest range in any video",
    "unnormalised": "PSNR and distance, min–max normalised over the whole set, not each video",
    "smoothed": "as published, then smoothed over time",
    "psnr": "PSNR alone, normalised over its video",
    "distance": "distance alone, normalised over its video",
    "patch": "the patch with the largest error, not normalised",
    "patch_normalised": "the patch with the largest error, normalised over its video",
    "patch_psnr": "the mean of patch_normalised and psnr, then smoothed over time",
}
"""Each score that :meth:`Scoring.scores` makes, and how."""


@dataclass(frozen=True)
class Scoring:
    """How the values of a test become scores.

    Attributes:
        name: Which score is the test's own: ``published`` joins PSNR and distance, each normalised
            over its video, which must have ended first; ``shared_range`` divides the distance by
            one range for all videos, so that one in which it hardly varies counts for little;
            ``patch`` is the error of the worst painted patch, in units that mean the same in
            every video.
        weight: λ, the share of the PSNR term against the distance term.
        patch: Height and width of a patch as shares of the picture's.
        smoothing: Standard deviation of the patches' smoothing over time, frames.
        causal: Patches are smoothed over the past alone, as a live camera has it.
    """

    name: Literal["published", "shared_range", "patch"]
    weight: float
    patch: Sequence[float]
    smoothing: float
    causal: bool

    def worst_patch(self, errors: Tensor) -> Tensor:
        """Find how badly the worst patch of each frame of a video is painted.

        Args:
            errors: (T, rows, columns), from :func:`~memguard.scoring.patch_error`, in order.

        Returns:
            (T,), its mean squared error, in [0, 1].

        Raises:
            ValueError: The shape is another one.
        """
        require_shapes(errors=(errors, "T rows columns"))
        return self._smooth_patches(errors).flatten(1).amax(dim=1)

    def worst_places(self, errors: Tensor, frame: Sequence[int]) -> Tensor:
        """Find the patch of each frame that its score is made of.

        The ``patch`` score is of errors that are smoothed over time; see
        :func:`~memguard.scoring.worst_places`. PSNR is of the frame's own errors, so its place is
        the frame's own worst patch.

        Args:
            errors: (T, rows, columns), from :func:`~memguard.scoring.patch_error`, in order.
            frame: Height and width of the frame in pixels.

        Returns:
            (T, 2), row and column of each frame's patch.
        """
        decisive = self._smooth_patches(errors) if self.name == "patch" else errors
        return scoring.worst_places(errors, decisive, self.patch, frame)

    def _smooth_patches(self, errors: Tensor) -> Tensor:
        return scoring.smooth_over_time(errors, self.smoothing, causal=self.causal)

    def scores(self, frames: dict[str, Tensor]) -> dict[str, Tensor]:
        """Make every score.

        Args:
            frames: Columns ``video``, ``psnr``, ``distance`` and ``patch``, each (frames,).

        Returns:
            (frames,) each, under the names of :data:`MEANINGS`; ``distance`` only where frames have
            a distance, which they do not without a memory.
        """
        video, psnr, distance, patch = (
            frames[name] for name in ("video", "psnr", "distance", "patch")
        )
        whole_set = torch.zeros_like(video)
        published = scoring.anomaly_score(psnr, distance, video, self.weight)
        psnr_alone = scoring.anomaly_score(psnr, distance, video, 1.0)
        patch_normalised = scoring.normalise_per_video(patch, video)
        distance_alone = scoring.anomaly_score(psnr, distance, video, 0.0)
        distance_shared = scoring.normalise_by_widest(distance, video)
        return {
            "published": published,
            "shared_range": self.weight * psnr_alone + (1 - self.weight) * distance_shared,
            "unnormalised": scoring.anomaly_score(psnr, distance, whole_set, self.weight),
            "smoothed": self._smoothed(published, video),
            "psnr": psnr_alone,
            **({"distance": distance_alone} if distance.any() else {}),
            "patch": patch,
            "patch_normalised": patch_normalised,
            "patch_psnr": self._smoothed((patch_normalised + psnr_alone) / 2, video),
        }

    def _smoothed(self, score: Tensor, video: Tensor) -> Tensor:
        return scoring.smooth_per_video(score, video, self.smoothing, causal=self.causal)


def highest_shown(frames: dict[str, Tensor], how: Scoring) -> float:
    """Give the score at the upper end of a chart.

    Args:
        frames: The column ``score``, (frames,).
        how: How scores are made.

    Returns:
        1 for scores that are normalised, else the highest one.
    """
    return 1.0 if how.name != "patch" else float(frames["score"].max()) or 1.0


def frame_metrics(frames: dict[str, Tensor], how: Scoring) -> dict[str, float]:
    """Count over the frames that have labels.

    Args:
        frames: Columns ``video``, ``psnr``, ``distance``, ``patch``, ``written``, ``score`` and
            ``label`` (−1 unknown), each (frames,).
        how: How scores are made.

    Returns:
        ``test/frames``, ``test/frames_written`` and, where there are labels,
        ``test/frames_anomalous``; and, in [0, 1], what the labels' classes allow (without frames
        of both there is no AUROC):

        - ``test/auroc``: of the test's own score, micro: all frames of all videos together,
        - ``test/auroc_macro``: the mean over videos that have both classes,
        - ``test/ap`` and ``test/eer``: average precision and equal error rate of the same score,
        - ``test/auroc_…``: micro, of each other score that :meth:`Scoring.scores` names.
    """
    counts = {
        "test/frames": float(len(frames["video"])),
        "test/frames_written": float(frames["written"].sum()),
    }
    table = protocol_table(frames, how)
    if not table:
        return counts
    counts["test/frames_anomalous"] = float((frames["label"] == 1).sum())
    own = {f"test/{count}": value for count, value in table.pop(how.name).items()}
    others = {f"test/auroc_{name}": row["auroc"] for name, row in table.items()}
    return counts | {name: value for name, value in (own | others).items() if not isnan(value)}


def protocol_table(frames: dict[str, Tensor], how: Scoring) -> dict[str, dict[str, float]]:
    """Count every score in every way, over the frames that have labels.

    Args:
        frames: As :func:`frame_metrics` takes them.
        how: How scores are made.

    Returns:
        For each score that :meth:`Scoring.scores` names, ``auroc`` (micro), ``auroc_macro``, ``ap``
        and ``eer``; NaN where the labels' classes do not allow it. Nothing without labels.
    """
    known = frames["label"] >= 0
    if not known.any():
        return {}
    scores = how.scores(frames) | {how.name: frames["score"]}
    label, video = frames["label"][known], frames["video"][known]
    return {name: _counts(score[known], label, video) for name, score in scores.items()}


def _counts(score: Tensor, label: Tensor, video: Tensor) -> dict[str, float]:
    # The frames are those of all processes already.
    counts: dict[str, FrameMetric] = {
        "auroc": FrameAUROC(sync_on_compute=False),
        "auroc_macro": FrameAUROC(average="macro", sync_on_compute=False),
        "ap": FrameAP(sync_on_compute=False),
        "eer": FrameEER(sync_on_compute=False),
    }
    for metric in counts.values():
        metric.update(score, label, video)
    return {name: float(metric.compute()) for name, metric in counts.items()}


def one_class_videos(frames: dict[str, Tensor]) -> list[int]:
    """Number the labelled videos that the macro average leaves out, for want of both classes."""
    known = frames["label"] >= 0
    metric = FrameAUROC(average="macro", sync_on_compute=False)
    metric.update(*(frames[name][known] for name in ("score", "label", "video")))
    return metric.one_class_videos() if known.any() else []
