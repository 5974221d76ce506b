"""The baselines against values computed by hand."""

import math

import pytest
import torch

from memguard.detection.baselines import PreviousFrame
from memguard.scoring.protocols import ScoreConfig


def test_each_frame_is_compared_with_the_one_before() -> None:
    clips = torch.zeros(2, 5, 1, 2, 2, dtype=torch.uint8)
    clips[0, :3] = 255  # earlier frames do not count
    clips[1, 4, 0, 0, 0] = 51  # one value of four changes by a fifth of the range
    baseline = PreviousFrame(ScoreConfig("published", 0.5, (1, 1), smoothing=0, causal=False))
    scored = baseline.score_frames(clips, torch.zeros(2))
    assert scored["distance"].tolist() == pytest.approx([0, 0.04 / 4])
    assert scored["psnr"].tolist() == pytest.approx([100, 10 * math.log10(4 / 0.04)])
    assert torch.equal(scored["output"][1], torch.full((1, 2, 2), -1.0))
    assert float(scored["target"][1, 0, 0, 0]) == pytest.approx(-0.6)
    assert not scored["written"].any()


def test_regular_score_and_patches_are_computed_from_the_difference() -> None:
    clips = torch.zeros(1, 2, 1, 8, 8, dtype=torch.uint8)
    clips[0, 1, 0, :2, :4] = 51  # one patch changes by a fifth of the range
    clips[0, 1, 0, 7, 7] = 255
    baseline = PreviousFrame(ScoreConfig("published", 0.5, (0.25, 0.5), smoothing=0, causal=False))
    scored = baseline.score_frames(clips, torch.zeros(1))
    errors = {0.2**2: 8, 1.0: 1}
    weights = {error: count * (1 - math.exp(-error)) for error, count in errors.items()}
    expected = sum(weights[error] * error for error in errors) / sum(weights.values())
    assert scored["regular"].tolist() == pytest.approx([expected])
    assert scored["patch"].shape == (1, 1, 7, 5)
    assert float(scored["patch"][0, 0, 0, 0]) == pytest.approx(0.2**2)
    assert float(scored["patch"][0, 0, -1, -1]) == pytest.approx(1 / 8)
