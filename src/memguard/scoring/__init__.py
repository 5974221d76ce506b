"""Scoring: from errors and distances to anomaly scores, and the metrics of a test."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from memguard.scoring.functional import (
        anomaly_score,
        feature_distance,
        psnr,
        regular_score,
        squared_error,
    )
    from memguard.scoring.normalisation import normalise_by_widest, normalise_per_video
    from memguard.scoring.patch_places import (
        errors_of_places,
        patch_box,
        pooled,
        worst_patch,
        worst_places,
    )
    from memguard.scoring.patches import patch_error, patch_errors
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
    "pooled",
    "psnr",
    "region_in",
    "regular_score",
    "smooth_over_time",
    "smooth_per_video",
    "squared_error",
    "worst_patch",
    "worst_places",
]

_PLACES = {
    "Region": "regions",
    "StreamSmoother": "smoothing",
    "anomaly_score": "functional",
    "errors_of_places": "patch_places",
    "feature_distance": "functional",
    "find_regions": "regions",
    "normalise_by_widest": "normalisation",
    "normalise_per_video": "normalisation",
    "patch_box": "patch_places",
    "patch_error": "patches",
    "patch_errors": "patches",
    "pooled": "patch_places",
    "psnr": "functional",
    "region_in": "regions",
    "regular_score": "functional",
    "smooth_over_time": "smoothing",
    "smooth_per_video": "smoothing",
    "squared_error": "functional",
    "worst_patch": "patch_places",
    "worst_places": "patch_places",
}


def __getattr__(name: str) -> Any:
    """Import lazily: some functions need PyTorch, and live scoring by a graph has none."""
    if name in _PLACES:
        return getattr(import_module(f"memguard.scoring.{_PLACES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
