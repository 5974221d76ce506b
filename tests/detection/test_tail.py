"""The tail against a distribution that is known, and peaks counted by hand."""

import numpy as np
import pytest
from scipy.stats import genpareto

from memguard.detection.tail import BLOCKS, RESAMPLINGS, Tail, fit_tail

SILENCE = 30  # frames; longer than the pause within an event


def with_peaks(heights: np.ndarray) -> np.ndarray:
    """Calm video with a peak of each height in its first frame and every 31st."""
    series = np.zeros((len(heights), 1 + SILENCE))
    series[:, 0] = heights
    return series.ravel()


def fitted(tail: Tail) -> Tail:
    """The fit itself, without its resamplings."""
    return Tail(*(values[0] for values in tail))


def lowest(tail: Tail) -> list[float]:
    """The values of the lowest threshold."""
    return [float(values[0, 0]) for values in tail]


def test_peaks_a_second_apart_are_one_and_no_event_crosses_from_video_to_video() -> None:
    first, second, quiet = np.zeros((3, 100))
    first[[50, 74]] = 0.5, 0.7  # 24 frames apart
    first[99], second[0] = 0.9, 0.6
    tail, peaks = fit_tail([first, second, quiet, quiet, quiet], unit=0.25)
    # The 90th percentile is 0. 74 and 99 are 25 apart, which is still bridged.
    assert peaks == 2
    mean_excess = (0.9 + 0.6 + 0.25) / 3  # with one peak of a unit
    assert lowest(tail) == pytest.approx([0, 2 / 500, mean_excess, 0])


@pytest.mark.parametrize("shape", [-0.3, 0.0, 0.3])
def test_the_distribution_that_peaks_are_drawn_from_is_found(shape: float) -> None:
    heights = genpareto.rvs(shape, scale=2.0, size=10_000, random_state=0)
    tail, peaks = fit_tail([with_peaks(heights)], unit=1)
    found = fitted(tail)
    frames = len(heights) * (1 + SILENCE)
    assert peaks == len(heights)
    for per_peak in (0.5, 0.1, 0.01, 0.001):  # of 10 000
        expected = genpareto.isf(per_peak, shape, scale=2.0)
        level = float(found.error(per_peak * len(heights) / frames))
        assert level == pytest.approx(expected, rel=0.15)
        assert float(found.per_frame(level)) == pytest.approx(per_peak * len(heights) / frames)


def test_an_error_beyond_the_end_of_a_bounded_tail_never_comes_and_below_it_all_do() -> None:
    tail = Tail(*np.array([[1.0, 0.01, 0.5, -0.5], [np.inf, 0, 1, 0]]).T)  # it ends at 2
    assert float(tail.per_frame(2.1)) == 0
    assert float(tail.per_frame(0.5)) == 0.01
    assert float(tail.error(0.02)) == 1


def test_each_distribution_holds_up_to_the_next_threshold() -> None:
    tail = Tail(*np.array([[0.0, 0.1, 1.0, 0.0], [1.0, 0.09, 1.0, 0.0]]).T)
    assert float(tail.error(0.091)) == pytest.approx(np.log(0.1 / 0.091))
    assert float(tail.error(0.09)) == 1
    # The first alone has 0.1/e left at 1.
    assert float(tail.per_frame(0.9)) == 0.09
    assert float(tail.per_frame(2)) == pytest.approx(0.09 / np.e)
    assert float(tail.error(0.09 / np.e)) == pytest.approx(2)


def test_one_long_event_above_a_low_threshold_is_several_above_a_high_one() -> None:
    busy = np.full(6200, 1.0)  # one event, with peaks
    busy[::31] += np.random.default_rng(0).exponential(size=200)
    tail, peaks = fit_tail([np.concatenate([np.zeros(30_000), busy])], unit=1)
    assert peaks == 200
    level = float(fitted(tail).error(50 / 36_200))
    assert (busy > level).sum() == pytest.approx(50, abs=5)  # each is a frame


def test_a_shape_that_only_chance_gives_is_limited() -> None:
    heights = np.concatenate([np.full(39, 1.0), [1000.0]]) + np.arange(40) * 1e-3
    tail, _ = fit_tail([with_peaks(heights)], unit=1)
    assert float(tail.shape[0].max()) == 0.5
    (place,) = np.flatnonzero(tail.shape[0] == 0.5)[-1:]
    excess = heights[heights > tail.threshold[0, place]] - tail.threshold[0, place]
    assert tail.scale[0, place] == pytest.approx(excess.mean() / 2)  # the mean is that of the peaks


def test_whole_blocks_are_resampled_as_hours_of_a_day_differ() -> None:
    rng = np.random.default_rng(0)
    heights = rng.exponential(size=40 * BLOCKS)
    alike = with_peaks(heights)
    in_one_hour = with_peaks(np.sort(heights))  # the high ones follow one another
    widths = []
    for series in (alike, in_one_hour):
        tail, _ = fit_tail([series], unit=1)
        assert all(len(values) == 1 + RESAMPLINGS for values in tail)  # type: ignore[arg-type]
        low, high = np.quantile(tail.error(1e-3)[1:], (0.05, 0.95))
        assert low < tail.error(1e-3)[0] < high
        widths.append(high - low)
    assert widths[1] > 1.5 * widths[0]


def test_series_without_a_peak_have_a_tail() -> None:
    tail, peaks = fit_tail([np.zeros(50)], unit=1e-8)
    assert peaks == 0
    assert lowest(tail) == pytest.approx([0, 1 / 50, 1e-8, 0])
