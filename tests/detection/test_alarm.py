"""The alarm against values computed by hand."""

from math import exp, inf, isnan, log

import pytest
import torch

from memguard.detection.alarm import Alarm, OptionalAlarm
from memguard.detection.alarm_scale import Level
from memguard.detection.events import EventStream, Moment


def fitted(videos: list[torch.Tensor]) -> Alarm:
    alarm = Alarm()
    alarm.calibrate([video / 1000 for video in videos])
    return alarm


def test_the_median_normal_frame_scores_0_and_one_of_a_hundred_more_than_1() -> None:
    alarm = fitted([torch.arange(1001)])
    errors = torch.tensor([0.5, 0.99, 0.01])
    assert torch.allclose(alarm.score(errors), torch.tensor([0.0, 1.0, -1.0]), atol=1e-5)
    assert alarm.error(2.0) == pytest.approx(1.48)


def test_without_many_peaks_the_level_follows_an_exponential_tail() -> None:
    # 10 events of one frame, half of them 0.2 and half 0.4 high, in 300 calm frames
    series = torch.zeros(310)
    series[::31] = torch.tensor([0.2, 0.4]).repeat(5)
    alarm = Alarm()
    alarm.calibrate([series])
    assert alarm.sample_counts == (310, 10)
    unit = 0.4  # from the median, 0, to the 99th percentile
    mean_excess = (10 * 0.3 / unit + 1) / 11
    per_hour = 10 / 310 * 3600 * 25
    assert alarm.level(1, fps=25) == pytest.approx(mean_excess * log(per_hour), rel=1e-5)
    assert alarm.level(60, fps=25) == pytest.approx(mean_excess * log(per_hour / 60), rel=1e-5)
    assert alarm.per_hour(1.0, fps=25) == pytest.approx(per_hour * exp(-1 / mean_excess), rel=1e-5)


def test_level_and_rate_are_each_others_inverse() -> None:
    alarm = fitted([torch.rand(400, generator=torch.Generator().manual_seed(0))])
    assert alarm.per_hour(alarm.level(0.5, fps=12.5), fps=12.5) == pytest.approx(0.5)
    assert alarm.level(0.1, fps=25) > alarm.level(1, fps=25) > alarm.level(10, fps=25)


def bursts(count: int, seed: int) -> torch.Tensor:
    """Calm video with an object in 15 of 115 frames."""
    generator = torch.Generator().manual_seed(seed)
    heights = torch.empty(count, 1).exponential_(generator=generator)
    return torch.cat([torch.zeros(count, 100), heights.expand(-1, 15)], dim=1).flatten()


def test_normal_video_alarms_about_as_often_as_requested() -> None:
    """The level for an hour, from minutes of held-out video, holds for a hundred hours."""
    alarm = Alarm()
    alarm.calibrate([bursts(50, seed=0)])
    fresh = bursts(3130, seed=1)  # 100 hours at a frame a second
    stream = EventStream(alarm.level(1, fps=1))
    scores = alarm.score(fresh).tolist()
    alarms = [stream.add(Moment(n, n), score) for n, score in enumerate(scores)]
    assert 50 < sum(alarm is not None for alarm in alarms) < 200


def test_an_alarm_calibrates_on_constant_video() -> None:
    alarm = fitted([torch.ones(50)])
    assert alarm.calibrated
    assert float(alarm.score(torch.tensor(0.001))) == 0
    assert alarm.level(1, fps=25) > 0


def test_a_checkpoint_stores_the_calibration_and_an_old_one_loads_as_not_calibrated() -> None:
    alarm, again = fitted([torch.arange(100)]), Alarm()
    again.load_state_dict(alarm.state_dict())
    assert again.level(1, fps=25) == alarm.level(1, fps=25)
    again.load_state_dict({})
    assert not again.calibrated
    with pytest.raises(RuntimeError, match="unknown"):
        again.load_state_dict({"unknown": torch.zeros(1)})


def test_the_level_never_lies_below_the_threshold_of_the_peaks() -> None:
    alarm = fitted([torch.arange(1001)])
    assert alarm.sample_counts == (1001, 1)  # one long event above the 90th percentile
    assert alarm.level(1e9, fps=25) == pytest.approx((0.9 - 0.5) / 0.49, rel=1e-4)


def test_without_a_peak_the_level_follows_one_event_of_a_unit() -> None:
    alarm = fitted([torch.zeros(50)])
    assert alarm.sample_counts == (50, 0)
    assert alarm.level(2, fps=25) == pytest.approx(log(3600 * 25 / 50 / 2))
    assert float(alarm.score(torch.tensor(3e-8))) == pytest.approx(3)


def test_a_checkpoint_of_a_version_without_intervals_keeps_its_level() -> None:
    earlier = {
        "normal_scores": torch.linspace(0, 1, 101),  # 0.9 at the threshold, a unit of 0.49
        "tail": torch.tensor([3.0, 500.0, 0.6]),  # peaks, frames, and the sum of the excess
    }
    alarm = Alarm()
    alarm.load_state_dict(earlier)
    assert alarm.sample_counts == (500, 3)
    mean_excess = (0.6 / 0.49 + 1) / 4
    level = (0.9 - 0.5) / 0.49 + mean_excess * log(3 / 500 * 3600 * 25 / 2)
    found = alarm.level_with_interval(2, fps=25)
    assert found.score == alarm.level(2, fps=25) == pytest.approx(level)
    assert isnan(found.low)
    assert isnan(found.high)


def test_the_sample_shows_three_alarms_at_its_rarest_rate() -> None:
    alarm = Alarm()
    alarm.calibrate([bursts(50, seed=0)])
    assert alarm.hours(fps=1) == pytest.approx(50 * 115 / 3600)
    assert alarm.rarest_rate(fps=1) == pytest.approx(3 / (50 * 115 / 3600))
    alarm.calibrate([bursts(19, seed=0)])  # and too few peaks show nothing
    assert alarm.rarest_rate(fps=1) == inf


def test_the_interval_of_a_level_holds_the_level_of_other_hours_most_of_the_time() -> None:
    def level(seed: int) -> Level:
        alarm = Alarm()
        alarm.calibrate([bursts(60, seed)])
        # Each sample has a unit of its own.
        return Level(*map(alarm.error, alarm.level_with_interval(10, fps=1)))

    true = log(3600 / 115 / 10)  # of exponential heights, one in 115 frames
    held = [found.low < true < found.high for found in map(level, range(40))]
    assert 30 <= sum(held) <= 40


def test_an_optional_alarm_is_stored_once_it_is_calibrated() -> None:
    stored = OptionalAlarm()
    assert stored.state_dict() == {}
    stored.calibrate([torch.linspace(0, 1, 40)])
    again = OptionalAlarm()
    again.load_state_dict(stored.state_dict())
    assert again.error(1.0) == stored.error(1.0)
    other = OptionalAlarm()
    other.load_state_dict({})
    assert not other.calibrated
