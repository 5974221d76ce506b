"""The alarm against values computed by hand."""

from math import exp, log

import pytest
import torch

from memguard.detection.alarm import Alarm
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


def test_peaks_a_second_apart_are_one_and_no_event_crosses_from_video_to_video() -> None:
    quiet = torch.zeros(100)
    first, second = quiet.clone(), quiet.clone()
    first[[50, 74]] = torch.tensor([0.5, 0.7])  # 24 frames apart
    first[99], second[0] = 0.9, 0.6
    alarm = Alarm()
    alarm.calibrate([first, second, *[quiet] * 3])
    # The 90th percentile is 0. 74 and 99 are 25 apart, which is still bridged.
    assert alarm.sample_counts == (500, 2)
    assert alarm.tail.tolist() == pytest.approx([2, 500, 0.9 + 0.6])


def test_the_level_follows_the_exponential_tail() -> None:
    # 30 events of one frame, half of them 0.2 and half 0.4 high, in 900 calm frames
    series = torch.zeros(930)
    series[::31] = torch.tensor([0.2, 0.4]).repeat(15)
    alarm = Alarm()
    alarm.calibrate([series])
    unit = 0.4  # from the median, 0, to the 99th percentile
    mean_excess = (30 * 0.3 / unit + 1) / 31
    per_hour = 30 / 930 * 3600 * 25
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


def test_peaks_are_counted_above_the_90th_percentile_and_the_level_never_lies_below_it() -> None:
    alarm = fitted([torch.arange(1001)])
    assert alarm.tail.tolist() == pytest.approx([1, 1001, 1.0 - 0.9])
    assert alarm.level(1e9, fps=25) == pytest.approx((0.9 - 0.5) / 0.49, rel=1e-4)


def test_without_a_peak_the_level_follows_one_event_of_a_unit() -> None:
    alarm = fitted([torch.zeros(50)])
    assert alarm.sample_counts == (50, 0)
    assert alarm.level(2, fps=25) == pytest.approx(log(3600 * 25 / 50 / 2))
    assert float(alarm.score(torch.tensor(3e-8))) == pytest.approx(3)
