"""Normalisation over videos."""

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from memguard import scoring


def test_each_video_is_normalised_separately() -> None:
    values = np.array([10.0, 30.0, 20.0, 5.0, 6.0])
    result = scoring.normalise_per_video(values, ["a", "a", "a", "b", "b"])
    assert result.tolist() == [0, 1, 0.5, 0, 1]


@given(st.lists(st.floats(-1e3, 1e3), min_size=1, max_size=30), st.data())
def test_normalised_values_span_zero_to_one(values: list[float], data: st.DataObject) -> None:
    videos = data.draw(st.lists(st.sampled_from("abc"), min_size=len(values), max_size=len(values)))
    result = scoring.normalise_per_video(np.array(values), videos)
    for video in set(videos):
        part = result[np.array(videos) == video]
        assert part.min() == 0
        assert part.max() in (0, 1)


@given(st.lists(st.integers(-1000, 1000), min_size=2, max_size=30), st.integers(-1000, 1000))
def test_the_widest_range_ignores_the_level_of_a_video(values: list[int], by: int) -> None:
    videos = torch.tensor([0, 1] * 15)[: len(values)]
    levels = torch.tensor(values, dtype=torch.float64)
    result = scoring.normalise_by_widest(levels, videos)
    assert torch.equal(scoring.normalise_by_widest(levels + by * videos, videos), result)
    parts = [levels[videos == video] for video in (0, 1)]
    widest = max(part.max() - part.min() for part in parts)
    for video, part in enumerate(parts):
        torch.testing.assert_close(result[videos == video] * widest, part - part.min())
