"""Protocols: the ways to compute a score, and the metrics of each.

The published protocol comes first. The others stand beside it, because a figure depends on its
protocol.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import isnan, prod
from typing import get_args

import numpy as np
import torch
from torch import Tensor

from memguard.scoring.functional import anomaly_score
from memguard.scoring.metrics import FrameAP, FrameAUROC, FrameEER, FrameMetric
from memguard.scoring.names import ScoreName
from memguard.scoring.normalisation import normalise_by_widest, normalise_per_video
from memguard.scoring.smoothing import smooth_per_video

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
"""The scores of :meth:`ScoreConfig.scores`."""


PatchSize = Sequence[float]
"""Height and width of a patch as shares of the frame's, each in (0, 1]."""


@dataclass(frozen=True)
class ScoreConfig:
    """Turn the values of a test into scores.

    Attributes:
        name: The score of the test itself. ``published`` joins PSNR and distance, each normalised
            over its video, once the video has ended. ``shared_range`` divides the distance by one
            range for all videos; a video with nearly constant distance keeps small scores.
            ``patch`` is the largest patch error, comparable between videos.
        weight: λ, the share of the PSNR term against the distance term.
        patch: Height and width of a patch as shares of the frame's, or those of several sizes. The
            errors of all sizes are joined by :func:`~memguard.scoring.worst_patch`, and the
            smallest size gives the boxes.
        smoothing: Standard deviation of the smoothing over time, frames.
        causal: Smooth over the past alone, as for a live camera.

    Raises:
        ValueError: A value is none that a score has.

    Example:
        >>> scoring = ScoreConfig(
        ...     "published", weight=0.6, patch=(0.2, 0.1), smoothing=0, causal=False
        ... )
        >>> frames = {
        ...     "video": torch.tensor([0, 0]), "psnr": torch.tensor([30.0, 20.0]),
        ...     "distance": torch.tensor([0.1, 0.2]), "patch": torch.tensor([0.01, 0.03]),
        ... }
        >>> scoring.scores(frames)["published"]
        tensor([0., 1.])
    """

    name: ScoreName
    weight: float
    patch: PatchSize | Sequence[PatchSize]
    smoothing: float
    causal: bool

    def __post_init__(self) -> None:
        """Reject values that no score has."""
        names = get_args(ScoreName)
        if self.name not in names:
            raise ValueError(f"name={self.name!r} must be one of {', '.join(names)}")
        if isinstance(self.patch, str):
            raise ValueError(
                f"patch={self.patch} is measured in training videos by memguard.train and "
                "memguard.evaluate alone: give sizes"
            )
        if not 0 <= self.weight <= 1:
            raise ValueError(f"weight={self.weight} must be a share from 0 to 1")
        if self.smoothing < 0:
            raise ValueError(f"smoothing={self.smoothing} must be a number of frames, 0 or more")

    @property
    def sizes(self) -> Sequence[PatchSize]:
        """Height and width of the patches of each size, the smallest first."""
        given = np.asarray(self.patch, dtype=float).reshape(-1, 2).tolist()
        return sorted(((height, width) for height, width in given), key=prod)

    def scores(self, frames: dict[str, Tensor]) -> dict[str, Tensor]:
        """Compute every score.

        Args:
            frames: Columns ``video``, ``psnr``, ``distance`` and ``patch``, each (frames,).

        Returns:
            (frames,) for each name of :data:`MEANINGS`; without a memory there is no ``distance``.
        """
        video, psnr, distance, patch = (
            frames[name] for name in ("video", "psnr", "distance", "patch")
        )
        whole_set = torch.zeros_like(video)
        published = anomaly_score(psnr, distance, video, self.weight)
        psnr_alone = anomaly_score(psnr, distance, video, 1.0)
        patch_normalised = normalise_per_video(patch, video)
        distance_alone = anomaly_score(psnr, distance, video, 0.0)
        distance_shared = normalise_by_widest(distance, video)
        return {
            "published": published,
            "shared_range": self.weight * psnr_alone + (1 - self.weight) * distance_shared,
            "unnormalised": anomaly_score(psnr, distance, whole_set, self.weight),
            "smoothed": self._smoothed(published, video),
            "psnr": psnr_alone,
            **({"distance": distance_alone} if distance.any() else {}),
            "patch": patch,
            "patch_normalised": patch_normalised,
            "patch_psnr": self._smoothed((patch_normalised + psnr_alone) / 2, video),
        }

    def _smoothed(self, score: Tensor, video: Tensor) -> Tensor:
        return smooth_per_video(score, video, self.smoothing, causal=self.causal)


