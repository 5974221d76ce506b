"""Rates and times, mended where a file's own are not credible."""

import math
from fractions import Fraction
from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from memguard.data.video.timing import Clock, LiveClock, Thinning, credible_rate, frame_rate

MILLISECONDS = [0.067, 0.1, 0.134, 0.167, 0.2]


@pytest.mark.parametrize(
    ("times", "declared", "expected"),
    [
        (MILLISECONDS, [Fraction(1000), Fraction(60)], 5 / (0.133 + 0.033)),  # no header is right
        ([n / 30 for n in range(90)], [Fraction(1000)], 30.0),
        ([n * 1001 / 30000 for n in range(9)], [Fraction(30000, 1001)], 30000 / 1001),
        ([0.0, 0.1, 0.2, 0.9], [Fraction(25)], 4.0),  # four frames in 0.9 s and one usual gap
        ([], [Fraction(90000), None, Fraction(15)], 15.0),
        ([3.0], [None], 25.0),
        ([3.0, 3.0, math.inf], [0], 25.0),
    ],
)
def test_the_rate_is_the_declared_one_only_if_the_times_agree(
    times: list[float], declared: list[Fraction | None], expected: float
) -> None:
    assert frame_rate(times, declared, tick=0.001) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize(
    ("declared", "expected"),
    [((90000, 30), 30.0), ((1000,), 25.0), ((None, 0, -5), 25.0), ((240,), 240.0)],
)
def test_a_live_rate_that_no_camera_has_does_not_go_through(
    declared: tuple[float | None, ...], expected: float
) -> None:
    assert credible_rate(*declared) == expected


def test_times_that_rise_are_kept_from_zero_on() -> None:
    clock = Clock(fps=30.0)
    assert [clock(stamp) for stamp in (10.0, 10.25, 10.5, 19.5)] == [0.0, 0.25, 0.5, 9.5]


def test_stamps_that_are_missing_or_do_not_rise_give_way_to_the_rate() -> None:
    clock = Clock(fps=10.0)
    stamps = [-1.0, None, -0.8, -0.85, math.nan, -0.2, -1.5e17, 0.0]
    expected = [0.0, 0.1, 0.2, 0.3, 0.4, 0.8, 0.9, 1.0]
    assert [clock(stamp) for stamp in stamps] == pytest.approx(expected)


def test_time_continues_when_the_clock_is_set() -> None:
    clock = Clock(fps=10.0)
    stamps = [100.0, 100.1, 5.0, 5.1, 5.4, 1e9, 1e9 + 1]
    expected = [0.0, 0.1, 0.2, 0.3, 0.6, 0.7, 1.7]
    assert [clock(stamp) for stamp in stamps] == pytest.approx(expected)


STAMPS = st.one_of(
    st.none(),
    st.floats(-10, 10),
    st.floats(allow_nan=True, allow_infinity=True),
    st.integers(-100, 100).map(lambda n: n / 25),
)


@given(st.lists(STAMPS, max_size=60), st.floats(0.5, 240))
def test_times_are_finite_begin_at_zero_and_rise(stamps: list[float | None], fps: float) -> None:
    clock = Clock(fps)
    times = [clock(stamp) for stamp in stamps]
    assert all(math.isfinite(time) for time in times)
    assert times[:1] in ([], [0.0])
    assert all(before < after for before, after in pairwise(times))


@example(times=[0.0, 2e-311], declared=[])
@example(times=[-1e308, 1e308], declared=[30.0])
@given(
    st.lists(st.floats(-1e4, 1e4), max_size=60),
    st.lists(st.one_of(st.none(), st.floats(allow_nan=True)), max_size=3),
)
def test_a_rate_is_positive_and_finite(times: list[float], declared: list[float | None]) -> None:
    rate = frame_rate(times, [d if d is None or math.isfinite(d) else None for d in declared])
    assert math.isfinite(rate)
    assert rate > 0


def test_a_declared_rate_that_the_times_do_not_bear_out_gives_way_to_theirs() -> None:
    assert frame_rate([n / 29 for n in range(90)], [30.0]) == pytest.approx(29)
    assert frame_rate([n / 29.8 for n in range(90)], [30.0]) == 30


def test_a_few_times_that_are_rounded_a_lot_leave_the_declared_rate() -> None:
    times = [0.0, 0.04, 0.08]  # of 24 frames a second
    assert frame_rate(times, [24.0], tick=0.01) == 24
    assert frame_rate(times, [24.0]) == pytest.approx(25)


def test_a_pause_of_hours_is_one_and_a_jump_of_days_is_a_clock_that_was_set() -> None:
    clock = Clock(fps=10)
    hours, days = 12 * 3600.0, 3 * 86400.0
    times = [clock(stamp) for stamp in (5, 5 + hours, 5 + hours + days, 5.5 + hours + days)]
    assert times == pytest.approx([0, hours, hours + 0.1, hours + 0.6])


def test_delays_of_the_network_do_not_move_the_times_of_a_camera() -> None:
    clock = LiveClock()
    delays = [0.5, 0.1, 0.1, 3.0, 2.9, 0.2]
    times = [clock(n / 10, 50 + n / 10 + delay) for n, delay in enumerate(delays)]
    assert times[0] == 50.5
    assert times[1:] == pytest.approx([50.1 + n / 10 for n in range(1, 6)])


def test_stamps_that_are_missing_or_too_slow_give_way_to_the_arrivals() -> None:
    clock = LiveClock()
    assert clock(None, 7.0) == 7.0
    assert clock(0.0, 8.0) == 8.0
    assert clock(0.1, 8.0 + 60) == 68.0  # not a minute ago
    assert clock(0.2, 8.0 + 60.1) == pytest.approx(68.1)
    assert LiveClock(early=60)(20.0, 1.0) == 1.0


def test_a_playlist_may_be_early() -> None:
    clock = LiveClock(early=60)
    times = [clock(n / 10, 50.0) for n in range(5)]
    assert times == pytest.approx([50 + n / 10 for n in range(5)])


@pytest.mark.parametrize(
    ("rate", "fps", "chosen"),
    [
        (25, 5, range(0, 50, 5)),
        (25, 10, range(0, 50, 2)),
        (30, 10, range(0, 50, 3)),
        (30, 25, range(50)),
        (5, 10, range(50)),
        (10, None, range(50)),
    ],
)
@pytest.mark.parametrize("jitter", [0.0, 0.2])
def test_frames_are_chosen_evenly(
    rate: float, fps: float | None, chosen: range, jitter: float
) -> None:
    thinning = Thinning(rate, fps)
    times = [(n + jitter * (n % 2)) / rate for n in range(50)]
    assert [n for n, time in enumerate(times) if thinning(time)] == list(chosen)
    assert thinning.fps == pytest.approx(rate / chosen.step)


def test_after_a_loss_the_next_frame_is_near_if_the_stream_sends_many() -> None:
    assert Thinning(25, 5).is_near(0.24)
    assert not Thinning(25, 5).is_near(0.4)
    assert not Thinning(25, 25).is_near(0.08)
