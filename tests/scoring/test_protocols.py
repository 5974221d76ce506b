"""Scores of each protocol, and metrics that are left out if they are undefined."""

from dataclasses import replace
from math import exp
from typing import Any

import pytest
import torch
from torch import Tensor

from memguard.scoring.protocols import ScoreConfig, frame_metrics, one_class_videos

PUBLISHED = ScoreConfig("published", weight=0.6, patch=(0.2, 0.1), smoothing=0, causal=False)


def frames(label: list[int]) -> dict[str, Tensor]:
    """Two videos of four frames; the first half of each has a larger PSNR."""
    psnr = torch.tensor([30.0, 29.0, 21.0, 20.0] * 2)
    distance = torch.tensor([0.1, 0.2, 0.3, 0.4] * 2)
    return {
        "video": torch.tensor([0.0] * 4 + [1.0] * 4),
        "psnr": psnr,
        "distance": distance,
        "patch": (31 - psnr) / 100,
        "written": torch.tensor([1.0] + [0.0] * 7),
        "score": (30 - psnr) / 10,
        "label": torch.tensor(label, dtype=torch.float64),
    }


def test_perfectly_separated_frames_have_an_auroc_of_one() -> None:
    metrics = frame_metrics(frames([0, 0, 1, 1] * 2), PUBLISHED)
    counts = {"test/frames": 8, "test/frames_written": 1, "test/frames_anomalous": 4}
    assert {name: metrics.pop(name) for name in counts} == counts
    assert metrics.pop("test/eer") == 0
    assert set(metrics.values()) == {1.0}


def test_unlabelled_frames_do_not_count() -> None:
    metrics = frame_metrics(frames([0, 0, 1, 1, -1, -1, -1, -1]), PUBLISHED)
    assert metrics["test/frames"] == 8
    assert metrics["test/frames_anomalous"] == 2
    assert metrics["test/auroc"] == 1


@pytest.mark.parametrize("label", [0, 1])
def test_one_class_alone_gives_counts_alone(label: int) -> None:
    assert frame_metrics(frames([label] * 8), PUBLISHED) == {
        "test/frames": 8, "test/frames_written": 1, "test/frames_anomalous": 8 * label,
    }  # fmt: skip


def test_macro_is_left_out_where_no_video_has_both_classes() -> None:
    metrics = frame_metrics(frames([0] * 4 + [1] * 4), PUBLISHED)
    assert "test/auroc_macro" not in metrics
    assert metrics["test/auroc"] == 0.5


def test_the_tests_own_score_is_not_repeated() -> None:
    columns = frames([0, 0, 1, 1] * 2)
    assert "test/auroc_published" not in frame_metrics(columns, PUBLISHED)
    patch = frame_metrics(columns, replace(PUBLISHED, name="patch"))
    assert "test/auroc_published" in patch
    assert "test/auroc_patch" not in patch


def test_only_scores_without_normalisation_separate_normal_videos_from_others() -> None:
    columns = frames([0] * 4 + [1] * 4)  # the second video is anomalous from its first frame
    columns["patch"] = torch.tensor([0.1, 0.1, 0.2, 0.2, 0.3, 0.3, 0.4, 0.4])
    metrics = frame_metrics(columns, PUBLISHED)
    assert metrics["test/auroc_patch"] == 1
    assert metrics["test/auroc_patch_normalised"] == metrics["test/auroc"] == 0.5


def test_in_a_shared_range_a_nearly_constant_distance_counts_little() -> None:
    columns = frames([0, 0, 1, 1] * 2)
    hardly = torch.tensor([4e-4, 3e-4, 2e-4, 1e-4])  # and in the wrong order
    columns["distance"] = torch.cat([hardly, columns["distance"][4:]])
    scores = replace(PUBLISHED, weight=0.3).scores(columns)
    psnr_term = torch.tensor([0.0, 0.1, 0.9, 1.0])
    shared = [
        0.3 * psnr_term + 0.7 * (hardly - 1e-4) / 0.3,
        0.3 * psnr_term + 0.7 * torch.tensor([0, 1 / 3, 2 / 3, 1]),
    ]
    torch.testing.assert_close(scores["shared_range"], torch.cat(shared))
    published = 0.3 * psnr_term + 0.7 * torch.tensor([1, 2 / 3, 1 / 3, 0])
    torch.testing.assert_close(scores["published"][:4], published)


