"""What is counted, and what is left out because it is not defined."""

import pytest
import torch
from torch import Tensor

from memguard.protocols import frame_metrics


def frames(label: list[int]) -> dict[str, Tensor]:
    """Two videos of four frames; the first half of each is painted better."""
    psnr = torch.tensor([30.0, 29.0, 21.0, 20.0] * 2)
    distance = torch.tensor([0.1, 0.2, 0.3, 0.4] * 2)
    return {
        "video": torch.tensor([0.0] * 4 + [1.0] * 4),
        "psnr": psnr,
        "distance": distance,
        "written": torch.tensor([1.0] + [0.0] * 7),
        "score": (30 - psnr) / 10,
        "label": torch.tensor(label, dtype=torch.float64),
    }


def test_what_is_told_apart_perfectly_counts_as_one() -> None:
    metrics = frame_metrics(frames([0, 0, 1, 1] * 2), weight=0.6)
    counts = {"test/frames": 8, "test/frames_written": 1, "test/frames_anomalous": 4}
    assert {name: metrics.pop(name) for name in counts} == counts
    assert metrics.pop("test/eer") == 0
    assert set(metrics.values()) == {1.0}


def test_frames_that_nobody_labelled_do_not_count() -> None:
    metrics = frame_metrics(frames([0, 0, 1, 1, -1, -1, -1, -1]), weight=0.6)
    assert metrics["test/frames"] == 8
    assert metrics["test/frames_anomalous"] == 2
    assert metrics["test/auroc"] == 1


@pytest.mark.parametrize("label", [0, 1])
def test_one_class_alone_gives_counts_alone(label: int) -> None:
    assert frame_metrics(frames([label] * 8), weight=0.6) == {
        "test/frames": 8, "test/frames_written": 1, "test/frames_anomalous": 8 * label,
    }  # fmt: skip


def test_macro_is_left_out_where_no_video_has_both_classes() -> None:
    metrics = frame_metrics(frames([0] * 4 + [1] * 4), weight=0.6)
    assert "test/auroc_macro" not in metrics
    assert metrics["test/auroc"] == 0.5
