"""Snapshots and clips of events are pictures of the camera, and old ones are removed."""

import os
import time
from pathlib import Path

import av
import numpy as np
import pytest
import torch
from PIL import Image

from memguard.detection.events import Moment
from memguard.live.events import clips as clips_module
from memguard.live.events.clips import ClipRecorder
from memguard.live.events.event_files import EventFiles, Keeping

FPS = 5


def grey(number: int, height: int = 48, width: int = 64) -> np.ndarray:
    """A picture whose grey is its number."""
    return np.full((3, height, width), number, np.uint8)


def add(recorder: ClipRecorder, seconds: float, rgb: np.ndarray) -> None:
    recorder.add(seconds, rgb, captured=seconds)


def decoded(path: Path) -> list[tuple[float, int, tuple[int, int]]]:
    """The time, the grey and the size of each picture of a clip."""
    with av.open(str(path)) as container:
        frames = list(container.decode(video=0))
    return [
        (round(frame.time or 0.0, 3), round(float(frame.to_ndarray(format="gray").mean())),
         (frame.height, frame.width))
        for frame in frames
    ]  # fmt: skip


def test_a_clip_is_from_some_seconds_before_to_some_seconds_after(tmp_path: Path) -> None:
    recorder, clip = ClipRecorder(around=2), tmp_path / "a.mp4"
    for number in range(0, 120):
        add(recorder, number / FPS, grey(2 * number))
        if number == 40:
            recorder.begin(clip, 40 / FPS)
        if number == 65:
            recorder.end(60 / FPS)  # as it turns out a second later
    assert not recorder.recording
    found = decoded(clip)
    assert [seconds for seconds, _, _ in found] == pytest.approx([n / FPS for n in range(41)])
    assert [grey / 2 for _, grey, _ in found] == pytest.approx(list(range(30, 71)), abs=2)


def test_a_clip_begins_before_its_event_though_that_was_known_later(tmp_path: Path) -> None:
    recorder, clip = ClipRecorder(around=1, shortest=3), tmp_path / "a.mp4"
    for number in range(40):
        add(recorder, number / FPS, grey(2 * number))
    recorder.begin(clip, 25 / FPS)  # known at 39
    recorder.close()
    assert [grey / 2 for _, grey, _ in decoded(clip)] == pytest.approx(list(range(20, 40)), abs=2)


def test_a_clip_is_playable_while_it_is_written(tmp_path: Path) -> None:
    recorder, clip = ClipRecorder(around=1), tmp_path / "a.mp4"
    recorder.begin(clip, 0.0)
    for number in range(250):
        add(recorder, number / FPS, grey(number))
    assert len(decoded(clip)) >= 100  # and then the process is killed


def test_all_pictures_are_in_a_clip_that_ends_early(tmp_path: Path) -> None:
    recorder = ClipRecorder(around=10)
    for number in range(20):
        add(recorder, number / FPS, grey(number))
    recorder.begin(tmp_path / "a.mp4", 0.0)
    recorder.begin(tmp_path / "b.mp4", 0.0)  # takes over
    add(recorder, 20 / FPS, grey(20))
    recorder.close()
    assert [len(decoded(tmp_path / name)) for name in ("a.mp4", "b.mp4")] == [20, 1]


def test_a_change_of_size_and_odd_sides_keep_the_clip_playable(tmp_path: Path) -> None:
    recorder = ClipRecorder(around=2)
    recorder.begin(tmp_path / "a.mp4", 0.0)
    for number, size in enumerate([(47, 63), (47, 63), (96, 128), (47, 63)]):
        add(recorder, number / FPS, grey(10, *size))
    recorder.close()
    assert [size for _, _, size in decoded(tmp_path / "a.mp4")] == [(46, 62)] * 4


def test_large_pictures_take_little_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clips_module, "WAITING_BYTES", 400_000)
    recorder = ClipRecorder(around=1000)
    random = np.random.default_rng(0)
    for number in range(12):
        noise = random.integers(0, 256, (3, 540, 1920), dtype=np.uint8)
        add(recorder, number / FPS, noise)
    recorder.begin(tmp_path / "a.mp4", 0.0)
    recorder.close()
    found = decoded(tmp_path / "a.mp4")
    assert 1 <= len(found) < 12
    assert found[0][2] == (270, 960)


