"""Protocols: the ways of counting how well a test's scores tell anomalous frames from normal.

The published one comes first; the others stand beside it, so that no number goes without its way of
being made.
"""

from math import isnan

import torch
from torch import Tensor

from memguard import scoring
from memguard.metrics import FrameAP, FrameAUROC, FrameEER, FrameMetric


def frame_metrics(frames: dict[str, Tensor], weight: float) -> dict[str, float]:
    """Count over the frames that have labels.

    Args:
        frames: Columns ``video``, ``psnr``, ``distance``, ``written``, ``score`` and ``label``
            (−1 unknown), each (frames,).
        weight: λ, the share of the PSNR term in the score.

    Returns:
        ``test/frames``, ``test/frames_written`` and, where there are labels,
        ``test/frames_anomalous``; and, in [0, 1], what the labels' classes allow (without frames
        of both there is no AUROC):

        - ``test/auroc``: micro, terms normalised per video; the published protocol,
        - ``test/auroc_macro``: the mean over videos that have both classes,
        - ``test/auroc_unnormalised``: micro, terms stretched over the whole set, not each video,
        - ``test/auroc_psnr`` and ``test/auroc_distance``: micro, one term alone, per video,
        - ``test/ap`` and ``test/eer``: average precision and equal error rate of the published
          score.
    """
    counts = {
        "test/frames": float(len(frames["video"])),
        "test/frames_written": float(frames["written"].sum()),
    }
    known = frames["label"] >= 0
    if not known.any():
        return counts
    counts["test/frames_anomalous"] = float((frames["label"] == 1).sum())
    psnr, distance, video, label, published = (
        frames[name][known] for name in ("psnr", "distance", "video", "label", "score")
    )
    unnormalised = scoring.anomaly_score(psnr, distance, torch.zeros_like(video), weight)
    psnr_alone = scoring.anomaly_score(psnr, distance, video, weight=1.0)
    distance_alone = scoring.anomaly_score(psnr, distance, video, weight=0.0)
    protocols: dict[str, tuple[FrameMetric, Tensor]] = {
        "test/auroc": (FrameAUROC(), published),
        "test/auroc_macro": (FrameAUROC(average="macro"), published),
        "test/auroc_unnormalised": (FrameAUROC(), unnormalised),
        "test/auroc_psnr": (FrameAUROC(), psnr_alone),
        "test/auroc_distance": (FrameAUROC(), distance_alone),
        "test/ap": (FrameAP(), published),
        "test/eer": (FrameEER(), published),
    }
    for metric, score in protocols.values():
        metric.sync_on_compute = False  # the frames are those of all processes already
        metric.to(score.device).update(score, label, video)
    values = {name: float(metric.compute()) for name, (metric, _) in protocols.items()}
    return counts | {name: value for name, value in values.items() if not isnan(value)}


def one_class_videos(frames: dict[str, Tensor]) -> list[int]:
    """Number the labelled videos that the macro average leaves out, for want of both classes."""
    known = frames["label"] >= 0
    metric = FrameAUROC(average="macro", sync_on_compute=False)
    metric.update(*(frames[name][known] for name in ("score", "label", "video")))
    return metric.one_class_videos() if known.any() else []