def test_smoothing_corrects_a_score_that_drops_for_one_frame() -> None:
    columns = frames([0, 0, 0, 1, 1, 1, 1, 1])
    columns["video"] = torch.zeros(8)
    columns["psnr"] = torch.tensor([30.0, 30, 30, 20, 20, 31, 20, 20])
    metrics = frame_metrics(columns, replace(PUBLISHED, weight=1, smoothing=1))
    assert metrics["test/auroc"] < 1
    assert metrics["test/auroc_smoothed"] == 1


def test_without_a_memory_there_is_no_auroc_of_distance() -> None:
    columns = frames([0, 0, 1, 1] * 2)
    assert "test/auroc_distance" in frame_metrics(columns, PUBLISHED)
    columns["distance"] = torch.zeros(8)
    assert "test/auroc_distance" not in frame_metrics(columns, replace(PUBLISHED, weight=1))


def uneven() -> dict[str, Tensor]:
    """Two videos whose PSNR, distance and patch disagree."""
    return {
        "video": torch.tensor([0, 0, 0, 1, 1, 1]),
        "psnr": torch.tensor([30.0, 20, 25, 40, 42, 44]),
        "distance": torch.tensor([1.0, 3, 1, 0, 8, 4]),
        "patch": torch.tensor([0.1, 0.5, 0.2, 0.3, 0.3, 0.4]),
    }


def over_the_past(values: list[float]) -> list[float]:
    """Smooth three values over the past with σ = 1 frame."""
    near, far = exp(-1 / 2), exp(-2)
    a, b, c = values
    return [a, (b + near * a) / (1 + near), (c + near * b + far * a) / (1 + near + far)]


def test_each_score_follows_its_definition() -> None:
    scores = replace(PUBLISHED, weight=0.3, smoothing=0).scores(uneven())
    whole = [
        0.3 * (44 - psnr) / 24 + 0.7 * distance / 8
        for psnr, distance in ((30, 1), (20, 3), (25, 1), (40, 0), (42, 8), (44, 4))
    ]
    for name, expected in {
        "published": [0, 1, 0.15, 0.3, 0.85, 0.35],
        "psnr": [0, 1, 0.5, 1, 0.5, 0],
        "distance": [0, 1, 0, 0, 1, 0.5],
        "unnormalised": whole,
        "patch": uneven()["patch"].tolist(),
        "patch_normalised": [0, 1, 0.25, 0, 0, 1],
        "patch_psnr": [0, 1, 0.375, 0.5, 0.25, 0.5],
    }.items():
        assert scores[name].tolist() == pytest.approx(expected, abs=1e-6), name


def test_causal_scores_are_smoothed_over_the_past_of_their_video() -> None:
    scores = replace(PUBLISHED, weight=0.3, smoothing=1, causal=True).scores(uneven())
    expected = over_the_past([0, 1, 0.15]) + over_the_past([0.3, 0.85, 0.35])
    assert scores["smoothed"].tolist() == pytest.approx(expected, abs=1e-6)
    expected = over_the_past([0, 1, 0.375]) + over_the_past([0.5, 0.25, 0.5])
    assert scores["patch_psnr"].tolist() == pytest.approx(expected, abs=1e-6)


def test_sizes_are_in_order_whether_one_or_several_are_given() -> None:
    assert PUBLISHED.sizes == [(0.2, 0.1)]
    several = replace(PUBLISHED, patch=[(0.2, 0.1), [0.1, 0.05], (0.05, 0.3)])
    assert several.sizes == [(0.1, 0.05), (0.05, 0.3), (0.2, 0.1)]


def test_the_tests_own_score_is_used_unchanged() -> None:
    columns = frames([0, 0, 1, 1] * 2)
    columns["score"] = -columns["score"]
    assert frame_metrics(columns, PUBLISHED)["test/auroc"] == 0


def test_labelled_frames_alone_decide_whether_a_video_has_one_class() -> None:
    assert one_class_videos(frames([0, 1, 1, -1, -1, -1, -1, -1])) == []
    assert one_class_videos(frames([0, 0, 1, 1, -1, 1, 1, -1])) == [1]


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"name": "best"}, "name='best' must be one of published, shared_range, patch"),
        ({"weight": -0.1}, "weight=-0.1 must be a share from 0 to 1"),
        ({"smoothing": -2}, "smoothing=-2 must be a number of frames, 0 or more"),
    ],
)
def test_impossible_values_are_refused(wrong: dict[str, Any], sentence: str) -> None:
    config = ScoreConfig("patch", weight=0.6, patch=(0.2, 0.1), smoothing=3, causal=True)
    with pytest.raises(ValueError, match=f"^{sentence}$"):
        replace(config, **wrong)