def test_a_torn_clip_of_a_killed_process_is_made_whole(tmp_path: Path) -> None:
    recorder, clip = ClipRecorder(around=1), tmp_path / "events" / "door-1.mp4"
    clip.parent.mkdir()
    recorder.begin(clip, 0.0)
    for number in range(100):
        add(recorder, number / FPS, grey(number))
    recorder.close()
    content, whole = clip.read_bytes(), decoded(clip)
    counts = []
    for size in [0, 3, 20, 1000, *range(2000, len(content), 701), len(content)]:
        clip.write_bytes(content[:size])
        files(tmp_path)
        found = decoded(clip) if clip.exists() else []
        assert found == whole[: len(found)]
        counts.append(len(found))
    assert counts == sorted(counts)
    assert len(set(counts)) > 3


@pytest.mark.parametrize("full_at", [0, 1, 30])
def test_a_full_disk_ends_a_clip_and_the_next_one_is_whole(full_at: int, small_disk: Path) -> None:
    found = files(small_disk)
    noise = [torch.randint(256, (3, 240, 320), dtype=torch.uint8).numpy() for _ in range(60)]
    filler = small_disk / "filler"

    def fill() -> None:
        disk = os.statvfs(small_disk)
        filler.write_bytes(bytes(disk.f_bavail * disk.f_frsize))

    if full_at == 0:
        fill()
    first = found.begin("door-1", 0.0)
    assert (first is None) == (full_at == 0)
    for number, picture in enumerate(noise, start=1):
        if number == full_at:
            fill()
        found.add(Moment(number, number / 25), picture, number / 25)
    filler.unlink()
    second = found.begin("door-2", 0.0)
    assert second
    for number, picture in enumerate(noise[:40], start=61):
        found.add(Moment(number, number / 25), picture, number / 25)
    found.close()
    assert len(decoded(Path(second))) > 40
    if full_at == 30:
        assert first
        assert len(decoded(Path(first))) >= 10


def files(folder: Path, *, days: float = 30, gigabytes: float = 1) -> EventFiles:
    return EventFiles(folder / "events", Keeping(True, 1.0, days, gigabytes))


def test_a_snapshot_is_the_picture_of_the_highest_peak_with_its_box(tmp_path: Path) -> None:
    found = files(tmp_path)
    assert found.snapshot("anomaly", "door-1") is None
    found.peak("anomaly", grey(40), (10, 10, 40, 30))
    path = found.snapshot("anomaly", "door-1")
    assert path == str(tmp_path / "events" / "door-1.jpg")
    found.peak("anomaly", grey(200), (10, 10, 40, 30))
    assert found.snapshot("anomaly", "door-1") == path == found.snapshot("anomaly", "door-1")
    picture = np.asarray(Image.open(path)).astype(int)
    assert picture.shape == (48, 64, 3)
    assert abs(picture[20, 25] - 200).max() < 10  # within the box
    yellow = picture[11:13, 20:30].mean(axis=(0, 1))
    assert yellow[0] > yellow[2] + 60


def test_files_that_are_old_or_need_much_space_are_removed(tmp_path: Path) -> None:
    folder = tmp_path / "events"
    folder.mkdir()
    for age, name in enumerate("abcde"):
        (folder / f"{name}.jpg").write_bytes(bytes(1000))
        day = time.time() - age * 24 * 3600 - 60
        os.utime(folder / f"{name}.jpg", (day, day))
    files(tmp_path, days=3.5).add(Moment(0, 0.0), grey(1), 0.0)
    assert sorted(path.stem for path in folder.iterdir()) == ["a", "b", "c", "d"]
    files(tmp_path, gigabytes=2500 / 1e9).begin("door-1", 0.0)
    assert sorted(path.stem for path in folder.iterdir()) == ["a", "b"]


def test_a_folder_that_cannot_be_written_is_one_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    found = files(tmp_path / "gone")
    for number in range(3):
        found.add(Moment(number, 1.0), grey(number), 1.0)
        found.peak("anomaly", grey(1), (1, 1, 20, 20))
        assert found.begin(f"door-{number}", 0.0) is None
        assert found.snapshot("anomaly", f"door-{number}") is None
    assert caplog.text.count("events: a picture or clip of an event cannot be written") == 1
    assert "(No such file" in caplog.text
    assert not (tmp_path / "gone").exists()
