"""What is counted, and what is left out because it is not defined."""

from dataclasses import replace
from math import exp

import pytest
import torch
from torch import Tensor

from memguard.scoring.protocols import Scoring, frame_metrics, one_class_videos

PUBLISHED = Scoring("published", weight=0.6, patch=(0.2, 0.1), smoothing=0, causal=False)


def frames(label: list[int]) -> dict[str, Tensor]:
    """Two videos of four frames; the first half of each is painted better."""
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


def test_what_is_told_apart_perfectly_counts_as_one() -> None:
    metrics = frame_metrics(frames([0, 0, 1, 1] * 2), PUBLISHED)
    counts = {"test/frames": 8, "test/frames_written": 1, "test/frames_anomalous": 4}
    assert {name: metrics.pop(name) for name in counts} == counts
    assert metrics.pop("test/eer") == 0
    assert set(metrics.values()) == {1.0}


def test_frames_that_nobody_labelled_do_not_count() -> None:
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


def test_the_tests_own_score_is_not_counted_twice() -> None:
    told = frames([0, 0, 1, 1] * 2)
    assert "test/auroc_published" not in frame_metrics(told, PUBLISHED)
    patch = frame_metrics(told, replace(PUBLISHED, name="patch"))
    assert "test/auroc_published" in patch
    assert "test/auroc_patch" not in patch


def test_only_what_is_not_normalised_tells_calm_videos_from_others() -> None:
    told = frames([0] * 4 + [1] * 4)  # the second video is anomalous from its first frame
    told["patch"] = torch.tensor([0.1, 0.1, 0.2, 0.2, 0.3, 0.3, 0.4, 0.4])
    metrics = frame_metrics(told, PUBLISHED)
    assert metrics["test/auroc_patch"] == 1
    assert metrics["test/auroc_patch_normalised"] == metrics["test/auroc"] == 0.5


def test_in_a_shared_range_a_distance_that_hardly_varies_counts_for_little() -> None:
    told = frames([0, 0, 1, 1] * 2)
    hardly = torch.tensor([4e-4, 3e-4, 2e-4, 1e-4])  # and the wrong way round
    told["distance"] = torch.cat([hardly, told["distance"][4:]])
    scores = replace(PUBLISHED, weight=0.3).scores(told)
    painted = torch.tensor([0.0, 0.1, 0.9, 1.0])
    shared = [
        0.3 * painted + 0.7 * (hardly - 1e-4) / 0.3,
        0.3 * painted + 0.7 * torch.tensor([0, 1 / 3, 2 / 3, 1]),
    ]
    torch.testing.assert_close(scores["shared_range"], torch.cat(shared))
    published = 0.3 * painted + 0.7 * torch.tensor([1, 2 / 3, 1 / 3, 0])
    torch.testing.assert_close(scores["published"][:4], published)


def test_the_worst_patch_of_each_frame_counts() -> None:
    errors = torch.zeros(3, 2, 2)
    errors[1, 0, 1], errors[1, 1, 1], errors[2, 1, 0] = 0.4, 0.3, 0.2
    assert torch.equal(PUBLISHED.worst_patch(errors), torch.tensor([0.0, 0.4, 0.2]))


def test_a_patch_that_errs_for_one_frame_alone_counts_less_than_one_that_lasts() -> None:
    flash, lasting = torch.zeros(9, 1, 1), torch.zeros(9, 1, 1)
    flash[4], lasting[2:7] = 0.5, 0.3
    scoring = replace(PUBLISHED, smoothing=1)
    assert scoring.worst_patch(flash).max() < scoring.worst_patch(lasting).max()


def test_smoothing_mends_a_score_that_falters_for_a_frame() -> None:
    told = frames([0, 0, 0, 1, 1, 1, 1, 1])
    told["video"] = torch.zeros(8)
    told["psnr"] = torch.tensor([30.0, 30, 30, 20, 20, 31, 20, 20])
    metrics = frame_metrics(told, replace(PUBLISHED, weight=1, smoothing=1))
    assert metrics["test/auroc"] < 1
    assert metrics["test/auroc_smoothed"] == 1


def test_without_a_memory_no_distance_is_counted() -> None:
    told = frames([0, 0, 1, 1] * 2)
    assert "test/auroc_distance" in frame_metrics(told, PUBLISHED)
    told["distance"] = torch.zeros(8)
    assert "test/auroc_distance" not in frame_metrics(told, replace(PUBLISHED, weight=1))


def uneven() -> dict[str, Tensor]:
    """Two videos in which PSNR, distance and patch each say something else."""
    return {
        "video": torch.tensor([0, 0, 0, 1, 1, 1]),
        "psnr": torch.tensor([30.0, 20, 25, 40, 42, 44]),
        "distance": torch.tensor([1.0, 3, 1, 0, 8, 4]),
        "patch": torch.tensor([0.1, 0.5, 0.2, 0.3, 0.3, 0.4]),
    }


def over_the_past(values: list[float]) -> list[float]:
    """Three values, each with those before it by a Gaussian of one frame."""
    near, far = exp(-1 / 2), exp(-2)
    a, b, c = values
    return [a, (b + near * a) / (1 + near), (c + near * b + far * a) / (1 + near + far)]


def test_each_score_is_made_as_its_name_says() -> None:
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


def test_smoothed_scores_go_by_the_past_of_their_own_video_where_that_is_set() -> None:
    scores = replace(PUBLISHED, weight=0.3, smoothing=1, causal=True).scores(uneven())
    expected = over_the_past([0, 1, 0.15]) + over_the_past([0.3, 0.85, 0.35])
    assert scores["smoothed"].tolist() == pytest.approx(expected, abs=1e-6)
    expected = over_the_past([0, 1, 0.375]) + over_the_past([0.5, 0.25, 0.5])
    assert scores["patch_psnr"].tolist() == pytest.approx(expected, abs=1e-6)


def test_patches_are_smoothed_over_the_past_alone_where_that_is_set() -> None:
    errors = torch.tensor([[0.1, 0.2], [0.7, 0.3], [0.2, 0.4]]).view(3, 1, 2)
    left, right = over_the_past([0.1, 0.7, 0.2]), over_the_past([0.2, 0.3, 0.4])
    expected = [max(pair) for pair in zip(left, right, strict=True)]
    causal = replace(PUBLISHED, smoothing=1, causal=True)
    assert causal.worst_patch(errors).tolist() == pytest.approx(expected)
    assert replace(causal, causal=False).worst_patch(errors)[0] > expected[0]


def test_the_tests_own_score_counts_as_it_was_given() -> None:
    told = frames([0, 0, 1, 1] * 2)
    told["score"] = -told["score"]
    assert frame_metrics(told, PUBLISHED)["test/auroc"] == 0


def test_a_video_is_of_one_class_by_its_labelled_frames_alone() -> None:
    assert one_class_videos(frames([0, 1, 1, -1, -1, -1, -1, -1])) == []
    assert one_class_videos(frames([0, 0, 1, 1, -1, 1, 1, -1])) == [1]
