"""A camera: a real stream over the network, which breaks off."""

import socket
import threading
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import av
import numpy as np
import pytest

from memguard.data.video import camera
from memguard.data.video.camera import Camera
from memguard.errors import DataError
from tests.conftest import moving_square


@pytest.fixture
def transport_stream(tmp_path: Path) -> bytes:
    """Sixty frames as cameras send them: MPEG-TS, which has no end."""
    path = tmp_path / "stream.ts"
    with av.open(str(path), "w", format="mpegts") as container:
        stream = container.add_stream("libx264", rate=25, options={"tune": "zerolatency"})
        stream.height, stream.width, stream.pix_fmt = 48, 64, "yuv420p"
        stream.codec_context.gop_size = 10
        for picture in moving_square(60):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode())
    return path.read_bytes()


class Server(threading.Thread):
    """Serves HTTP, and drops each connection after it has sent so much of the stream."""

    def __init__(self, stream: bytes) -> None:
        super().__init__(daemon=True)
        self.stream = stream
        self.connections = 0
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.socket.getsockname()[1]}/live.ts"

    def run(self) -> None:
        while True:
            try:
                connection, _ = self.socket.accept()
            except OSError:
                return
            with connection:
                self.connections += 1
                connection.recv(4096)
                connection.sendall(
                    b"HTTP/1.0 200 OK\r\nContent-Type: video/mp2t\r\n\r\n" + self.stream
                )

    def stop(self) -> None:
        self.socket.shutdown(socket.SHUT_RDWR)  # wakes it where it waits for a connection
        self.join()
        self.socket.close()


@pytest.fixture
def server(transport_stream: bytes) -> Iterator[Server]:
    running = Server(transport_stream)
    running.start()
    yield running
    if running.is_alive():
        running.stop()


def test_a_dropped_connection_is_made_again_and_the_numbers_go_on(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    pauses: list[float] = []
    monkeypatch.setattr(camera.time, "sleep", pauses.append)
    pictures = list(islice(Camera(server.url), 150))
    assert server.connections == 3
    assert [picture.first for picture in pictures] == list(range(150))
    assert pauses == [1, 1]  # as pictures came in between
    assert [n for n, picture in enumerate(pictures) if not picture.follows] == [0, 60, 120]
    seconds = [picture.seconds[0] for picture in pictures]
    assert seconds == sorted(seconds)
    difference = pictures[70].rgb[0].permute(1, 2, 0).numpy().astype(int) - moving_square(60)[10]
    assert np.abs(difference).mean() < 5


def test_pauses_grow_while_nobody_answers(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    pauses: list[float] = []

    def sleep(seconds: float) -> None:
        if server.is_alive():
            server.stop()
        pauses.append(seconds)
        if len(pauses) == 8:
            raise KeyboardInterrupt

    monkeypatch.setattr(camera.time, "sleep", sleep)
    pictures: list[object] = []
    with pytest.raises(KeyboardInterrupt):
        pictures.extend(Camera(server.url))
    assert pauses == [1, 2, 4, 8, 16, 30, 30, 30]


def test_an_unreachable_camera_is_reported() -> None:
    with socket.create_server(("127.0.0.1", 0)) as unused:
        url = f"http://127.0.0.1:{unused.getsockname()[1]}/live.ts"
    with pytest.raises(DataError, match=f"{url}: this stream cannot be opened"):
        Camera(url)


def test_a_missing_webcam_is_reported() -> None:
    with pytest.raises(DataError, match="/dev/video97"):
        Camera("97")
