"""Cameras as users name them, with a password that nobody else may read."""

import base64
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import quote, unquote

import av
import pytest

from tests.conftest import moving_square
from tests.end_to_end.conftest import run_together

USER, PASSWORD, KEY = "Wärter", "Geheim{(#$,:=\"'Wort", "Schlüssel"
BITS = ("Geheim", "Wort", "Schl", quote(PASSWORD), base64.b64encode(PASSWORD.encode()).decode())


def film(folder: Path, kind: str) -> bytes:
    """Forty frames; only Matroska says how many."""
    path = folder / f"film.{kind}"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25, options={"tune": "zerolatency"})
        stream.height, stream.width, stream.pix_fmt = 48, 64, "yuv420p"
        for picture in moving_square(40):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode())
    return path.read_bytes()


class Camera(ThreadingHTTPServer):
    """Serves a film that ends and a stream that breaks off to who knows user and password."""

    def __init__(self, folder: Path) -> None:
        self.films = {"/film.mkv": film(folder, "mkv"), "/live.ts": film(folder, "ts")}
        super().__init__(("127.0.0.1", 0), Answer)

    @property
    def place(self) -> str:
        return f"127.0.0.1:{self.server_address[1]}"


class Answer(BaseHTTPRequestHandler):
    server: Camera

    def do_GET(self) -> None:
        _, _, token = self.headers.get("Authorization", "").partition(" ")
        path, _, query = self.path.partition("?")
        if base64.b64decode(token).decode() != f"{USER}:{PASSWORD}" or KEY not in unquote(query):
            self.send_response(401)
            self.send_header("WWW-Authenticate", 'Basic realm="door"')
            self.end_headers()
            return
        film = self.server.films[path]
        self.send_response(200)
        if path.endswith("mkv"):  # else nobody knows where it ends
            self.send_header("Content-Length", str(len(film)))
        self.end_headers()
        self.wfile.write(film)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def camera(tmp_path: Path) -> Iterator[Camera]:
    server = Camera(tmp_path)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def require_secret(folder: Path, *said: str) -> None:
    """Make sure that no file, nor name of one, nor stream has a part of what is secret."""
    for path in folder.rglob("*"):
        content = path.read_bytes() if path.is_file() else b""
        for bit in BITS:
            assert bit not in str(path.relative_to(folder))
            assert bit.encode() not in content, path
    for bit in BITS:
        assert all(bit not in text for text in said)


def test_a_password_is_in_no_file_and_no_message(
    camera: Camera, checkpoint: Path, tmp_path: Path
) -> None:
    url = f"http://{USER}:{PASSWORD}@{camera.place}/film.mkv?key={KEY}"
    wrong = f"http://{USER}:{PASSWORD}2@{camera.place}/film.mkv?key={KEY}&channel=1"
    (tmp_path / "door.url").write_text(url)
    (tmp_path / "broken.ckpt").write_bytes(b"no checkpoint")
    work, model = tmp_path / "work", f"checkpoint={checkpoint}"
    quoted = '"' + url.replace('"', r"\"") + '"'
    several = f"video={quoted},'{tmp_path}/none.mp4'", "hydra/launcher=joblib"
    typed, by_variable, by_file, denied, broken, typo, strange, sweep = run_together(
        work, "score",
        [model, f"video={url}", "annotate=true"],
        [model, "video=${oc.env:DOOR}"],
        [model, f"video=@{tmp_path}/door.url"],
        [model, f"video={wrong}"],
        [f"checkpoint={tmp_path}/broken.ckpt", f"video={url}"],
        [model, f"video={url}", "alarm.false_per_our=1"],
        [model, f"vidoe={url}"],
        ["-m", model, *several, "hydra.launcher.n_jobs=1"],
        variables={"DOOR": url, "HYDRA_FULL_ERROR": "1"},
    )  # fmt: skip
    for ended in (typed, by_variable, by_file):
        assert ended.status == 0, ended.said
        assert "camera" in ended.said
    assert f"http://***@{camera.place}/film.mkv?channel=1&***: this stream cannot" in denied.said
    assert "401" in denied.said
    assert "broken.ckpt" in broken.said
    assert "alarm.false_per_our" in typo.said
    assert "vidoe" in strange.said
    assert "none.mp4: there is no such file" in sweep.said
    failed = denied, broken, typo, strange, sweep
    assert [ended.status for ended in failed] == [1] * 5
    found = [json.loads(path.read_text()) for path in work.rglob("events.json")]
    assert [(one["ended"], one["frames"]) for one in found] == [("whole", 36)] * 4
    require_secret(work, *(ended.said for ended in (typed, by_variable, by_file, *failed)))


def test_a_password_is_in_nothing_that_an_interrupted_watch_leaves(
    camera: Camera, checkpoint: Path, tmp_path: Path
) -> None:
    work = tmp_path / "work"
    work.mkdir()
    url = f"http://{USER}:{PASSWORD}@{camera.place}/live.ts?key={KEY}"
    process = subprocess.Popen(
        [sys.executable, "-m", "memguard.score", f"checkpoint={checkpoint}", f"video={url}"],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=work,
    )  # fmt: skip
    logs: list[Path] = []
    while process.poll() is None and not any("again" in log.read_text() for log in logs):
        time.sleep(0.05)
        logs = list(work.glob("runs/score/*/score.log"))
    os.kill(process.pid, signal.SIGINT)
    said, _ = process.communicate(timeout=60)
    assert process.returncode == 0, said
    assert f"http://***@{camera.place}/live.ts?***: " in said
    assert "; connecting again in 1 s" in said
    require_secret(work, said)
