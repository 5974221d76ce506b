import numpy as np

from memguard.report.plots.stream import stream_timeline


def test_an_event_of_one_frame_is_seen_on_the_timeline() -> None:
    seconds = np.arange(100) / 10
    score = np.where(seconds == 5, 3.0, 0.0)
    axes = stream_timeline("v", seconds, score, 2, [(5.0, 5.0)]).axes[0]
    (span,) = axes.patches
    assert (span.get_x(), span.get_x() + span.get_width()) == (5, 5)
    assert span.get_linewidth() > 0


def test_events_of_other_kinds_are_shaded_and_an_outage_is_a_gap_in_the_line() -> None:
    seconds = np.array([0.0, 1.0, 2.0, 8.0, 9.0])
    figure = stream_timeline(
        "v",
        seconds,
        np.ones(5),
        2,
        [],
        standing=[(1.0, 2.0)],
        outages=[(2.5, 7.5)],
        conditions=[(8.0, 9.0)],
    )
    axes = figure.axes[0]
    stands, span, condition = axes.patches
    assert (stands.get_x(), stands.get_x() + stands.get_width()) == (1, 2)
    assert (condition.get_x(), condition.get_x() + condition.get_width()) == (8, 9)
    assert [text.get_text() for text in figure.legends[0].get_texts()] == [
        "score", "alarm level", "standing", "outage", "condition",
    ]  # fmt: skip
    assert (span.get_x(), span.get_x() + span.get_width()) == (2.5, 7.5)
    drawn = np.asarray(axes.lines[0].get_xydata())
    assert drawn[:, 0].tolist() == [0, 1, 2, 2.5, 8, 9]
    assert np.isnan(drawn[:, 1]).tolist() == [False, False, False, True, False, False]
