"""The newest pictures of a camera that sends more than is taken."""

import threading
import time
from collections.abc import Iterator
from queue import SimpleQueue

import numpy as np
import pytest

from memguard.data.video import newest
from memguard.data.video.newest import NewestPictures
from memguard.data.video.stream import Interruption, Pictures
from memguard.errors import DataError

OUTAGE = Interruption(3.0, "the stream ended")


class Sender:
    """Stands for a camera: it yields what a test puts in, and ends with None or an error."""

    name, source, label, fps, torn = "camera", "rtsp://h/1", "door (rtsp://h/1)", 25.0, 0

    def __init__(self, *, is_film: bool = False) -> None:
        self.is_film = is_film
        self.sent: SimpleQueue[Pictures | Interruption | Exception | None] = SimpleQueue()
        self.is_closed = False

    def send(self, *numbers: int) -> None:
        for n in numbers:
            rgb = np.full((1, 3, 4, 4), n, np.uint8)
            self.sent.put(Pictures(rgb, n, [n / 25], follows=n > 0))

    def __iter__(self) -> Iterator[Pictures | Interruption]:
        while (item := self.sent.get()) is not None:
            if isinstance(item, Exception):
                raise item
            yield item

    def close(self) -> None:
        self.is_closed = True
        self.sent.put(None)


def wait_until_read(sender: Sender, pictures: NewestPictures) -> None:
    """Wait until the thread holds all that was sent."""
    while not sender.sent.empty():
        time.sleep(0.001)
    with pictures._changed:
        pass
    time.sleep(0.02)


def numbers(taken: list[Pictures | Interruption]) -> list[int | str]:
    return [item.first if isinstance(item, Pictures) else item.reason for item in taken]


def test_the_oldest_pictures_are_dropped_and_the_next_one_follows_no_more() -> None:
    sender = Sender()
    pictures = NewestPictures(sender)  # type: ignore[arg-type]
    sender.send(*range(5))
    sender.sent.put(OUTAGE)
    sender.send(*range(5, 72))
    wait_until_read(sender, pictures)
    taken = pictures.take()
    assert numbers(taken) == ["the stream ended", *range(9, 72)]
    assert [item.follows for item in taken[1:]] == [False] + [True] * 62  # type: ignore[union-attr]
    assert pictures.dropped == 9
    assert pictures.take(0.01) == []
    sender.send(72)
    assert numbers(pictures.take()) == [72]
    pictures.close()


def test_a_slow_camera_has_no_old_pictures() -> None:
    sender = Sender()
    sender.fps = 5.0
    pictures = NewestPictures(sender)  # type: ignore[arg-type]
    sender.send(*range(40))
    wait_until_read(sender, pictures)
    assert numbers(pictures.take()) == list(range(25, 40))  # of three seconds
    pictures.close()


def test_large_pictures_take_bounded_memory() -> None:
    sender = Sender()
    pictures = NewestPictures(sender)  # type: ignore[arg-type]
    large = np.broadcast_to(np.uint8(0), (1, 3, 1080, 1920))
    for number in range(40):
        sender.sent.put(Pictures(large, number, [number / 25], follows=True))
    wait_until_read(sender, pictures)
    taken = pictures.take()
    assert numbers(taken) == list(range(32, 40))
    assert sum(item.rgb.nbytes for item in taken) < 50e6  # type: ignore[union-attr]
    pictures.close()


def test_a_film_waits_and_loses_nothing() -> None:
    sender = Sender(is_film=True)
    pictures = NewestPictures(sender)  # type: ignore[arg-type]
    sender.send(*range(100))
    sender.sent.put(None)
    assert numbers(list(pictures)) == list(range(100))
    assert pictures.dropped == 0


def test_the_error_of_a_camera_follows_its_pictures() -> None:
    sender = Sender()
    pictures = NewestPictures(sender)  # type: ignore[arg-type]
    sender.send(0, 1)
    sender.sent.put(DataError("this recording breaks off"))
    taken: list[Pictures | Interruption] = []
    with pytest.raises(DataError, match="this recording breaks off"):
        taken.extend(pictures)
    assert numbers(taken) == [0, 1]


def test_a_camera_that_cannot_be_opened_has_no_rate() -> None:
    sender = Sender()
    sender.fps = None  # type: ignore[assignment]
    pictures = NewestPictures(sender)  # type: ignore[arg-type]
    sender.sent.put(DataError("this stream cannot be opened"))
    with pytest.raises(DataError, match="this stream cannot be opened"):
        _ = pictures.fps


def test_the_thread_ends_when_the_consumer_does() -> None:
    sender = Sender()
    pictures = NewestPictures(sender)  # type: ignore[arg-type]
    sender.send(0, 1)
    threads = [each for each in threading.enumerate() if each.name == sender.source]
    for _ in pictures:
        break
    assert sender.is_closed
    for thread in threads:
        thread.join(timeout=5)
        assert not thread.is_alive()


def test_falling_behind_is_said_once_and_then_at_most_every_minute(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    clock = [100.0]
    monkeypatch.setattr(newest.time, "monotonic", lambda: clock[0])
    pace = newest._Pace("rtsp://door/1")
    for _ in range(20 * 100):  # a hundred seconds: of 25 pictures a second five are taken
        clock[0] += 0.05
        pace.drop()
        pace.taken += 0.25
    beginning = "rtsp://door/1: scoring is too slow, and"
    assert [message.startswith(beginning) for message in caplog.messages] == [True, True]
    assert "it takes 5.0 of 25." in caplog.messages[1]
    clock[0] += 3600
    pace.drop()  # a single one is no reason
    assert len(caplog.messages) == 2
