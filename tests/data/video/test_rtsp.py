"""Cameras and recordings over RTSP, from a real server that freezes, dies and comes back."""

import signal
import socket
import subprocess
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from threading import Timer

import pytest

from memguard.data.video import camera as camera_module
from memguard.data.video import connection
from memguard.data.video.camera import Camera
from memguard.data.video.stream import Interruption, Pictures
from memguard.errors import DataError
from tests.conftest import moving_square
from tests.data.video.test_camera import encoded, numbers

# Debian's Python has the bindings of GStreamer.
PYTHON = "/usr/bin/python3"
SERVE = """
import sys, gi
gi.require_version("Gst", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import GLib, Gst, GstRtspServer

Gst.init(None)
server, factory = GstRtspServer.RTSPServer(), GstRtspServer.RTSPMediaFactory()
server.set_address("127.0.0.1")
server.set_service(sys.argv[1])
factory.set_launch(sys.argv[2])
server.get_mount_points().add_factory("/live", factory)
assert server.attach(None)
print("ready", flush=True)
GLib.MainLoop().run()
"""
RECORDING = "( filesrc location={} ! matroskademux ! h264parse ! rtph264pay name=pay0 )"
LIVE = (
    "( videotestsrc is-live=true ! video/x-raw,width={},height=48,framerate=25/1 "
    "! x264enc tune=zerolatency key-int-max=5 ! rtph264pay name=pay0 config-interval=1 )"
)

Serve = Callable[[str], "subprocess.Popen[str]"]


@pytest.fixture
def url() -> str:
    with socket.create_server(("127.0.0.1", 0)) as unused:
        return f"rtsp://127.0.0.1:{unused.getsockname()[1]}/live"


@pytest.fixture
def serve(url: str) -> Iterator[Serve]:
    """Start a server process of what GStreamer's words describe."""
    started: list[subprocess.Popen[str]] = []

    def start(words: str) -> "subprocess.Popen[str]":
        port = url.rpartition(":")[2].partition("/")[0]
        process = subprocess.Popen(
            [PYTHON, "-c", SERVE, port, words],
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
        )  # fmt: skip
        started.append(process)
        assert process.stdout
        if process.stdout.readline() != "ready\n":
            pytest.skip("Debian's python3-gi and gir1.2-gst-rtsp-server-1.0 are not installed")
        return process

    if not Path(PYTHON).exists():
        pytest.skip(f"there is no {PYTHON}")
    yield start
    for process in started:
        process.kill()
        process.communicate()


def test_a_recording_is_whole_and_one_whose_server_is_killed_is_an_error(
    serve: Serve, url: str, tmp_path: Path
) -> None:
    encoded(tmp_path / "film.mkv", moving_square(60))
    server = serve(RECORDING.format(tmp_path / "film.mkv"))
    pictures = [each for each in Camera(url) if isinstance(each, Pictures)]
    assert numbers(pictures) == list(range(60))
    Timer(0.7, server.kill).start()
    with pytest.raises(DataError, match=r"live: this recording breaks off after \d+ pictures"):
        list(Camera(url))


def test_a_stream_with_a_duration_that_stalls_is_a_camera_and_opened_again(
    serve: Serve, url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "READ_SECONDS", 1.0)
    monkeypatch.setattr(camera_module, "PAUSES", (0.1,))
    encoded(tmp_path / "film.mkv", moving_square(60))
    server = serve(RECORDING.format(tmp_path / "film.mkv"))
    Timer(0.7, server.send_signal, [signal.SIGSTOP]).start()
    received = iter(Camera(url))
    (stalled,) = islice((each for each in received if isinstance(each, Interruption)), 1)
    assert stalled.reason == "no picture for 1 s"
    server.send_signal(signal.SIGCONT)
    assert isinstance(next(received), Pictures)


def test_a_camera_that_freezes_dies_and_comes_back_larger_is_watched_again(
    serve: Serve, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "READ_SECONDS", 1.0)
    monkeypatch.setattr(camera_module, "PAUSES", (0.1,))
    server = serve(LIVE.format(64))
    camera = Camera(url)
    received = iter(camera)

    def until_the_outage() -> tuple[list[Pictures], str]:
        pictures = []
        while not isinstance(item := next(received), Interruption):
            pictures.append(item)
        return pictures, item.reason

    first = next(received)
    server.send_signal(signal.SIGSTOP)
    rest, reason = until_the_outage()
    assert reason == "no picture for 1 s"
    server.send_signal(signal.SIGCONT)
    second = next(received)
    server.kill()
    more, _ = until_the_outage()
    serve(LIVE.format(96))
    third = next(received)
    camera.close()
    pictures = [first, *rest, second, *more, third]
    assert all(isinstance(picture, Pictures) for picture in pictures)
    assert [picture.first for picture in pictures] == list(range(len(pictures)))
    assert [picture.rgb.shape[3] for picture in (first, second, third)] == [64, 64, 96]
    assert [picture.follows for picture in (first, second, third)] == [False] * 3
