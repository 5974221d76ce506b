"""The score's equations against numbers worked out by hand."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter1d

from memguard.scoring import functional as scoring


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


def test_each_video_is_normalised_by_itself() -> None:
    values = np.array([10.0, 30.0, 20.0, 5.0, 6.0])
    result = scoring.normalise_per_video(values, ["a", "a", "a", "b", "b"])
    assert result.tolist() == [0, 1, 0.5, 0, 1]


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


@given(st.lists(st.floats(-1e3, 1e3), min_size=1, max_size=30), st.data())
def test_normalised_values_span_zero_to_one(values: list[float], data: st.DataObject) -> None:
    videos = data.draw(st.lists(st.sampled_from("abc"), min_size=len(values), max_size=len(values)))
    result = scoring.normalise_per_video(np.array(values), videos)
    for video in set(videos):
        part = result[np.array(videos) == video]
        assert part.min() == 0
        assert part.max() in (0, 1)


@given(st.lists(st.integers(-1000, 1000), min_size=2, max_size=30), st.integers(-1000, 1000))
def test_by_the_widest_range_a_videos_level_does_not_count(values: list[int], by: int) -> None:
    videos = torch.tensor([0, 1] * 15)[: len(values)]
    levels = torch.tensor(values, dtype=torch.float64)
    result = scoring.normalise_by_widest(levels, videos)
    assert torch.equal(scoring.normalise_by_widest(levels + by * videos, videos), result)
    parts = [levels[videos == video] for video in (0, 1)]
    widest = max(part.max() - part.min() for part in parts)
    for video, part in enumerate(parts):
        torch.testing.assert_close(result[videos == video] * widest, part - part.min())


def test_patch_error_by_hand() -> None:
    output, target = torch.zeros(1, 2, 4, 4), torch.zeros(1, 2, 4, 4)
    output[0, 0, :2, :2] = 2.0  # error 1 in one of two channels of the corner
    errors = scoring.patch_error(output, target, (0.5, 0.5))
    assert errors[0].tolist() == [[0.5, 0.25, 0], [0.25, 0.125, 0], [0, 0, 0]]


def test_a_patch_as_large_as_the_picture_has_its_mean_error() -> None:
    output, target = torch.rand(3, 3, 16, 24), torch.rand(3, 3, 16, 24)
    mean = scoring.squared_error(output, target).flatten(1).mean(dim=1)
    assert torch.allclose(scoring.patch_error(output, target, (1, 1)).flatten(), mean)


def test_a_patch_is_never_smaller_than_a_pixel() -> None:
    output, target = torch.rand(1, 1, 8, 8), torch.rand(1, 1, 8, 8)
    errors = scoring.patch_error(output, target, (0.001, 0.001))
    assert torch.equal(errors, scoring.squared_error(output, target)[:, 0])


def test_smoothing_over_time_is_that_of_scipy() -> None:
    values = torch.rand(30, 2, 3, dtype=torch.float64)
    inside = slice(8, -8)  # at the ends SciPy would invent frames
    expected = gaussian_filter1d(values.numpy(), 2.0, axis=0, truncate=4.0)
    assert np.allclose(scoring.smooth_over_time(values, 2.0)[inside], expected[inside])


@given(st.lists(st.floats(0, 1), min_size=1, max_size=20), st.floats(0, 6), st.booleans())
def test_smoothing_stays_within_the_values_it_was_given(
    values: list[float], sigma: float, causal: bool
) -> None:
    series = torch.tensor(values, dtype=torch.float64)
    smooth = scoring.smooth_over_time(series, sigma, causal=causal)
    assert smooth.shape == series.shape
    assert float(smooth.min()) >= min(values) - 1e-9
    assert float(smooth.max()) <= max(values) + 1e-9


def test_causal_smoothing_does_not_look_ahead() -> None:
    values = torch.rand(20)
    changed = torch.cat([values[:10], torch.rand(10)])
    smooth, again = (scoring.smooth_over_time(x, 2, causal=True) for x in (values, changed))
    assert torch.equal(smooth[:10], again[:10])
    assert not torch.equal(smooth[10:], again[10:])


def test_each_video_is_smoothed_by_itself() -> None:
    values, videos = torch.tensor([0.0, 0.0, 1.0, 1.0]), torch.tensor([0, 0, 1, 1])
    assert scoring.smooth_per_video(values, videos, 2).tolist() == [0, 0, 1, 1]


@pytest.mark.parametrize("sigma", [0, 0.5, 2])
@pytest.mark.parametrize("at_a_time", [1, 7, 40])
def test_a_stream_is_smoothed_as_the_whole_video(sigma: float, at_a_time: int) -> None:
    values = torch.rand(40, 3, 2, generator=torch.Generator().manual_seed(0))
    smoother = scoring.CausalSmoother(sigma)
    streamed = torch.cat([smoother(part) for part in values.split(at_a_time)])
    whole = scoring.smooth_over_time(values, sigma, causal=True)
    assert torch.allclose(streamed, whole, rtol=1e-6, atol=0)


def test_a_stream_of_any_length_keeps_as_much_of_the_past_as_counts() -> None:
    smoother = scoring.CausalSmoother(2)
    for _ in range(100):
        smoother(torch.rand(5))
    assert smoother._past is not None
    assert len(smoother._past) == 8


def test_a_patchs_box_holds_the_pixels_that_it_averages() -> None:
    painted = torch.zeros(1, 1, 64, 64)
    painted[..., 40:44, 10:12] = 1
    errors = scoring.patch_error(painted, torch.zeros_like(painted), (0.2, 0.1))[0]
    place = divmod(int(errors.argmax()), errors.shape[1])
    left, top, right, bottom = scoring.patch_box(*place, (0.2, 0.1), (64, 64), (480, 640))
    assert left <= 100 < 120 <= right
    assert top <= 300 < 330 <= bottom
    # 6 and 13 pixels of the network's
    assert (right - left, bottom - top) == (60, pytest.approx(97.5, abs=1))


def test_the_box_is_of_the_place_that_the_smoothed_score_speaks_of() -> None:
    # A patch is 4 by 4 pixels of 12 by 20, the next one a pixel further: 9 by 17 patches.
    errors = torch.zeros(2, 9, 17)
    errors[0, 1, 2], errors[1, 1, 4] = 8, 7  # what moves to the right, upper left
    errors[1, 6, 15] = 9  # a flash in the second frame, lower right
    smoothed = torch.zeros(2, 9, 17)
    smoothed[:, 1, 2] = 8  # it trails behind
    smoothed[1, 6, 15] = 5
    places = scoring.worst_places(errors, smoothed, (1 / 3, 0.2), (12, 20))
    assert places.tolist() == [[1, 2], [1, 4]]
    alone = scoring.worst_places(errors, errors, (1 / 3, 0.2), (12, 20))
    assert alone.tolist() == [[1, 2], [6, 15]]


@pytest.mark.parametrize(("aside", "expected"), [(3, [[2, 8]]), (4, [[2, 5]])])
def test_a_patch_beside_the_smoothed_one_counts_if_they_share_a_pixel(
    aside: int, expected: list[list[int]]
) -> None:
    errors = torch.zeros(1, 9, 17)
    errors[0, 2, 5], errors[0, 2, 5 + aside] = 1, 9
    smoothed = torch.zeros(1, 9, 17)
    smoothed[0, 2, 5] = 1
    places = scoring.worst_places(errors, smoothed, (1 / 3, 0.2), (12, 20))
    assert places.tolist() == expected


def test_patches_overlap_by_three_quarters() -> None:
    frame = torch.zeros(1, 1, 16, 32)
    assert scoring.patch_error(frame, frame, (0.5, 0.25)).shape == (1, 5, 13)
