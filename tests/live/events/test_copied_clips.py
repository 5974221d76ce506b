"""Clips of a camera's own encoded pictures: their bytes, at their times, from a key frame."""

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from memguard.data.video import encoded as encoded_module
from memguard.data.video.encoded import EncodedPicture, EncodedPictures, PictureFormat
from memguard.live.events.clips import ClipRecorder
from memguard.live.fragmented import remove_torn_fragment

FPS, KEY_EVERY = 10, 8
DAY = 86400.0
DARKEST = 40
TICK = Fraction(1, 1000)
RGB = np.zeros((3, 48, 64), np.uint8)  # is not looked at


def sent_by_a_camera(
    count: int, *, side: int = 48, b_frames: int = 0, apart: bool = False
) -> tuple[PictureFormat, list[EncodedPicture]]:
    """Encode pictures whose brightness is their number, with a key frame every eight.

    Args:
        count: The number of pictures.
        side: The height, pixels.
        b_frames: Pictures that are decoded after the next one.
        apart: Whether the sets of parameters are apart from the pictures.
    """
    context = av.CodecContext.create("libx264", "w")
    assert isinstance(context, av.VideoCodecContext)
    context.width, context.height, context.pix_fmt, context.time_base = 64, side, "yuv420p", TICK
    params = f"keyint={KEY_EVERY}:scenecut=0:bframes={b_frames}:b-adapt=0:open-gop=0"
    context.options = {"x264-params": params, "crf": "10"}
    if apart:
        context.flags |= 1 << 22  # AV_CODEC_FLAG_GLOBAL_HEADER
    packets: list[av.Packet[av.VideoStream]] = []
    for number in range(count):
        noise = np.random.default_rng(number).integers(-8, 9, (side * 3 // 2, 64))
        picture = (DARKEST + number + noise).astype(np.uint8)
        frame = av.VideoFrame.from_ndarray(picture, format="yuv420p")
        frame.pts, frame.time_base = 1000 * number // FPS, TICK
        packets += context.encode(frame)
    packets += context.encode()
    pictures = [
        EncodedPicture(
            bytes(packet), float(packet.pts * TICK), float((packet.pts - packet.dts) * TICK),
            packet.is_keyframe,
        )
        for packet in packets
        if packet.pts is not None and packet.dts is not None
    ]  # fmt: skip
    parameters = bytes(context.extradata or b"") if apart else b""
    return PictureFormat(side, 64, parameters), pictures


def shown(path: Path) -> list[tuple[float, int]]:
    """The time and the number of each picture of a clip, as a player shows them."""
    with av.open(str(path)) as container:
        frames = list(container.decode(video=0))
    first = frames[0].time or 0.0
    brightness = [frame.to_ndarray()[: frame.height].mean() - DARKEST for frame in frames]
    times = [round((frame.time or 0.0) - first, 3) for frame in frames]
    return [(time, round(value)) for time, value in zip(times, brightness, strict=True)]


def watch(
    recorder: ClipRecorder, held: EncodedPictures, pictures: Sequence[EncodedPicture]
) -> None:
    """Let each picture come and be scored, a day after the beginning of an earlier process."""
    for each in pictures:
        held.add([each])
        recorder.add(each.seconds + DAY, RGB, captured=each.seconds)


def times_of(numbers: Sequence[int]) -> list[tuple[float, int]]:
    return [(round((number - numbers[0]) / FPS, 3), number) for number in numbers]


@pytest.fixture
def held() -> EncodedPictures:
    return EncodedPictures(seconds=3.0)


@pytest.mark.parametrize(
    ("b_frames", "apart"), [(0, False), (0, True), (2, False)], ids=["plain", "apart", "b-frames"]
)
def test_a_clip_has_the_pictures_as_sent_from_a_key_frame_on(
    b_frames: int, apart: bool, held: EncodedPictures, tmp_path: Path
) -> None:
    picture_format, pictures = sent_by_a_camera(110, b_frames=b_frames, apart=apart)
    held.begin(picture_format)
    recorder, clip = ClipRecorder(around=1.0, sent=held), tmp_path / "a.mp4"
    watch(recorder, held, pictures[:61])
    recorder.begin(clip, DAY + 5.5)
    watch(recorder, held, pictures[61:75])
    recorder.end(DAY + 7.0)
    watch(recorder, held, pictures[75:])
    assert not recorder.recording
    found = shown(clip)
    assert found == times_of(range(40, 40 + len(found)))  # the key frame before 4.5 s
    assert abs(len(found) - 41) <= b_frames
    content = clip.read_bytes()
    assert all(each.content[-20:] in content for each in pictures[45:75])  # not encoded again


def test_a_clip_that_is_over_before_its_first_picture_is_none(
    held: EncodedPictures, tmp_path: Path
) -> None:
    picture_format, pictures = sent_by_a_camera(61)
    held.begin(picture_format)
    recorder, clip = ClipRecorder(around=1.0, sent=held), tmp_path / "a.mp4"
    watch(recorder, held, pictures)
    recorder.begin(clip, DAY + 5.5)
    recorder.end(DAY + 2.5)
    assert recorder.recording is None
    recorder.close()
    assert not clip.exists()


def test_after_a_loss_a_clip_goes_on_at_the_next_key_frame_at_its_time(
    held: EncodedPictures, tmp_path: Path
) -> None:
    picture_format, pictures = sent_by_a_camera(60)
    held.begin(picture_format)
    recorder = ClipRecorder(around=5.0, sent=held)
    watch(recorder, held, pictures[:19])
    recorder.begin(tmp_path / "a.mp4", DAY)
    held.lose()
    watch(recorder, held, pictures[20:])
    recorder.close()
    assert shown(tmp_path / "a.mp4") == times_of([*range(19), *range(24, 60)])


def test_a_clip_ends_with_its_connection_and_its_size(
    held: EncodedPictures, tmp_path: Path
) -> None:
    recorder = ClipRecorder(around=5.0, sent=held)
    for number, side in enumerate((48, 64)):
        picture_format, pictures = sent_by_a_camera(20, side=side)
        held.begin(picture_format)
        watch(recorder, held, pictures[:4])
        assert not recorder.recording
        recorder.begin(tmp_path / f"{number}.mp4", DAY + 0.3)
        watch(recorder, held, pictures[4:])
        assert recorder.recording
    recorder.close()
    assert shown(tmp_path / "0.mp4") == shown(tmp_path / "1.mp4") == times_of(range(20))


def test_pictures_are_encoded_where_the_camera_sends_none_to_copy(
    held: EncodedPictures, tmp_path: Path
) -> None:
    held.begin(None)
    recorder = ClipRecorder(around=5.0, sent=held)
    watch(recorder, held, sent_by_a_camera(12)[1])
    recorder.begin(tmp_path / "a.mp4", DAY + 1.0)
    recorder.close()
    assert shown(tmp_path / "a.mp4") == [(n / FPS, 16 - DARKEST) for n in range(12)]


def test_a_clip_that_a_kill_ends_is_playable_to_the_last_second(tmp_path: Path) -> None:
    held = EncodedPictures(seconds=10.0)
    picture_format, pictures = sent_by_a_camera(60)
    pictures = [each._replace(is_key=n == 0) for n, each in enumerate(pictures)]  # rare key frames
    held.begin(picture_format)
    recorder, clip = ClipRecorder(around=5.0, sent=held), tmp_path / "a.mp4"
    watch(recorder, held, pictures[:1])
    recorder.begin(clip, DAY)
    watch(recorder, held, pictures[1:])
    clip.write_bytes(clip.read_bytes() + b"\0\0\1\0moof")  # killed in a fragment
    remove_torn_fragment(clip)
    found = shown(clip)
    assert found == times_of(range(len(found)))
    assert len(found) >= 60 - FPS - 1


def test_memory_is_bounded_and_a_key_frame_is_the_first(
    held: EncodedPictures, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(encoded_module, "MOST_BYTES", 10_000)
    held.begin(PictureFormat(48, 64, b""))

    def send(numbers: Sequence[int], size: int) -> list[int]:
        held.add([EncodedPicture(bytes(size), n / FPS, 0.0, n % KEY_EVERY == 0) for n in numbers])
        place = held.at(0.0)
        taken = held.since(place) if place else None
        return [round(each.seconds * FPS) for each in taken[0]] if taken else []

    assert send(range(3, 100), 10) == list(range(64, 100))  # three seconds, from a key frame on
    assert send(range(100, 112), 1000) == list(range(104, 112))
    assert send(range(112, 116), 3000) == []  # not one key frame has room
    assert (held.format, held.available) == (None, False)


def test_pictures_whose_key_frames_are_rare_are_not_held(held: EncodedPictures) -> None:
    held.begin(PictureFormat(48, 64, b""))
    pictures = [EncodedPicture(b"picture", n / FPS, 0.0, n in (0, 25)) for n in range(60)]
    held.add(pictures[:55])
    assert held.available
    held.lose()
    held.add(pictures[57:])
    assert (held.format, held.available) == (None, False)


def test_a_picture_more_is_as_much_work_with_many_as_with_few() -> None:
    class Counted(EncodedPicture):
        looks = 0

        @property
        def is_key(self) -> bool:  # type: ignore[override]
            Counted.looks += 1
            return self.seconds % 20 == 0

    held = EncodedPictures(seconds=30.0)
    held.begin(PictureFormat(48, 64, b""))
    held.add([Counted(b"", n / 25, 0.0, True) for n in range(3000)])
    assert Counted.looks <= 3000 * 2
    place = held.at(90.0)
    assert place
    assert place.number == 80 * 25
