"""The score's equations against values computed by hand."""

import math

import numpy as np
import pytest
import torch

from memguard import scoring


def test_psnr_by_hand() -> None:
    target = torch.full((2, 1, 2, 2), -1.0)
    output = target.clone()
    output[0, 0, 0, 0] = 1.0  # one value of four wrong by the whole range: mean error 1/4
    output[1] += 0.2  # every value wrong by a tenth of the range
    expected = torch.tensor([10 * math.log10(4), 20.0])
    assert torch.allclose(scoring.psnr(output, target), expected)


def test_a_perfect_frame_has_a_finite_psnr() -> None:
    frame = torch.rand(1, 3, 4, 4)
    assert float(scoring.psnr(frame, frame)) == pytest.approx(100)
    assert float(scoring.regular_score(frame, frame)) == 0


def test_regular_score_by_hand() -> None:
    target = torch.zeros(1, 1, 1, 2)
    output = torch.tensor([2.0, 1.0]).view(1, 1, 1, 2)  # errors 1 and 1/4
    weights = 1 - math.exp(-1), 1 - math.exp(-0.25)
    expected = (weights[0] * 1 + weights[1] * 0.25) / sum(weights)
    assert float(scoring.regular_score(output, target)) == pytest.approx(expected)
    assert float(scoring.regular_score(output, target)) > (1 + 0.25) / 2  # not the mean error


def test_feature_distance_by_hand() -> None:
    query = torch.tensor([[[0.6, 0.8], [1.0, 0.0]]])
    nearest = torch.tensor([[[0.0, 1.0], [1.0, 0.0]]])
    assert float(scoring.feature_distance(query, nearest)) == pytest.approx(0.1)


def test_anomaly_score_by_hand() -> None:
    psnr = np.array([30.0, 20.0, 25.0, 40.0, 41.0])
    distance = np.array([1.0, 2.0, 1.5, 0.0, 4.0])
    videos = ["a", "a", "a", "b", "b"]
    result = scoring.anomaly_score(psnr, distance, videos, weight=0.6)
    assert result.tolist() == pytest.approx([0, 1, 0.5, 0.6, 0.4])


def test_arrays_give_arrays_and_tensors_give_tensors() -> None:
    psnr, distance, videos = [30.0, 20.0, 24.0], [1.0, 2.0, 3.0], [0, 0, 0]
    array = scoring.anomaly_score(np.array(psnr), np.array(distance), np.array(videos), 0.6)
    tensor = scoring.anomaly_score(
        torch.tensor(psnr), torch.tensor(distance), torch.tensor(videos), 0.6
    )
    assert isinstance(array, np.ndarray)
    assert isinstance(tensor, torch.Tensor)
    assert np.allclose(array, tensor.numpy())
