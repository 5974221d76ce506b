"""The conditions of a camera, each made of the same normal pictures."""

from collections.abc import Callable
from functools import cache
from io import BytesIO

import av
import cv2
import numpy as np
import pytest
import torch

from memguard.detection.reference import Reference, differences, small, traits
from memguard.live import conditions
from memguard.live.conditions import ConditionWatch
from memguard.live.reports import Condition

FPS = 5
HEIGHT, WIDTH = 120, 160
Filter = Callable[[np.ndarray, int], np.ndarray]


@cache
def film(count: int, seed: int) -> list[np.ndarray]:
    """A still scene with a box that crosses it, and a little noise."""
    scene = np.random.default_rng(0).uniform(60, 180, (15, 20)).astype(np.float32)
    large = cv2.resize(scene, (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC)
    noise = np.random.default_rng(seed)
    pictures = []
    for number in range(count):
        picture = large + noise.normal(0, 2, large.shape)
        left = 7 * number % WIDTH
        picture[50:90, left : left + 20] = 30
        pictures.append(np.repeat(picture.clip(0, 255).astype(np.uint8)[..., None], 3, axis=2))
    return pictures


def rgb(picture: np.ndarray) -> np.ndarray:
    return picture.transpose(2, 0, 1)


@pytest.fixture(autouse=True)
def moved_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(conditions, "MOVED_AFTER", 0)


@cache
def learned() -> Reference:
    """The reference of the film."""
    pictures = small(torch.from_numpy(np.stack([rgb(picture) for picture in film(60, seed=1)])))
    compared = differences(pictures[:-1], pictures[1:])
    unknown = torch.tensor([torch.nan])
    known = {name: torch.cat([unknown, value]) for name, value in compared.items()}
    reference = Reference()
    reference.learn({"video": torch.zeros(60)} | traits(pictures) | known, pictures, (64, 64))
    return reference


@pytest.fixture(scope="module")
def reference() -> Reference:
    return learned()


def watched(
    reference: Reference, change: Filter, begin: int = 15, end: int = 45, count: int = 70
) -> list[Condition | None]:
    """Watch a film that a filter changes from one picture to another."""
    watch = ConditionWatch(reference, FPS)
    changed = [
        change(picture, number) if begin <= number < end else picture
        for number, picture in enumerate(film(count, seed=2))
    ]
    return [watch.add(rgb(picture), number / FPS) for number, picture in enumerate(changed)]


def shifted(picture: np.ndarray, x: float, y: float) -> np.ndarray:
    matrix = np.array([[1, 0, x], [0, 1, y]], np.float32)
    return cv2.warpAffine(picture, matrix, (WIDTH, HEIGHT), borderMode=cv2.BORDER_REPLICATE)


def noisy(picture: np.ndarray, deviation: float, seed: int) -> np.ndarray:
    noise = np.random.default_rng(seed).normal(0, deviation, picture.shape)
    return (picture + noise).clip(0, 255).astype(np.uint8)


FIRST = film(1, seed=2)[0]

FILTERS: dict[str, tuple[str, Filter]] = {
    "black": ("black", lambda p, n: np.zeros_like(p)),
    "hand": ("covered", lambda p, n: noisy(np.full_like(p, 70), 2, n)),
    "night": ("dark", lambda p, n: noisy((p * 0.2).astype(np.uint8), 2, n)),
    "sun": ("bright", lambda p, n: (180 + p * 0.29).astype(np.uint8)),
    "frozen": ("frozen", lambda p, n: FIRST),
    "lamp": ("lights", lambda p, n: (p * 0.65).astype(np.uint8)),
    "blur": ("blurred", lambda p, n: cv2.GaussianBlur(p, (0, 0), 6)),
    "noise": ("noisy", lambda p, n: noisy(p, 40, n)),
    "shake": ("shaken", lambda p, n: shifted(p, 4 * (n % 2), 0)),
    "shift": ("moved", lambda p, n: shifted(p, 10, 0)),
    "mirror": ("moved", lambda p, n: p[:, ::-1]),
    "upside down": ("moved", lambda p, n: p[::-1, ::-1]),
}


def test_normal_pictures_have_no_condition(reference: Reference) -> None:
    assert watched(reference, lambda p, n: p) == [None] * 70


@pytest.mark.parametrize("name", FILTERS)
def test_a_condition_begins_after_about_a_second_and_ends_after_about_three(
    reference: Reference, name: str
) -> None:
    kind, change = FILTERS[name]
    found = watched(reference, change)
    lasting = [number for number, each in enumerate(found) if each]
    begin = 3.0 if kind == "frozen" else 1.0
    assert found[lasting[0]].kind == kind  # type: ignore[union-attr]
    assert begin - 0.5 <= lasting[0] / FPS - 3 <= begin + 1
    assert found[-1] is None
    if kind != "lights":  # which change twice
        assert len(lasting) == lasting[-1] - lasting[0] + 1
        assert {found[number].kind for number in lasting if number < 45} == {kind}  # type: ignore[union-attr]
        assert 2.5 <= lasting[-1] / FPS - 9 <= 5


@pytest.mark.parametrize("name", [name for name in FILTERS if name != "lamp"])
def test_a_condition_lasts_through_a_restart_and_no_longer(
    reference: Reference, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, change = FILTERS[name]
    earlier = next(found for found in watched(reference, change) if found)
    monkeypatch.setattr(conditions, "MOVED_AFTER", 60.0)
    watch, absent = ConditionWatch(reference, FPS), 90.0
    watch.restore(earlier, absent)
    found = [
        watch.add(rgb(change(picture, number) if number < 40 else picture), absent + number / 5)
        for number, picture in enumerate(film(80, seed=2))
    ]
    assert found[:40] == [earlier] * 40
    assert found[-1] is None


def sent(picture: np.ndarray, count: int) -> list[np.ndarray]:
    """Encode the same picture again and again, as a camera with key frames sends it."""
    file = BytesIO()
    with av.open(file, "w", format="h264") as container:
        stream = container.add_stream("libx264", rate=FPS, options={"g": "10", "crf": "22"})
        stream.height, stream.width = picture.shape[:2]
        for _ in range(count):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, "rgb24")))
        container.mux(stream.encode())
    file.seek(0)
    with av.open(file, format="h264") as container:
        return [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]


