"""A camera of many takes what its source yields in order."""

import json
from collections.abc import Iterator
from pathlib import Path
from threading import Event

import pytest
import torch
from omegaconf import OmegaConf

from memguard.config.compose import config_folder
from memguard.data.video.newest import FEWEST_HELD, MOST_HELD
from memguard.data.video.stream import Interruption, Pictures
from memguard.detection.events import ScoredPicture
from memguard.live.cameras import watched_camera as module
from memguard.live.cameras.service import Service
from memguard.live.cameras.watched_camera import WatchedCamera
from memguard.live.scorer import LiveScorer
from tests.live.conftest import scored
from tests.live.test_scorer import scorer


class Source:
    """Stands for the newest pictures of a camera: it yields all of them at once."""

    dropped, torn, seconds, camera_fps, is_film = 0, 0, 100.0, 25.0, False

    def __init__(self, *items: Pictures | Interruption) -> None:
        self._items = list(items)

    @property
    def ended(self) -> bool:
        return not self._items

    def take(self, seconds: float, most: int) -> list[Pictures | Interruption]:
        taken, self._items = self._items[:most], self._items[most:]
        return taken

    def close(self) -> None:
        pass


def run_of_pictures(first: int, count: int) -> Iterator[Pictures]:
    random = torch.Generator().manual_seed(first)
    for number in range(first, first + count):
        rgb = torch.randint(256, (1, 3, 16, 16), generator=random, dtype=torch.uint8).numpy()
        yield Pictures(rgb, number, [number / 25], follows=number > first)


