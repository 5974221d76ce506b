"""The slow background, by numbers worked out by hand and by a square that stands in a clip."""

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from omegaconf import OmegaConf

from memguard.data.video.stream import Interruption
from memguard.detection.alarm import Alarm
from memguard.detection.events import Event, EventStream, Moment
from memguard.errors import CheckpointError
from memguard.live import standing as module
from memguard.live.calibration import calibrate_standing
from memguard.live.events.configured import rate_of_each
from memguard.live.events.event_files import EventFiles, Keeping
from memguard.live.events.reporter import EventReporter
from memguard.live.notify.notifier import Notifier
from memguard.live.reports import Condition
from memguard.live.standing import (
    Background,
    StandingWatch,
    require_standing,
)
from tests.conftest import moving_square
from tests.live.conftest import scored

SIZE, PATCH = (12, 16), (0.25, 0.25)  # patches of 3 × 4 pixels
SECOND = 2  # looks


def flat(level: int) -> np.ndarray:
    """A grey picture, twice as large as the network's frame."""
    return np.full((3, 24, 32), level, np.uint8)


def with_square(level: int, *, ground: int = 50) -> np.ndarray:
    """A picture with a square that covers a patch in its upper right part."""
    picture = flat(ground)
    picture[:, 6:12, 16:24] = level
    return picture


def short_times(
    monkeypatch: pytest.MonkeyPatch, *, fast: float, slow: float, settled: float
) -> None:
    for name, seconds in {"FAST": fast, "SLOW": slow, "SETTLED": settled}.items():
        monkeypatch.setattr(module, name, seconds)


