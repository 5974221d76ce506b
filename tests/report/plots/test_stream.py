import numpy as np

from memguard.report.plots.stream import stream_timeline


def test_an_event_of_one_frame_is_seen_on_the_timeline() -> None:
    seconds = np.arange(100) / 10
    score = np.where(seconds == 5, 3.0, 0.0)
    axes = stream_timeline("v", seconds, score, 2, [(5.0, 5.0)]).axes[0]
    (span,) = axes.patches
    assert (span.get_x(), span.get_x() + span.get_width()) == (5, 5)
    assert span.get_linewidth() > 0
