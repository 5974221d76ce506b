"""Smoothing over time against SciPy, of whole videos and of streams."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter1d

from memguard import scoring


def test_smoothing_over_time_agrees_with_scipy() -> None:
    values = torch.rand(30, 2, 3, dtype=torch.float64)
    inside = slice(8, -8)  # SciPy extrapolates frames at both ends
    expected = gaussian_filter1d(values.numpy(), 2.0, axis=0, truncate=4.0)
    assert np.allclose(scoring.smooth_over_time(values, 2.0)[inside], expected[inside])


@given(st.lists(st.floats(0, 1), min_size=1, max_size=20), st.floats(0, 6), st.booleans())
def test_smoothing_stays_within_the_range_of_its_values(
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


def test_each_video_is_smoothed_separately() -> None:
    values, videos = torch.tensor([0.0, 0.0, 1.0, 1.0]), torch.tensor([0, 0, 1, 1])
    assert scoring.smooth_per_video(values, videos, 2).tolist() == [0, 0, 1, 1]


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("sigma", [0, 0.5, 2])
@pytest.mark.parametrize("at_a_time", [1, 7, 40])
def test_a_stream_is_smoothed_as_the_whole_video(
    causal: bool, sigma: float, at_a_time: int
) -> None:
    values = torch.rand(40, 3, 2, generator=torch.Generator().manual_seed(0))
    smoother = scoring.StreamSmoother(sigma, causal=causal)
    streamed = [smoother(part) for part in values.split(at_a_time)]
    whole = scoring.smooth_over_time(values, sigma, causal=causal)
    assert torch.allclose(torch.cat([*streamed, smoother.finish()]), whole, rtol=1e-6, atol=0)
    if causal:
        assert [len(part) for part in streamed] == [len(part) for part in values.split(at_a_time)]


@pytest.mark.parametrize("frames", [1, 3, 8, 9])
def test_a_series_shorter_than_the_smoothing_is_smoothed_at_its_end(frames: int) -> None:
    values = torch.rand(frames, generator=torch.Generator().manual_seed(1))
    smoother = scoring.StreamSmoother(2, causal=False)
    streamed = torch.cat([smoother(values), smoother.finish()])
    assert torch.allclose(streamed, scoring.smooth_over_time(values, 2))


@pytest.mark.parametrize(("causal", "stored"), [(True, 8), (False, 16)])
def test_a_stream_stores_only_the_values_with_a_weight(causal: bool, stored: int) -> None:
    smoother = scoring.StreamSmoother(2, causal=causal)
    for _ in range(100):
        smoother(torch.rand(5))
    assert smoother._known is not None
    assert len(smoother._known) == stored