def test_the_difference_is_that_of_a_mean_and_an_exponential_average(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    short_times(monkeypatch, fast=2.0, slow=4.0, settled=3.0)
    background = Background(SIZE, PATCH)
    levels = [100, 100, 100, 100, 140, 140]
    found = [background.add(with_square(level), float(at)) for at, level in enumerate(levels)]
    assert found[:3] == [None] * 3
    assert found[3] is not None
    assert found[3].error == 0.0
    # The background is the mean of the first four, and then takes a quarter of each.
    slow = [100.0, 100 + 40 / 4, 110 + 30 / 4]
    fast = [100.0, 120.0, 140.0]  # of the last two
    counted = 1 - 12 / (12 * 16)  # of the difference, without the change of the mean brightness
    for difference, now, before in zip(found[3:], fast, slow, strict=True):
        assert difference is not None
        expected = ((now - before) * counted / 255) ** 2
        assert difference.error == pytest.approx(expected, rel=1e-5)
    assert difference.box == (16, 6, 24, 12)


def test_no_more_than_two_pictures_a_second_are_compared() -> None:
    background = Background(SIZE, PATCH)
    found = [background.add(with_square(100 + n % 2 * 9), n / 25) for n in range(125 * 25)]
    assert len(background._recent) == 16  # eight seconds
    changes = [n for n, (one, other) in enumerate(pairwise(found)) if one is not other]
    assert set(np.diff(changes)) == {13}  # frames, 0.52 seconds


def test_light_over_the_whole_picture_does_not_count() -> None:
    background = Background(SIZE, PATCH)
    for at in range(150):
        background.add(with_square(100), float(at))
    brighter = [background.add(with_square(130, ground=80), 150.0 + at) for at in range(8)]
    assert brighter[-1] is not None
    assert brighter[-1].error < 1e-9


def test_ignored_places_do_not_count() -> None:
    ignored = np.zeros(SIZE, bool)
    ignored[3:6, 8:12] = True  # the square
    whole, partial = Background(SIZE, PATCH), Background(SIZE, PATCH, ignored)
    for at in range(158):
        picture = with_square(100 if at < 150 else 200)
        both = [background.add(picture, float(at)) for background in (whole, partial)]
    assert both[0] is not None
    assert both[1] is not None
    assert both[0].error > 0.1
    assert both[1].error == 0.0


@pytest.mark.parametrize("gap", [8.5, -20.0], ids=["later", "earlier"])
def test_a_background_begins_again_after_a_gap_and_when_it_is_forgotten(gap: float) -> None:
    background = Background(SIZE, PATCH)
    for at in range(150):
        found = background.add(with_square(100), float(at))
    assert found is not None
    assert background.add(with_square(200), 149 + gap) is None
    again = [background.add(with_square(200), 149 + gap + at) for at in range(1, 121)]
    assert again[-2] is None
    assert again[-1] is not None
    assert again[-1].error == 0.0
    background.forget()
    assert background.add(with_square(200), 149 + gap + 121) is None


def restarted(background: Background) -> Background:
    """The background of the next process."""
    after = Background(SIZE, PATCH)
    after.restore(background.state())
    return after


@pytest.mark.parametrize("absent", [20, 120])
def test_a_background_continues_after_a_short_absence_of_the_process(absent: int) -> None:
    before = Background(SIZE, PATCH)
    for at in range(150):
        before.add(with_square(100), float(at))
    after, began = restarted(before), 149 + absent
    found = [after.add(with_square(200), float(began + at)) for at in range(9)]
    assert found[:8] == [None] * 8
    assert found[8] is not None
    assert found[8].error > 0.1
    assert found[8].box == (16, 6, 24, 12)


def test_a_background_begins_again_after_a_long_absence_of_the_process() -> None:
    before = Background(SIZE, PATCH)
    for at in range(150):
        before.add(with_square(100), float(at))
    after = restarted(before)
    found = [after.add(with_square(200), float(149 + 121 + at)) for at in range(121)]
    assert found[-2] is None
    assert found[-1] is not None
    assert found[-1].error == 0.0  # the square is all that it knows


def test_a_background_that_has_not_settled_settles_through_a_restart() -> None:
    before = Background(SIZE, PATCH)
    for at in range(80):
        before.add(with_square(100), float(at))
    after = restarted(before)
    found = [after.add(with_square(100), float(at)) for at in range(90, 121)]
    assert found[-2] is None
    assert found[-1] is not None


def test_an_event_that_is_the_longest_soon_after_a_restart_becomes_background() -> None:
    before = Background(SIZE, PATCH)
    for at in range(170):
        before.add(with_square(100 if at < 150 else 200), float(at))
    watch = StandingWatch(restarted(before), calibrated(), 1, SECOND, longest=20)
    began = Moment(300, 150.0)
    watch.stream.open = Event(began, began, began, 9.0, (16, 6, 24, 12))
    found = [watch.add(with_square(200), 175.0 + at) for at in range(9)]
    assert found[:8] == [None] * 8
    watch.stream.finish()
    found += [watch.add(with_square(200), 184.0 + at) for at in range(8)]
    assert [each.score for each in found[8:] if each] == pytest.approx([0.0] * 9, abs=1e-3)


def test_a_restart_alone_makes_no_difference_of_a_thing_that_passes() -> None:
    before = Background(SIZE, PATCH)
    for at in range(300):
        before.add(with_square(200 if at % 8 == 0 else 100), at / 2)
    after = restarted(before)
    found = [after.add(with_square(200 if at % 8 == 0 else 100), 155 + at / 2) for at in range(40)]
    assert max(each.error for each in found if each) < 1e-4


def calibrated() -> Alarm:
    """An alarm whose score is that of a background difference times 1,000."""
    alarm = Alarm()
    alarm.calibrate([torch.linspace(-0.5, 0.5, 101) / 490])
    return alarm


def reporter(folder: Path, *, longest: float = 600, **options: object) -> EventReporter:
    """A reporter of two frames a second whose anomalies need a score above 1."""
    watch = StandingWatch(Background(SIZE, PATCH), calibrated(), 1, SECOND, longest)
    watch.stream.level = 5.0
    return EventReporter(
        "door", folder, EventStream(1.0, longest), lambda score: 1 / score,
        EventFiles(folder / "events", Keeping(snapshots=True, clip=None, days=1, gigabytes=1)),
        Notifier(), live=False, standing=watch, **options,  # type: ignore[arg-type]
    )  # fmt: skip


def kinds(reports: list) -> list[tuple[str, str]]:  # type: ignore[type-arg]
    return [(report.kind, report.state) for report in reports if report.state != "ongoing"]


def watched(
    camera: EventReporter,
    pictures: np.ndarray | list[np.ndarray],
    first: int = 0,
    score: float = 0.0,
) -> list:  # type: ignore[type-arg]
    """The reports of pictures that follow."""
    reports = []
    for number, picture in enumerate(pictures, start=first):
        rgb = picture if len(picture) == 3 else picture.transpose(2, 0, 1)
        reports += camera.add(scored(number, score, SECOND)._replace(rgb=rgb))
    return reports


def test_a_square_that_stands_in_a_clip_is_an_event_and_one_that_passes_is_none(
    tmp_path: Path,
) -> None:
    clip = moving_square(260 * SECOND, speed=7)
    left_behind = clip.copy()
    left_behind[150 * SECOND : 180 * SECOND, 36:44, 48:58] = 200
    (tmp_path / "empty").mkdir()
    assert watched(reporter(tmp_path / "empty"), clip) == []
    reports = watched(reporter(tmp_path), left_behind)
    assert kinds(reports) == [("standing", "begin"), ("standing", "end")]
    begin, *_, end = reports
    assert 150 <= begin.start_seconds < 158
    assert 180 <= end.end_seconds < 188
    assert begin.id == end.id
    assert end.peak_score > 5
    assert end.normal_per_hour is not None
    assert end.left < 58
    assert end.right > 48
    assert end.top < 44
    assert end.bottom > 36
    assert Path(end.snapshot).exists()


@pytest.mark.parametrize(("absent", "events"), [(40, 1), (80, 2)])
def test_a_thing_that_leaves_for_less_than_a_minute_is_one_event(
    tmp_path: Path, absent: int, events: int
) -> None:
    empty, there = with_square(50), with_square(200)
    pictures = [*[empty] * 260, *[there] * 40, *[empty] * absent * SECOND, *[there] * 40]
    reports = watched(reporter(tmp_path), pictures)
    assert kinds(reports).count(("standing", "begin")) == events


def test_the_alarm_counts_peaks_within_a_minute_as_one() -> None:
    differences = torch.zeros(40, 200)
    differences[:, 0] = differences[:, 30] = torch.linspace(1, 2, 40)  # pairs, 30 s apart
    alarm = Alarm()
    calibrate_standing(alarm, [differences.flatten()], fps=1.0)
    assert alarm.sample_counts[1] == 40


def test_it_becomes_background_after_the_longest_event(tmp_path: Path) -> None:
    camera = reporter(tmp_path, longest=20)
    pictures = [with_square(50)] * 260 + [with_square(200)] * 200
    reports = watched(camera, pictures)
    assert kinds(reports) == [("standing", "begin"), ("standing", "end")]
    assert reports[-1].end_seconds - reports[-1].start_seconds == pytest.approx(20, abs=1)
    gone = watched(camera, [with_square(50)] * 20, first=460)
    assert kinds(gone) == [("standing", "begin")]


def test_the_snapshot_of_each_kind_has_its_own_peak(tmp_path: Path) -> None:
    camera = reporter(tmp_path)
    watched(camera, [with_square(50)] * 260)
    reports = watched(camera, [with_square(200)] * 6, first=260, score=2.0)
    found = {report.kind: report for report in reports if report.state == "begin"}
    assert found.keys() == {"anomaly", "standing"}
    assert (found["anomaly"].left, found["standing"].left) == (20, 16)
    assert found["anomaly"].snapshot != found["standing"].snapshot


class Covered:
    """Finds a condition in some frames."""

    def __init__(self, frames: range) -> None:
        self._frames = frames

    def add(self, rgb: np.ndarray, seconds: float) -> Condition | None:
        there = round(seconds * SECOND) in self._frames
        return Condition("covered", "it is covered") if there else None


def test_a_condition_ends_the_event_and_the_background(tmp_path: Path) -> None:
    camera = reporter(tmp_path, conditions=Covered(range(280, 282)))
    pictures = [with_square(50)] * 260 + [with_square(200)] * 22
    assert kinds(watched(camera, pictures)) == [
        ("standing", "begin"), ("standing", "end"), ("condition", "begin")
    ]  # fmt: skip
    later = watched(camera, [with_square(200)] * 260, first=282)
    assert kinds(later) == [("condition", "end")]


def test_an_outage_ends_the_event_and_the_background(tmp_path: Path) -> None:
    camera = reporter(tmp_path)
    watched(camera, [with_square(50)] * 260 + [with_square(200)] * 20)
    assert kinds(camera.interrupt(Interruption(140.0, "off"))) == [
        ("standing", "end"), ("outage", "begin")
    ]  # fmt: skip
    assert kinds(watched(camera, [with_square(50)] * 100, first=282)) == [("outage", "end")]


def test_a_restarted_process_continues_the_event(tmp_path: Path) -> None:
    first = reporter(tmp_path, continues=True)
    (begin,) = watched(first, [with_square(50)] * 260 + [with_square(200)] * 20)
    first.close()
    second = reporter(tmp_path, continues=True)
    assert second.open["standing"].id == begin.id
    reports = watched(second, [with_square(200)] * 400)
    assert kinds(reports) == [("standing", "end")]  # by now it is background
    assert reports[-1].id == begin.id


def test_an_event_ends_where_standing_is_off_after_a_restart(tmp_path: Path) -> None:
    first = reporter(tmp_path, continues=True)
    watched(first, [with_square(50)] * 260 + [with_square(200)] * 20)
    first.close()
    files = EventFiles(tmp_path / "events", Keeping(True, None, 1, 1))
    off = EventReporter(
        "door", tmp_path, EventStream(1.0), lambda score: 1 / score, files, Notifier(),
        live=False, continues=True,
    )  # fmt: skip
    assert off.open == {}


def test_both_scores_share_the_promised_rate() -> None:
    settings = OmegaConf.create({"standing": True, "alarm": {"false_per_hour": 3.0}})
    assert rate_of_each(settings) == 1.5
    settings.standing = False
    assert rate_of_each(settings) == 3.0


def test_a_checkpoint_that_is_not_calibrated_for_it_is_refused() -> None:
    with pytest.raises(CheckpointError, match=r"runs/last\.ckpt .* python -m memguard\.calibrate"):
        require_standing("runs/last.ckpt", Alarm())
    require_standing("runs/last.ckpt", calibrated())
