"""Events of hand-made scores."""

from memguard.detection.events import Event, EventStream, Moment


def events(scores: dict[int, float], frames: int = 200) -> list[Event]:
    """The events of a video at 25 frames a second; frames not listed score 0."""
    stream = EventStream(level=1)
    ended = [
        stream.add(Moment(n, n / 25), scores.get(n, 0), (n, 0, n + 1, 1)) for n in range(frames)
    ]
    return [event for event in (*ended, stream.finish()) if event]


def test_an_event_has_start_end_and_the_peak_with_its_place() -> None:
    (event,) = events({50: 1.5, 51: 3.0, 52: 2.0})
    assert (event.start, event.end) == (Moment(50, 2.0), Moment(52, 2.08))
    assert (event.peak, event.score, event.box) == (Moment(51, 2.04), 3.0, (51, 0, 52, 1))


def test_up_to_a_second_below_the_level_is_bridged_and_no_more() -> None:
    assert [(e.start.frame, e.end.frame) for e in events({10: 2, 35: 2})] == [(10, 35)]
    assert [(e.start.frame, e.end.frame) for e in events({10: 2, 36: 2})] == [(10, 10), (36, 36)]


def test_an_event_lasts_through_frames_without_a_score() -> None:
    stream = EventStream(level=1)
    stream.add(Moment(10, 0.4), 2)
    for number in range(11, 100):
        stream.skip(Moment(number, number / 25))
    assert stream.add(Moment(124, 4.96), 0) is None  # 25 with a score are bridged
    stream.add(Moment(125, 5.0), 0)
    assert stream.open is None


def test_a_score_equal_to_the_level_is_no_event() -> None:
    assert events({10: 1.0}) == []


def test_an_event_at_the_end_of_the_video_is_returned() -> None:
    assert [(e.start.frame, e.end.frame) for e in events({199: 2})] == [(199, 199)]


def test_the_first_of_equal_scores_is_the_peak() -> None:
    (event,) = events({50: 2.0, 51: 3.0, 52: 3.0})
    assert (event.peak.frame, event.box) == (51, (51, 0, 52, 1))
