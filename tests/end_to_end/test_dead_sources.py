"""Cameras that do not answer: the others are watched, and SIGTERM ends the process at once."""

import json
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import pytest
import yaml

HOST = "127.0.0.1"


@contextmanager
def silent() -> Iterator[int]:
    """Yield the port of a server whose connections are never answered."""
    with socket.create_server((HOST, 0)) as server:
        yield server.getsockname()[1]


@contextmanager
def unreachable() -> Iterator[int]:
    """Yield the port of a server so busy that a connection to it is never made."""
    with ExitStack() as stack:
        server = stack.enter_context(socket.socket())
        server.bind((HOST, 0))
        server.listen(0)
        for _ in range(2):  # these have all the room
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            with suppress(BlockingIOError):
                waiting.connect(server.getsockname())
        yield server.getsockname()[1]


@contextmanager
def frozen(folder: Path) -> Iterator[int]:
    """Yield the port of a server process that SIGSTOP has frozen."""
    command = [sys.executable, "-u", "-m", "http.server", "0", "--bind", HOST]
    server = subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, text=True)
    assert server.stdout
    port = int(server.stdout.readline().split()[5])
    server.send_signal(signal.SIGSTOP)
    try:
        yield port
    finally:
        server.kill()
        server.communicate()


@pytest.fixture
def dead(tmp_path: Path) -> Iterator[dict[str, str]]:
    """The address of a camera for each way of being dead."""
    with silent() as never, unreachable() as full, frozen(tmp_path) as stopped:
        yield {
            "http": f"http://{HOST}:{never}/live.ts",
            "hls": f"http://{HOST}:{never}/live.m3u8",
            "rtsp": f"rtsp://{HOST}:{never}/live",
            "opening": f"rtsp://{HOST}:{full}/live",
            "frozen": f"http://{HOST}:{stopped}/live.m3u8",
            "nameless": "rtsp://no.such.host.invalid/live",
            "off": f"rtsp://{HOST}:9/live",
        }


def test_sigterm_ends_the_process_beside_dead_cameras_and_a_dead_receiver(
    dead: dict[str, str], checkpoint: Path, tmp_path: Path
) -> None:
    cameras = tmp_path / "cameras.yaml"
    cameras.write_text(yaml.safe_dump({name: {"source": source} for name, source in dead.items()}))
    process = subprocess.Popen(
        [
            sys.executable, "-m", "memguard.watch", f"cameras={cameras}", "folder=watch",
            f"checkpoint={checkpoint}", f"notify.webhook={dead['http']}", "notify.cooldown=0",
        ],
        cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    off = tmp_path / "watch" / "off" / "events.jsonl"
    until = time.monotonic() + 120
    while not off.exists() or not list(tmp_path.glob("watch/notifications/*/*/*.json")):
        assert process.poll() is None
        assert time.monotonic() < until
        time.sleep(0.1)
    time.sleep(1)  # a connection to each is being made
    began = time.monotonic()
    process.send_signal(signal.SIGTERM)
    said = process.communicate(timeout=60)[0]
    assert time.monotonic() - began < 2, said  # half a second of them for the receiver
    assert process.returncode == 0, said
    assert "Traceback" not in said
    (report,) = [json.loads(line) for line in off.open()]
    assert (report["kind"], report["state"]) == ("outage", "begin")
    waiting = next(tmp_path.glob("watch/notifications/*/*/*.json"))
    assert json.loads(waiting.read_text())["kind"] == "outage"
