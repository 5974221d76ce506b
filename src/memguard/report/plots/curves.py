"""ROC and precision-recall curves: the detected anomalous frames against the false alarms."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import matplotlib as mpl
import numpy as np
import torch
from matplotlib.figure import Figure
from torch import Tensor
from torchmetrics.functional.classification import binary_precision_recall_curve, binary_roc

from memguard.report.plots.style import BLUE, GREEN, PAGE_WIDTH, PURPLE, STYLE, VERMILION
from memguard.scoring.protocols import ScoreConfig

# Scores beside the test's own.
SHOWN = ("published", "unnormalised", "patch")
LINE_POINTS = 200


@dataclass(frozen=True)
class Curve:
    """The ROC and precision-recall curves of a score.

    Attributes:
        name: The name of the score.
        false_rate: (N,), the share of normal frames that are flagged.
        true_rate: (N,), the share of anomalous frames that are, at the same thresholds.
        recall: (N′,), the share of anomalous frames that are flagged, for the other curve.
        precision: (N′,), the share of anomalous frames among those flagged.
        area: The area under the ROC curve.
        average_precision: The sum over the steps of recall, each times the precision at its end.
    """

    name: str
    false_rate: np.ndarray
    true_rate: np.ndarray
    recall: np.ndarray
    precision: np.ndarray
    area: float
    average_precision: float


def score_curves(frames: dict[str, Tensor], scoring: ScoreConfig) -> list[Curve]:
    """Compute the curves of a test's own score, then those of the scores ``SHOWN`` beside it.

    Args:
        frames: Columns as :class:`memguard.detection.frame_scorer.FrameScorer` has them.
        scoring: The scoring of the test.

    Returns:
        A curve for each score; none unless the labelled frames are of both classes.
    """
    known = frames["label"] >= 0
    label = frames["label"][known].long()
    if len(label.unique()) < 2:
        return []
    scores = scoring.scores(frames)
    names = dict.fromkeys((scoring.name, *SHOWN))
    return [_curve(name, scores[name][known], label) for name in names]


def _curve(name: str, score: Tensor, label: Tensor) -> Curve:
    # torchmetrics takes values outside [0, 1] for logits.
    score = (score - score.min()) / (score.max() - score.min()).clamp(min=1e-12)
    false_rate, true_rate, _ = binary_roc(score, label)
    precision, recall, _ = binary_precision_recall_curve(score, label)
    return Curve(
        name,
        false_rate=false_rate.cpu().numpy(),
        true_rate=true_rate.cpu().numpy(),
        recall=recall[:-1].cpu().numpy(),  # the last point, a precision of 1, is by convention
        precision=precision[:-1].cpu().numpy(),
        area=float(torch.trapezoid(true_rate, false_rate)),
        average_precision=float((precision[:-1] * -recall.diff()).sum()),
    )


def roc_and_precision_recall(curves: Sequence[Curve], anomalous: float) -> Figure:
    """Draw the ROC and precision-recall curves of scores, the first of which is the test's own.

    Args:
        curves: The curves, up to four.
        anomalous: The share of anomalous frames: the precision of flagging at random.
    """
    looks: list[dict[str, Any]] = [
        {"color": BLUE, "linewidth": 1.6},
        {"color": VERMILION, "linewidth": 1, "linestyle": "--"},
        {"color": GREEN, "linewidth": 1.2, "linestyle": ":"},
        {"color": PURPLE, "linewidth": 1, "linestyle": "-."},
    ]
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(PAGE_WIDTH, 3.3))
        roc, trade = figure.subplots(1, 2)
        for curve, look in zip(curves, looks[: len(curves)], strict=True):
            area, precision = f"{curve.area:.3f}", f"{curve.average_precision:.3f}"
            roc.plot(curve.false_rate, curve.true_rate, label=f"{curve.name}, {area}", **look)
            trade.plot(curve.recall, curve.precision, label=f"{curve.name}, {precision}", **look)
        chance: dict[str, Any] = {"color": "0.6", "linewidth": 0.6}
        roc.plot([0, 1], [0, 1], **chance)
        trade.axhline(anomalous, **chance)
        roc.set(xlabel="share of normal frames flagged", ylabel="share of anomalous frames flagged")
        trade.set(
            xlabel="recall: share of anomalous frames flagged",
            ylabel="precision: anomalous share of flagged",
        )
        for axes in (roc, trade):
            axes.set(xlim=(-0.01, 1.01), ylim=(-0.01, 1.01), aspect="equal")
        roc.legend(title="score, AUROC", loc="lower right", frameon=False)
        trade.legend(title="score, average precision", loc="lower left", frameon=False)
        trade.text(0.99, anomalous + 0.01, "flagged at random", color="0.4", fontsize=7, ha="right")
    return figure


def curve_lines(curves: Sequence[Curve]) -> dict[str, list[dict[str, Any]]]:
    """Describe the curves as the page draws them, in SVG.

    Returns:
        For ``roc`` and ``pr`` the name, the line's points within a square of 100, and the area
        of each curve.
    """
    return {
        "roc": [_line(c.name, c.false_rate, c.true_rate, c.area) for c in curves],
        "pr": [_line(c.name, c.recall, c.precision, c.average_precision) for c in curves],
    }


def _line(name: str, x: np.ndarray, y: np.ndarray, area: float) -> dict[str, Any]:
    places = np.unique(np.linspace(0, len(x) - 1, LINE_POINTS).round().astype(int))
    pairs = zip((100 * x[places]).tolist(), (100 - 100 * y[places]).tolist(), strict=True)
    return {"name": name, "line": " ".join(f"{a:.2f},{b:.2f}" for a, b in pairs), "area": area}
