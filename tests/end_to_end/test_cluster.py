"""Cameras shared over two nodes of a Ray cluster; one of them is killed."""

import io
import json
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest
import yaml
from PIL import Image

from tests.conftest import moving_square

NAMES = ("door", "gate", "yard")
NODE = {"num_cpus": 1, "object_store_memory": 80_000_000}


def jpeg(picture: Any) -> bytes:
    target = io.BytesIO()
    Image.fromarray(picture).save(target, "JPEG")
    return target.getvalue()


class Answer(BaseHTTPRequestHandler):
    """Sends MJPEG at 25 frames a second, without end."""

    pictures = tuple(map(jpeg, moving_square(50)))

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
        self.end_headers()
        with suppress(OSError):
            while True:
                for picture in self.pictures:
                    head = "--frame\r\nContent-Type: image/jpeg\r\n"
                    head += f"Content-Length: {len(picture)}\r\n\r\n"
                    self.wfile.write(head.encode() + picture + b"\r\n")
                    time.sleep(1 / 25)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def url() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Answer)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}/video.mjpeg"
    server.shutdown()
    server.server_close()


def watched(page: int) -> dict[str, tuple[str, int]]:
    """Give the cameras that are watched now, each since when and with its scored frames."""
    with suppress(OSError), urlopen(f"http://127.0.0.1:{page}/api/cameras", timeout=5) as answer:
        return {
            camera["name"]: (camera["since"], camera["frames"])
            for camera in json.load(answer)
            if camera["state"] == "watching" and camera["frames"]
        }
    return {}


def wait_until(reached: Callable[[], bool], process: "subprocess.Popen[str]") -> None:
    until = time.monotonic() + 240
    while not reached():
        if time.monotonic() > until or process.poll() is not None:
            process.kill()
            pytest.fail(process.communicate()[0])
        time.sleep(0.5)


def test_a_cluster_shares_the_cameras_and_replaces_a_node_that_dies(
    checkpoint: Path, url: str, tmp_path: Path
) -> None:
    cluster_utils = pytest.importorskip("ray.cluster_utils")
    own = {"source": url, "checkpoint": str(checkpoint), "conditions": False}
    (tmp_path / "cameras.yaml").write_text(yaml.safe_dump(dict.fromkeys(NAMES, own)))
    with socket.create_server(("127.0.0.1", 0)) as unused:
        page = unused.getsockname()[1]
    cluster = cluster_utils.Cluster(initialize_head=True, head_node_args=NODE)
    second = cluster.add_node(**NODE)
    process = subprocess.Popen(
        [
            sys.executable, "-m", "memguard.watch", "cameras=cameras.yaml", "folder=watch",
            f"serve=127.0.0.1:{page}", f"ray.address={cluster.address}",
        ],
        cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    try:
        wait_until(lambda: set(watched(page)) == set(NAMES), process)
        before = watched(page)
        cluster.remove_node(second, allow_graceful=False)

        def is_replaced() -> bool:
            now = watched(page)
            begun = [name for name, (since, _) in now.items() if since > before[name][0]]
            return set(now) == set(NAMES) and begun != []

        wait_until(is_replaced, process)
        process.send_signal(signal.SIGTERM)
        said = process.communicate(timeout=60)[0]
    finally:
        process.kill()
        cluster.shutdown()
    assert process.returncode == 0, said
    assert "2 nodes of the cluster share the cameras" in said
    assert all((tmp_path / "watch" / name / "items.npz").exists() for name in NAMES)


def test_a_cluster_that_is_not_there_is_a_sentence(checkpoint: Path, tmp_path: Path) -> None:
    pytest.importorskip("ray")
    own = {"source": "door.mp4", "checkpoint": str(checkpoint)}
    (tmp_path / "cameras.yaml").write_text(yaml.safe_dump({"door": own}))
    done = subprocess.run(
        [
            sys.executable, "-m", "memguard.watch", "cameras=cameras.yaml", "folder=watch",
            "ray.address=127.0.0.1:1",
        ],
        cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith("ray.address=127.0.0.1:1: there is no cluster")
    assert "Traceback" not in done.stderr
