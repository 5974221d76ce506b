"""Calibration by pictures whose errors a scorer of known scale gives as well."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from omegaconf import DictConfig

from memguard.data.video.stream import Interruption, Pictures
from memguard.errors import ConfigError, DataError
from memguard.live import calibration
from memguard.live.calibration import NormalVideo, _measured, calibrate
from memguard.live.scorer import LiveScorer
from tests.config.test_schema import composed
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


def given(folder: Path) -> DictConfig:
    """The configuration of a calibration with a checkpoint of two megabytes."""
    checkpoint, hours = folder.parent / "last.ckpt", folder.parent / "hours"
    checkpoint.write_bytes(bytes(2 * 2**20))
    hours.mkdir()
    words = f"checkpoint={checkpoint}", f"video={hours}", f"output={folder}/new.ckpt"
    return composed("calibrate", *words, f"paths.cache_dir={folder.parent}")


def test_a_file_that_is_there_is_never_written_over(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    config = given(tmp_path / "out")
    (tmp_path / "out" / "new.ckpt").write_text("mine")
    with pytest.raises(ConfigError, match=r"^output=.*new\.ckpt is there already: name another"):
        calibrate(config)  # before the checkpoint is read, which is none
    assert (tmp_path / "out" / "new.ckpt").read_text() == "mine"


def test_a_full_disk_is_known_before_hours_are_scored(
    small_disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(calibration, "restored", lambda *_, **__: scorer())
    monkeypatch.setattr(calibration, "streams_of", lambda *_: {})
    config = given(small_disk)
    (small_disk / "full").write_bytes(bytes(2**19))
    with pytest.raises(DataError, match=r"new\.ckpt: .* \(No space .*, and calibrate again$"):
        calibrate(config)
    (small_disk / "full").unlink()
    with pytest.raises(DataError, match="video holds 0 frames"):
        calibrate(config)
    assert not list(small_disk.iterdir())