def test_a_frozen_picture_that_an_encoder_sends_again_is_frozen(reference: Reference) -> None:
    pictures = sent(FIRST, 60)
    copies = small(torch.from_numpy(np.stack([rgb(picture) for picture in pictures[20:]])))
    key_frames = differences(copies[:-1], copies[1:])["change"]
    assert key_frames.max() > 2  # grey levels: they are no exact copies
    found = watched(reference, lambda p, n: pictures[n - 10], begin=10, end=70)
    lasting = [number for number, each in enumerate(found) if each]
    assert {found[number].kind for number in lasting} == {"frozen"}  # type: ignore[union-attr]
    assert 3 <= (lasting[0] - 10) / FPS <= 6
    assert lasting[-1] == 69


def test_a_picture_that_changes_slowly_is_not_frozen(reference: Reference) -> None:
    dawn = watched(reference, lambda p, n: FIRST + np.uint8(n), begin=0, end=70)
    assert "frozen" not in {each.kind for each in dawn if each}


def test_a_camera_has_moved_after_a_minute_and_not_while_someone_is_near(
    reference: Reference, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(conditions, "MOVED_AFTER", 8.0)
    assert watched(reference, lambda p, n: shifted(p, 10, 0), end=40) == [None] * 70
    found = watched(reference, lambda p, n: shifted(p, 10, 0), end=70)
    begin = next(number for number, each in enumerate(found) if each)
    assert 8.5 <= begin / FPS - 3 <= 10
    black = FILTERS["black"][1]
    near = watched(reference, lambda p, n: black(p, n) if n > 34 else shifted(p, 10, 0))
    assert next(number for number, each in enumerate(near) if each) in range(39, 43)


def test_a_shift_is_measured(reference: Reference) -> None:
    found = watched(reference, lambda p, n: shifted(p, 12, -9))[40]
    assert found is not None
    assert found.sentence.startswith("The camera has moved: the picture is shifted by")
    assert "by 8% of its width" in found.sentence or "by 7% of its width" in found.sentence


def test_a_passing_object_before_most_of_the_picture_is_no_condition(reference: Reference) -> None:
    def passing(picture: np.ndarray, number: int) -> np.ndarray:
        blocked = picture.copy()
        blocked[:, :120] = np.random.default_rng(5).uniform(0, 255, (HEIGHT, 120, 1))
        return blocked

    assert watched(reference, passing, begin=15, end=18) == [None] * 70


def test_people_who_all_walk_one_way_do_not_shake_the_camera(reference: Reference) -> None:
    def crowded(picture: np.ndarray, number: int) -> np.ndarray:
        crowd = picture.copy()
        for left in range(0, WIDTH, 40):  # far stronger than the scene behind them
            place = (left + 3 * number) % (WIDTH - 10)
            crowd[40:70, place : place + 10] = 255
        return crowd

    assert not [each for each in watched(reference, crowded) if each and each.kind == "shaken"]


def test_a_picture_that_often_stands_still_is_frozen_later(reference: Reference) -> None:
    still = Reference()
    still.load_state_dict(reference.state_dict())
    still.still.fill_(15)  # 3 seconds; a frozen picture stands for 6
    found = watched(still, lambda p, n: FIRST, end=60)
    assert 5.5 <= next(n for n, each in enumerate(found) if each) / FPS - 3 <= 6.5


def test_pictures_between_looks_and_before_an_outage_do_not_count(reference: Reference) -> None:
    watch, black = ConditionWatch(reference, FPS), np.zeros((3, HEIGHT, WIDTH), np.uint8)
    normal = [rgb(picture) for picture in film(10, seed=2)]
    for number in range(100):  # at 50 a second each tenth is looked at
        picture = normal[number % 10] if number % 10 == 0 else black
        assert watch.add(picture, number / 50) is None
    for number in range(4):
        assert watch.add(black, 10 + number / FPS) is None
    assert watch.add(normal[0], 60) is None