def highest_shown(frames: dict[str, Tensor], scoring: ScoreConfig) -> float:
    """Return the score at the upper end of a chart.

    Args:
        frames: The column ``score``, (frames,).
        scoring: The scoring of the test.

    Returns:
        1 for normalised scores, else the highest score.
    """
    return 1.0 if scoring.name != "patch" else float(frames["score"].max()) or 1.0


def frame_metrics(frames: dict[str, Tensor], scoring: ScoreConfig) -> dict[str, float]:
    """Compute the metrics of a test over the labelled frames.

    Args:
        frames: Columns ``video``, ``psnr``, ``distance``, ``patch``, ``written``, ``score`` and
            ``label`` (−1 unknown), each (frames,).
        scoring: The scoring of the test.

    Returns:
        ``test/frames``, ``test/frames_written`` and, with labels, ``test/frames_anomalous``; and,
        in [0, 1], the metrics that are defined (AUROC needs frames of both classes):

        - ``test/auroc``: of the test's own score, micro: all frames of all videos together,
        - ``test/auroc_macro``: the mean over videos with both classes,
        - ``test/auroc_macro_padded``: the mean over all videos, each with a normal frame of the
          lowest and an anomalous frame of the highest score added,
        - ``test/ap`` and ``test/eer``: average precision and equal error rate of the same score,
        - ``test/auroc_…``: micro, of each other score of :meth:`ScoreConfig.scores`.
    """
    counts = {
        "test/frames": float(len(frames["video"])),
        "test/frames_written": float(frames["written"].sum()),
    }
    table = protocol_table(frames, scoring)
    if not table:
        return counts
    counts["test/frames_anomalous"] = float((frames["label"] == 1).sum())
    own = {f"test/{count}": value for count, value in table.pop(scoring.name).items()}
    others = {f"test/auroc_{name}": row["auroc"] for name, row in table.items()}
    return counts | {name: value for name, value in (own | others).items() if not isnan(value)}


def protocol_table(frames: dict[str, Tensor], scoring: ScoreConfig) -> dict[str, dict[str, float]]:
    """Compute every metric of every score over the labelled frames.

    Args:
        frames: Columns as in :func:`frame_metrics`.
        scoring: The scoring of the test.

    Returns:
        For each score of :meth:`ScoreConfig.scores`: ``auroc`` (micro), ``auroc_macro``,
        ``auroc_macro_padded``, ``ap`` and ``eer``; NaN if undefined. An empty dictionary without
        labels.
    """
    known = frames["label"] >= 0
    if not known.any():
        return {}
    scores = scoring.scores(frames) | {scoring.name: frames["score"]}
    label, video = frames["label"][known], frames["video"][known]
    return {name: _metrics(score[known], label, video) for name, score in scores.items()}


def _metrics(score: Tensor, label: Tensor, video: Tensor) -> dict[str, float]:
    # The frames of all processes are joined already.
    metrics: dict[str, FrameMetric] = {
        "auroc": FrameAUROC(sync_on_compute=False),
        "auroc_macro": FrameAUROC(average="macro", sync_on_compute=False),
        "auroc_macro_padded": FrameAUROC(average="macro_padded", sync_on_compute=False),
        "ap": FrameAP(sync_on_compute=False),
        "eer": FrameEER(sync_on_compute=False),
    }
    for metric in metrics.values():
        metric.update(score, label, video)
    return {name: float(metric.compute()) for name, metric in metrics.items()}


def one_class_videos(frames: dict[str, Tensor]) -> list[int]:
    """Return the numbers of labelled videos with one class, which the macro average leaves out."""
    known = frames["label"] >= 0
    metric = FrameAUROC(average="macro", sync_on_compute=False)
    metric.update(*(frames[name][known] for name in ("score", "label", "video")))
    return metric.one_class_videos() if known.any() else []
