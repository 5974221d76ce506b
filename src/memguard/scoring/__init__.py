"""Scoring: from errors and distances to anomaly scores, and the metrics of a test."""

from memguard.scoring.functional import (
    CausalSmoother,
    anomaly_score,
    feature_distance,
    normalise_by_widest,
    normalise_per_video,
    patch_box,
    patch_error,
    psnr,
    regular_score,
    smooth_over_time,
    smooth_per_video,
    squared_error,
    worst_places,
)

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
