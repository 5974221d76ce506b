"""A camera: a real stream over the network, which breaks off, tears or repeats."""

import errno
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from datetime import datetime
from fractions import Fraction
from itertools import islice, takewhile
from pathlib import Path
from threading import Timer

import av
import numpy as np
import pytest

from memguard.data.video import camera as camera_module
from memguard.data.video import connection
from memguard.data.video.camera import Camera
from memguard.data.video.encoded import EncodedPictures
from memguard.data.video.stream import Interruption, Pictures
from memguard.errors import DataError
from tests.conftest import moving_square

TS_PACKET = 188


def encoded(path: Path, frames: np.ndarray, *, first: int = 0) -> bytes:
    """Write a stream with a key frame every ten frames, whose stamps begin at a frame's number."""
    with av.open(str(path), "w") as container:
        options = {"tune": "zerolatency", "x264-params": "scenecut=0"}
        stream = container.add_stream("libx264", rate=25, options=options)
        stream.height, stream.width, stream.pix_fmt = 48, 64, "yuv420p"
        stream.codec_context.gop_size = 10
        for number, picture in enumerate(frames, start=first):
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts, frame.time_base = number, Fraction(1, 25)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path.read_bytes()


def jpegs(frames: np.ndarray, scale: int = 1) -> list[bytes]:
    """Encode each frame as a JPEG, enlarged by a scale."""
    found = []
    with av.open("null", "w", format="null") as container:
        stream = container.add_stream("mjpeg", rate=25)
        stream.height, stream.width, stream.pix_fmt = 48 * scale, 64 * scale, "yuvj420p"
        for picture in frames:
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            found += [bytes(packet) for packet in stream.encode(frame)]
    return found


def part(jpeg: bytes) -> bytes:
    """Return the part of a multipart answer, as cameras send MJPEG."""
    head = b"--part\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n"
    return head % len(jpeg) + jpeg + b"\r\n"


@pytest.fixture
def transport_stream(tmp_path: Path) -> bytes:
    """Sixty frames as cameras send them: MPEG-TS, which has no end."""
    return encoded(tmp_path / "stream.ts", moving_square(60))


class Server(threading.Thread):
    """Serves files over HTTP; a file that grows between requests is a playlist.

    Attributes:
        files: Each file by its path; a list is sent part by part.
        length: The length that it declares of each file, if any.
        pause: Seconds between the parts of a list.
        connections: The number of requests so far.
    """

    def __init__(self, **files: bytes | Sequence[bytes]) -> None:
        super().__init__(daemon=True)
        self.files = {f"/{name.replace('_', '.')}": content for name, content in files.items()}
        self.length: int | None = None
        self.pause = 0.0
        self.connections = 0
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.place = f"http://127.0.0.1:{self.socket.getsockname()[1]}"
        self.start()

    def run(self) -> None:
        while True:
            try:
                connection, _ = self.socket.accept()
            except OSError:
                return
            threading.Thread(target=self.answer, args=(connection,), daemon=True).start()

    def answer(self, connection: socket.socket) -> None:
        with connection, suppress(OSError):
            self.connections += 1
            request = connection.recv(4096).split()
            path = request[1].decode() if request else ""
            length = "" if self.length is None else f"Content-Length: {self.length}\r\n"
            connection.sendall(f"HTTP/1.0 200 OK\r\n{length}\r\n".encode())
            content = self.files.get(path, b"")
            for part in [content] if isinstance(content, bytes) else content:
                connection.sendall(part)
                time.sleep(self.pause)

    def stop(self) -> None:
        if self.is_alive():
            self.socket.shutdown(socket.SHUT_RDWR)  # wakes it where it waits for a connection
            self.join()
            self.socket.close()


class Pauses(threading.Event):
    """Remembers the pauses of a camera instead of waiting; some end the test."""

    def __init__(self, most: int = 1000) -> None:
        super().__init__()
        self.waited: list[float] = []
        self.most = most

    def wait(self, timeout: float | None = None) -> bool:
        self.waited.append(timeout or 0)
        if len(self.waited) == self.most:
            self.set()
        return self.is_set()