@pytest.mark.parametrize(
    ("ignored", "kinds"), [([], {"standing"}), ([[[0, 0], [1, 0], [1, 0.9], [0, 0.9]]], set())]
)
def test_things_that_stand_are_events_and_both_scores_share_the_rate(
    ignored: list[object],
    kinds: set[str],
    live_scorer: LiveScorer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    live_scorer.detector.standing.calibrate([torch.linspace(0, 1, 101) / 100])
    pictures = [each._replace(seconds=[float(n)]) for n, each in enumerate(run_of_pictures(0, 160))]
    for each in pictures[140:]:
        each.rgb[:, :, :8, 4:8] = 255
    monkeypatch.setattr(module, "Camera", lambda *_: None)
    monkeypatch.setattr(module, "NewestPictures", lambda _: Source(*pictures))
    settings = OmegaConf.load(f"{config_folder()}/watch.yaml")
    settings.update({"source": "rtsp://door/1", "standing": True, "ignored": ignored})
    settings.alarm.false_per_hour, settings.events.clip = 600.0, None
    camera = WatchedCamera("door", settings, live_scorer, tmp_path, ())
    half = live_scorer.alarm.level(300.0, 25)
    assert camera.status().level == half
    Service([camera]).run(Event())
    assert camera.status().level == half
    path = tmp_path / "events.jsonl"
    reports = [json.loads(line) for line in path.open()] if path.exists() else []
    begun = [report["kind"] for report in reports if report["state"] == "begin"]
    assert set(begun) == kinds
    assert camera.status().events == len(begun)


def pictures_of_a_door(seconds: int, bag: range) -> list[ScoredPicture]:
    """Four pictures a second with a little noise, and in some seconds a bag."""
    pictures = []
    for number in range(4 * seconds):
        picture = scored(number, score=0.0, fps=4)
        rgb = picture.rgb // 8 + 100
        if number // 4 in bag:
            rgb[:, :24, 16:32] = 255
        pictures.append(picture._replace(rgb=rgb))
    return pictures


@pytest.mark.parametrize(
    ("bag_before", "bag_after", "expected"),
    [
        (range(124, 140), range(30), [("standing", "begin")]),  # one event through both processes
        (range(138, 140), range(30), [("standing", "begin")]),  # too short before the restart
        (range(0), range(15, 30), [("standing", "begin")]),
        (range(0), range(0), []),
    ],
    ids=["continues", "left before", "left after", "restart alone"],
)
def test_a_restarted_process_knows_the_background(
    bag_before: range,
    bag_after: range,
    expected: list[tuple[str, str]],
    live_scorer: LiveScorer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    live_scorer.detector.standing.calibrate([torch.linspace(0, 1, 101) / 20])
    settings = OmegaConf.load(f"{config_folder()}/watch.yaml")
    settings.update({"source": "rtsp://door/1", "standing": True, "conditions": False})
    settings.alarm.false_per_hour, settings.events.clip = 600.0, None
    monkeypatch.setattr(module, "Camera", lambda *_: None)
    monkeypatch.setattr(module, "NewestPictures", lambda _: Source())
    for seconds, bag in ((140, bag_before), (30, bag_after)):
        camera = WatchedCamera("door", settings, live_scorer, tmp_path, ())
        camera.add(pictures_of_a_door(seconds, bag))
        camera.close()
    path = tmp_path / "events.jsonl"
    reports = [json.loads(line) for line in path.open()] if path.exists() else []
    found = [(r["kind"], r["state"]) for r in reports if r["state"] != "ongoing"]
    assert [each for each in found if each[0] == "standing"] == expected


@pytest.fixture
def live_scorer() -> LiveScorer:
    return scorer("video")


def test_a_camera_is_connected_in_its_hours_alone(
    live_scorer: LiveScorer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[Source] = []

    def source(_: None) -> Source:
        opened.append(Source(*run_of_pictures(8 * len(opened), 8)))
        return opened[-1]

    hours = iter([True, False, False, True, True])
    monkeypatch.setattr(module, "Camera", lambda *_: None)
    monkeypatch.setattr(module, "NewestPictures", source)
    monkeypatch.setattr(module, "is_within", lambda *_: next(hours))
    settings = OmegaConf.load(f"{config_folder()}/watch.yaml")
    settings.update({"source": "rtsp://door/1", "hours": ["07:00-19:00"]})
    camera = WatchedCamera("door", settings, live_scorer, tmp_path, ())
    camera.add([scored(7, 0.5)])
    assert (camera.status().score, camera.status().lag) == (0.5, 100.0 - 7 / 25)
    assert len(camera.take()) == 8
    opened[0]._items = list(run_of_pictures(20, 5))  # they come outside hours, and nobody looks
    assert [camera.take(), camera.take()] == [[], []]
    assert (camera.status().state, len(opened)) == ("outside hours", 1)
    assert (camera.status().score, camera.status().lag) == (None, None)
    assert camera.take() == []
    assert [each.first for each in camera.take()] == list(range(8, 16))
    assert len(opened) == 2


def test_an_outage_begins_after_the_pictures_before_it(
    live_scorer: LiveScorer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    outage = Interruption(9 / 25, "off")
    source = Source(*run_of_pictures(0, 10), outage, *run_of_pictures(10, 8))
    monkeypatch.setattr(module, "Camera", lambda *_: None)
    monkeypatch.setattr(module, "NewestPictures", lambda _: source)
    settings = OmegaConf.load(f"{config_folder()}/watch.yaml")
    settings.update({"source": "rtsp://door/1", "alarm": {"false_per_hour": 1e5}})
    camera = WatchedCamera("door", settings, live_scorer, tmp_path, ())
    Service([camera]).run(Event())
    reports = [json.loads(line) for line in (tmp_path / "events.jsonl").open()]
    kinds = [(report["kind"], report["state"]) for report in reports]
    begin = kinds.index(("outage", "begin"))
    assert kinds[begin + 1] == ("outage", "end")
    assert reports[begin]["start_frame"] == 9
    assert reports[begin + 1]["end_frame"] == 14  # the first one with a past
    assert camera.status().frames == 6 + 4


def test_a_recording_has_no_lag(
    live_scorer: LiveScorer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    film = Source()
    film.is_film = True
    monkeypatch.setattr(module, "Camera", lambda *_: None)
    monkeypatch.setattr(module, "NewestPictures", lambda _: film)
    settings = OmegaConf.load(f"{config_folder()}/watch.yaml")
    settings.update({"source": "door.mp4"})
    camera = WatchedCamera("door", settings, live_scorer, tmp_path, ())
    camera.add([scored(7, 0.5)])
    assert (camera.status().state, camera.status().score) == ("watching", 0.5)
    assert camera.status().lag is None


def test_cameras_of_large_and_of_small_pictures_have_equal_shares_of_a_slow_machine(
    live_scorer: LiveScorer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stopped, turns = Event(), 10

    class Fast(Source):
        """Has always sent as many pictures as are held."""

        def __init__(self, held: int) -> None:
            self._held, self._sent, self._turn = held, 0, 0

        def take(self, seconds: float, most: int) -> list[Pictures | Interruption]:
            self._items = list(run_of_pictures(self._sent, self._held))
            self._sent, self._turn = self._sent + self._held, self._turn + 1
            if self._turn > turns:
                stopped.set()
            return super().take(seconds, most)

    sources = iter([Fast(FEWEST_HELD), Fast(MOST_HELD)])
    monkeypatch.setattr(module, "Camera", lambda *_: None)
    monkeypatch.setattr(module, "NewestPictures", lambda _: next(sources))
    settings = OmegaConf.load(f"{config_folder()}/watch.yaml")
    settings.update({"source": "rtsp://door/1", "conditions": False})
    cameras = [
        WatchedCamera(name, settings, live_scorer, tmp_path / name, ())
        for name in ("large", "small")
    ]
    Service(cameras).run(stopped)
    large, small = (camera.status().frames for camera in cameras)
    assert large == small == turns * (FEWEST_HELD - 4)  # those before a score's past are lost
