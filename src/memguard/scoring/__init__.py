"""Scoring: from errors and distances to anomaly scores, and the metrics of a test."""

from memguard.scoring.functional import (
    anomaly_score,
    feature_distance,
    psnr,
    regular_score,
    squared_error,
)
from memguard.scoring.normalisation import normalise_by_widest, normalise_per_video
from memguard.scoring.patches import (
    errors_of_places,
    patch_box,
    patch_error,
    patch_errors,
    worst_patch,
    worst_places,
)
from memguard.scoring.regions import Region, find_regions, region_in
from memguard.scoring.smoothing import StreamSmoother, smooth_over_time, smooth_per_video

__all__ = [
    "Region",
    "StreamSmoother",
    "anomaly_score",
    "errors_of_places",
    "feature_distance",
    "find_regions",
    "normalise_by_widest",
    "normalise_per_video",
    "patch_box",
    "patch_error",
    "patch_errors",
    "psnr",
    "region_in",
    "regular_score",
    "smooth_over_time",
    "smooth_per_video",
    "squared_error",
    "worst_patch",
    "worst_places",
]