def without_pauses(camera: Camera, most: int = 1000) -> list[float]:
    pauses = Pauses(most)
    camera._closed = pauses
    return pauses.waited


def numbers(pictures: Sequence[Pictures]) -> list[int]:
    """Return the numbers of the frames of the moving square, which moves a pixel a frame."""
    grounds = moving_square(60).astype(int)
    rgb = [picture.rgb[0].transpose(1, 2, 0) for picture in pictures]
    return [int(np.abs(grounds - each).mean((1, 2, 3)).argmin()) for each in rgb]


@pytest.fixture
def server(transport_stream: bytes) -> Iterator[Server]:
    running = Server(live_ts=transport_stream)
    yield running
    running.stop()


def test_a_dropped_connection_is_made_again_and_the_numbers_go_on(tmp_path: Path) -> None:
    content = encoded(tmp_path / "live.ts", moving_square(20))
    size = -(-len(content) // 20)
    server = Server(live_ts=[content[at : at + size] for at in range(0, len(content), size)])
    server.pause = 0.04
    camera = Camera(f"{server.place}/live.ts")
    pauses = without_pauses(camera)
    found = list(islice(camera, 52))
    pictures = [each for each in found if isinstance(each, Pictures)]
    outages = {at: each for at, each in enumerate(found) if isinstance(each, Interruption)}
    assert list(outages) == [20, 41]
    assert outages[20].seconds == pictures[19].seconds[0]
    assert server.connections == 3
    assert [picture.first for picture in pictures] == list(range(50))
    assert pauses == [1, 1]  # as pictures came in between
    assert [n for n, picture in enumerate(pictures) if not picture.follows] == [0, 20, 40]
    seconds = [picture.seconds[0] for picture in pictures]
    assert seconds == sorted(seconds)
    assert numbers(pictures) == [*range(20), *range(20), *range(10)]
    server.stop()


def test_pauses_grow_while_nobody_answers(server: Server) -> None:
    camera = Camera(f"{server.place}/live.ts")
    pauses = without_pauses(camera, most=8)
    found = []
    for each in camera:
        found.append(each)
        server.stop()
    assert pauses == [1, 2, 4, 8, 16, 30, 30, 30]
    assert [type(each) for each in found] == [Pictures] * 60 + [Interruption]


def test_a_camera_that_is_off_at_the_start_is_tried_again(
    transport_stream: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as unused:
        place = unused.getsockname()
    url = f"http://{place[0]}:{place[1]}/live.ts"
    camera = Camera(url)
    pauses = without_pauses(camera, most=3)
    assert list(camera) == [Interruption(0.0, "Connection refused")]
    assert pauses == [1, 2, 4]
    for message, pause in zip(caplog.messages, pauses, strict=True):
        assert message == (
            f"{url}: Connection refused; check that the camera is on, and its address; "
            f"connecting again in {pause} s"
        )


WRONG_ADDRESS = r"this stream cannot be opened \(.*\); check its address, user and password"
NO_WEBCAM = r"/dev/video97: this webcam cannot be opened \(No such file or directory\); connect it"
NO_FILE = r"this video file cannot be opened \({}\); correct its path, or copy it again"


@pytest.mark.parametrize(
    ("source", "sentence"),
    [
        ("97", NO_WEBCAM),
        ("{folder}/none.mp4", NO_FILE.format("No such file or directory")),
        ("{folder}/empty.mp4", NO_FILE.format("Invalid data found when processing input")),
        ("{folder}", NO_FILE.format("Is a directory")),
        ("file:///none.mp4", WRONG_ADDRESS),
        ("nothing://door/1", WRONG_ADDRESS),
        ("http://door:99999999/1", WRONG_ADDRESS),
        ("http://{place}/rubbish", WRONG_ADDRESS),
    ],
)
def test_a_source_that_cannot_work_is_an_error_at_once(
    source: str, sentence: str, tmp_path: Path
) -> None:
    (tmp_path / "empty.mp4").touch()
    server = Server(rubbish=b"This is no video. " * 999)
    server.length = 18 * 999
    source = source.format(place=server.place.removeprefix("http://"), folder=tmp_path)
    with pytest.raises(DataError, match=sentence):
        list(Camera(source))
    server.stop()


def test_messages_have_the_name_of_a_camera_and_no_password(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as unused:
        host, port = unused.getsockname()
    camera = Camera(f"http://admin:s3cret@{host}:{port}/live.ts", name="door")
    without_pauses(camera, most=1)
    list(camera)
    (message,) = caplog.messages
    assert message.startswith(f"door (http://***@{host}:{port}/live.ts): Connection refused; ")


NAMELESS = """
import sys
from memguard.data.video.camera import Camera

for item in Camera(sys.argv[1]):
    print(type(item).__name__, getattr(item, "reason", ""), flush=True)
"""


def test_a_name_that_does_not_resolve_is_tried_until_it_does(
    server: Server, tmp_path: Path
) -> None:
    names, resolver = tmp_path / "hosts", tmp_path / "resolv.conf"
    names.write_text("127.0.0.1 localhost\n")
    resolver.write_text("nameserver 127.0.0.1\n")  # where nobody answers
    mounted = f"mount --bind {names} /etc/hosts && mount --bind {resolver} /etc/resolv.conf"
    own = ["unshare", "--mount", "sh", "-c"]
    if os.geteuid() != 0 or subprocess.run([*own, mounted], check=False).returncode:
        pytest.skip("only root may change how names resolve")
    url = server.place.replace("127.0.0.1", "door.test") + "/live.ts"
    process = subprocess.Popen(
        [*own, f'{mounted} && exec "$0" "$@"', sys.executable, "-c", NAMELESS, url],
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
    )  # fmt: skip
    try:
        assert process.stdout
        assert process.stdout.readline() == "Interruption its host name does not resolve\n"
        names.write_text("127.0.0.1 localhost door.test\n")
        assert process.stdout.readline() == "Pictures \n"
    finally:
        process.kill()
        process.communicate()


@pytest.mark.parametrize("scheme", ["http", "rtsp"])
def test_a_camera_that_never_answers_is_no_wrong_address(
    scheme: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "CONNECT_SECONDS", 0.3)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        camera = Camera(f"{scheme}://127.0.0.1:{silent.getsockname()[1]}/live.ts")
        without_pauses(camera, most=1)
        assert list(camera) == [Interruption(0.0, "no answer for 0 s")]


def test_a_picture_has_the_time_of_day_of_its_capture(tmp_path: Path) -> None:
    content = encoded(tmp_path / "live.ts", moving_square(40))
    size = -(-len(content) // 40)
    server = Server(live_ts=[content[at : at + size] for at in range(0, len(content), size)])
    server.pause = 0.04
    began = datetime.now().astimezone()
    pictures = [
        each for each in islice(Camera(f"{server.place}/live.ts"), 38) if isinstance(each, Pictures)
    ]
    assert (datetime.now().astimezone() - began).total_seconds() > 1.4  # all measured the rate
    since = [(each.times[0] - began).total_seconds() for each in pictures if each.times]
    assert since[0] < 0.7
    seconds = [each.seconds[0] for each in pictures]
    assert np.diff(since) == pytest.approx(np.diff(seconds), abs=0.01)
    server.stop()


def test_a_camera_that_sends_more_than_the_model_knows_is_thinned(server: Server) -> None:
    camera = Camera(f"{server.place}/live.ts", fps=5)
    pictures = [each for each in islice(camera, 11) if isinstance(each, Pictures)]
    assert camera.fps == 5
    assert numbers(pictures) == list(range(0, 55, 5))
    assert [picture.first for picture in pictures] == list(range(11))
    gaps = np.diff([picture.seconds[0] for picture in pictures])
    assert gaps == pytest.approx(np.full(10, 0.2), abs=1e-3)
    assert [picture.follows for picture in pictures] == [False] + [True] * 10


@pytest.mark.parametrize("at_once", [1, 24])
def test_the_rate_of_mjpeg_is_measured_after_what_comes_at_once(at_once: int) -> None:
    parts = [part(jpeg) for jpeg in jpegs(moving_square(60))]
    server = Server(video_mjpg=[b"".join(parts[:at_once]), *parts[at_once:]])
    server.pause = 0.1
    camera = Camera(f"{server.place}/video.mjpg")
    pictures = [each for each in islice(camera, at_once + 24) if isinstance(each, Pictures)]
    assert camera.fps == pytest.approx(10, rel=0.1)
    gaps = np.diff([picture.seconds[0] for picture in pictures[at_once:]])
    assert gaps == pytest.approx(np.full(23, 0.1), abs=0.05)
    assert all(picture.follows for picture in pictures[1:])
    server.stop()


@pytest.mark.parametrize("share", [0.2, 0.9])
def test_a_part_of_a_jpeg_is_torn_and_a_new_size_is_not(share: float) -> None:
    small, large = jpegs(moving_square(60)), jpegs(moving_square(60), scale=4)
    sent = [*small[:20], large[20][: int(share * len(large[20]))], *large[21:60]]
    server = Server(video_mjpg=[part(jpeg) for jpeg in sent])
    camera = Camera(f"{server.place}/video.mjpg")
    without_pauses(camera, most=1)
    pictures = [each for each in camera if isinstance(each, Pictures)]
    assert [picture.rgb.shape[2] for picture in pictures] == [48] * 20 + [192] * 39
    assert camera.torn == 1
    server.stop()


def test_torn_pictures_are_counted_and_not_scored(
    transport_stream: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    packets = [
        transport_stream[at : at + TS_PACKET] for at in range(0, len(transport_stream), TS_PACKET)
    ]
    lost = len(packets) // 2
    server = Server(live_ts=b"".join(packets[:lost] + packets[lost + 2 :]))
    camera = Camera(f"{server.place}/live.ts")
    without_pauses(camera, most=1)
    pictures = [each for each in camera if isinstance(each, Pictures)]
    shown = numbers(pictures)
    missing = sorted({*range(60)} - {*shown})
    assert 0 < len(missing) <= 10
    assert missing[-1] % 10 == 9  # up to the next key frame
    assert shown == sorted({*range(60)} - {*missing})
    assert [n for n, picture in enumerate(pictures) if not picture.follows] == [0, missing[0]]
    assert 0 < camera.torn <= len(missing)
    assert "torn picture" in caplog.text
    server.stop()


def test_encoded_pictures_have_the_times_of_the_decoded_ones_and_none_is_torn(
    transport_stream: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Stamps alone: the live clock also follows the arrivals, which a busy machine delays.
    monkeypatch.setattr(connection, "LiveClock", lambda: lambda stamp, _at: stamp)
    lost = TS_PACKET * (len(transport_stream) // TS_PACKET // 2)
    content = transport_stream[:lost] + transport_stream[lost + 2 * TS_PACKET :]
    size = -(-len(content) // 60)
    server = Server(live_ts=[content[at : at + size] for at in range(0, len(content), size)])
    server.pause = 1 / 25
    sent = EncodedPictures(seconds=60.0)
    camera = Camera(f"{server.place}/live.ts", fps=5, sent=sent)
    until_the_outage = takewhile(lambda item: isinstance(item, Pictures), camera)
    pictures = [each for each in until_the_outage if isinstance(each, Pictures)]
    server.stop()
    assert len(pictures) <= 13  # every fifth, and the first after the loss
    place = sent.at(0.0)
    assert place
    assert place.format[:2] == (48, 64)
    held, _ = sent.since(place) or ([], place)
    assert 50 <= len(held) < 60
    assert [each.is_key for each in held].count(True) == 6
    times = [each.seconds for each in held]
    assert {round(picture.seconds[0], 3) for picture in pictures} <= {round(t, 3) for t in times}
    gaps = np.diff(times)
    tear = int(gaps.argmax())
    assert held[tear + 1].is_key
    assert gaps[tear] == pytest.approx((61 - len(held)) / 25, abs=1e-3)
    assert np.delete(gaps, tear) == pytest.approx(np.full(len(gaps) - 1, 1 / 25), abs=1e-3)


def test_encoded_pictures_of_another_kind_are_not_held(tmp_path: Path) -> None:
    film = encoded(tmp_path / "film.mkv", moving_square(60))
    mjpeg = [part(jpeg) for jpeg in jpegs(moving_square(60))]
    server = Server(film_mkv=film, video_mjpg=mjpeg)
    for name in ("film.mkv", "video.mjpg"):
        server.length = len(film) if name == "film.mkv" else None
        sent = EncodedPictures(seconds=60.0)
        camera = Camera(f"{server.place}/{name}", sent=sent)
        without_pauses(camera, most=1)
        assert len([each for each in camera if isinstance(each, Pictures)]) == 60
        assert not sent.available
    server.stop()


@pytest.mark.parametrize(
    ("address", "hint"),
    [
        ("rtsp://u:p%40s@door/1", ""),
        ("rtsp://u:p@s/w@door/1", "; in a password write @ as %40 and"),
    ],
)
def test_a_password_that_hides_the_host_is_hinted_at(
    address: str, hint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise av.OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(av, "open", refuse)
    monkeypatch.setattr(connection, "_resolves", lambda _: False)
    with pytest.raises(av.OSError) as error:
        connection._opened(address)
    assert str(error.value.strerror).startswith(f"its host name does not resolve{hint}")
    assert (error.value.strerror == "its host name does not resolve") == (not hint)


def test_a_film_that_breaks_off_is_an_error_and_no_picture_comes_twice(tmp_path: Path) -> None:
    film = encoded(tmp_path / "film.mkv", moving_square(60))
    server = Server(film_mkv=film[: len(film) // 2])
    server.length = len(film)
    found: list[Pictures | Interruption] = []
    with pytest.raises(DataError, match=r"film\.mkv: this recording breaks off after \d+ pictures"):
        found.extend(Camera(f"{server.place}/film.mkv"))
    shown = numbers([each for each in found if isinstance(each, Pictures)])
    assert 10 < len(shown) < 50
    assert shown == list(range(len(shown)))
    server.stop()


def test_a_whole_film_ends_and_has_its_own_times(tmp_path: Path) -> None:
    film = encoded(tmp_path / "film.mkv", moving_square(60))
    server = Server(film_mkv=film)
    server.length = len(film)
    camera = Camera(f"{server.place}/film.mkv", fps=5)
    pictures = [each for each in camera if isinstance(each, Pictures)]
    assert numbers(pictures) == list(range(60))  # it is not thinned
    assert not any(picture.times for picture in pictures)
    seconds = [picture.seconds[0] for picture in pictures]
    assert seconds == pytest.approx([n / 25 for n in range(60)], abs=1e-3)
    assert camera.is_film
    server.stop()


def playlist(*segments: str, first: int = 0) -> bytes:
    lines = ["#EXTM3U", "#EXT-X-TARGETDURATION:1", f"#EXT-X-MEDIA-SEQUENCE:{first}"]
    return "\n".join([*lines, *(f"#EXTINF:0.8,\n{name}" for name in segments), ""]).encode()


def test_a_playlist_whose_sender_died_is_not_shown_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "READ_SECONDS", 0.5)
    monkeypatch.setattr(camera_module, "PAUSES", (0.1,))
    square = moving_square(60)
    a, b, c = (
        encoded(tmp_path / f"{n}.ts", square[20 * n : 20 * n + 20], first=20 * n) for n in range(3)
    )
    server = Server(a_ts=a, b_ts=b, c_ts=c, live_m3u8=playlist("a.ts", "b.ts"))
    camera, found = Camera(f"{server.place}/live.m3u8"), []
    began = time.monotonic()
    for each in camera:
        found.append(each)
        if isinstance(each, Interruption):  # its sender comes back after three attempts
            longer = {"/live.m3u8": playlist("a.ts", "b.ts", "c.ts")}
            Timer(2.0, server.files.update, [longer]).start()
        if len(found) == 61 or time.monotonic() - began > 30:
            break
    pictures = [each for each in found if isinstance(each, Pictures)]
    assert isinstance(found[40], Interruption)
    assert numbers(pictures) == list(range(60))
    assert [n for n, picture in enumerate(pictures) if not picture.follows] == [0, 40]
    seconds = [picture.seconds[0] for picture in pictures]
    assert np.diff(seconds[:40]) == pytest.approx(np.full(39, 0.04), abs=1e-3)
    assert seconds[39] == pytest.approx(39 * 0.04, abs=0.3)  # not all at once
    assert time.monotonic() - began > 2
    server.stop()
