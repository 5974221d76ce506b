"""Scoring: from errors and distances to anomaly scores, and the metrics of a test."""

from memguard.scoring.functional import (
    anomaly_score,
    feature_distance,
    psnr,
    regular_score,
    squared_error,
)
from memguard.scoring.normalisation import normalise_by_widest, normalise_per_video
from memguard.scoring.patches import patch_box, patch_error, worst_places
from memguard.scoring.smoothing import CausalSmoother, smooth_over_time, smooth_per_video

__all__ = [
    "CausalSmoother",
    "anomaly_score",
    "feature_distance",
    "normalise_by_widest",
    "normalise_per_video",
    "patch_box",
    "patch_error",
    "psnr",
    "regular_score",
    "smooth_over_time",
    "smooth_per_video",
    "squared_error",
    "worst_places",
]
