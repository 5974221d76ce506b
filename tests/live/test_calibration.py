"""Calibration by pictures whose errors a scorer of known scale gives as well."""

from collections.abc import Iterator
from functools import partial

import numpy as np
import pytest

from memguard.data.video.stream import Interruption, Pictures
from memguard.errors import DataError
from memguard.live.calibration import NormalVideo, _measured
from memguard.live.scorer import LiveScorer
from tests.live.test_scorer import Film, pictures, scorer, scores


class Broken(Film):
    """A film that is interrupted once, and then raises an error."""

    def __init__(self, error: type[BaseException], *, length: int | None) -> None:
        super().__init__(pictures(40), [20, 20], gaps=[1])
        self._error, self.length = error, length  # type: ignore[assignment]

    def __iter__(self) -> Iterator[Pictures | Interruption]:  # type: ignore[override]
        first, second = super().__iter__()
        yield first
        yield Interruption(41.0, "the stream ended")
        yield second
        raise self._error("broken: its end is missing")


def measured(under_test: LiveScorer, *films: Film) -> NormalVideo:
    return _measured(under_test, [partial(lambda film: film, film) for film in films])


def test_errors_are_those_of_live_scoring_whatever_the_scale() -> None:
    film = Film(pictures(30), [12, 18])
    known = scorer(threshold=1.0)  # every frame updates the memory, as in scoring
    expected = [known.alarm.error(scored.score) for scored in scores(scorer(threshold=1.0), film)]
    uncalibrated = scorer(threshold=1.0)
    uncalibrated.alarm.load_state_dict({})
    for under_test in (known, uncalibrated):
        normal = measured(under_test, film)
        (stretch,) = normal.stretches
        assert stretch == pytest.approx(expected, rel=1e-4)
        assert normal.seconds == pytest.approx(26 / 25)
        assert normal.frames == 26


def test_errors_in_ignored_places_do_not_count_as_in_scoring() -> None:
    film, ignored = Film(pictures(30), [30]), np.zeros((16, 16), bool)
    ignored[:, 4:] = True
    known = scorer()
    (stretch,) = _measured(scorer(), [lambda: film], ignored).stretches
    watched = known.watch(film, ignored)
    expected = [known.alarm.error(each.score) for each in watched if hasattr(each, "score")]
    assert stretch == pytest.approx(expected, rel=1e-4)
    (whole,) = measured(scorer(), film).stretches
    assert max(stretch) < min(whole)


def test_an_interruption_ends_a_stretch_and_other_videos_follow_one_that_breaks_off() -> None:
    broken, whole = Broken(DataError, length=40), Film(pictures(30), [30])
    normal = measured(scorer(), broken, whole)
    assert list(map(len, normal.stretches)) == [16, 16, 26]
    assert normal.problems == ["broken: its end is missing"]


def test_ctrl_c_ends_a_camera_with_what_it_has_shown_and_gives_a_file_up() -> None:
    assert measured(scorer(), Broken(KeyboardInterrupt, length=None)).frames == 32
    with pytest.raises(KeyboardInterrupt):
        measured(scorer(), Broken(KeyboardInterrupt, length=40))
