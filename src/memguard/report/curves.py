"""Curves: what a score finds of the anomalous frames, against what it flags for nothing."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torchmetrics.functional.classification import binary_precision_recall_curve, binary_roc

from memguard.scoring.metrics import frame_auroc
from memguard.scoring.protocols import Scoring

# Beside the test's own score.
SHOWN = ("published", "unnormalised", "patch")


@dataclass(frozen=True)
class Curve:
    """The ROC and precision-recall curves of a score.

    Attributes:
        name: Of the score.
        false_rate: (N,), the share of normal frames that are flagged.
        true_rate: (N,), the share of anomalous frames that are, at the same thresholds.
        recall: (N′,), the same share for the other curve.
        precision: (N′,), the share of anomalous frames among those flagged.
        area: Under the ROC curve.
        average_precision: The area below the precision, each step of recall at its end.
    """

    name: str
    false_rate: np.ndarray
    true_rate: np.ndarray
    recall: np.ndarray
    precision: np.ndarray
    area: float
    average_precision: float


def curves(frames: dict[str, Tensor], how: Scoring) -> Iterator[Curve]:
    """Give the curves of a test's own score, then of others to hold it against.

    Args:
        frames: Columns as :class:`memguard.detection.frame_scorer.FrameScorer` has them.
        how: How scores are made.

    Yields:
        Nothing where the labelled frames are not of both classes.
    """
    known = frames["label"] >= 0
    label = frames["label"][known].long()
    if len(label.unique()) < 2:
        return
    scores = how.scores(frames)
    for name in dict.fromkeys((how.name, *SHOWN)):
        score = scores[name][known]
        # torchmetrics takes values outside [0, 1] for logits.
        score = (score - score.min()) / (score.max() - score.min()).clamp(min=1e-12)
        flagged, found, _ = binary_roc(score, label)
        precision, recall, _ = binary_precision_recall_curve(score, label)
        yield Curve(
            name,
            false_rate=flagged.cpu().numpy(),
            true_rate=found.cpu().numpy(),
            recall=recall[:-1].cpu().numpy(),  # the last point, a precision of 1, is by convention
            precision=precision[:-1].cpu().numpy(),
            area=float(torch.trapezoid(found, flagged)),
            average_precision=float((precision[:-1] * -recall.diff()).sum()),
        )


def video_auroc(score: np.ndarray, label: np.ndarray) -> float | None:
    """Count the area under the ROC curve of one video.

    Args:
        score: (N,), the higher, the more anomalous.
        label: (N,), 1 anomalous, 0 normal, −1 unknown.

    Returns:
        The area, in [0, 1]; None where the labelled frames are not of both classes.

    Example:
        >>> video_auroc(np.array([0.1, 0.4, 0.35, 0.8]), np.array([0, 0, 1, 1]))
        0.75
    """
    known = label >= 0
    if len(np.unique(label[known])) < 2:
        return None
    return frame_auroc(torch.from_numpy(score[known]), torch.from_numpy(label[known]))
