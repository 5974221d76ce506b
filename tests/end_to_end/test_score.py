"""Watching one's own video, as users type it, on small real files and a real stream."""

import csv
import errno
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import torch
from omegaconf import OmegaConf
from PIL import Image

import memguard
from memguard.config.schema import ScoreSettings
from memguard.config.validation import validate_by
from memguard.data.video.stream import VideoStream
from memguard.errors import CheckpointError, ConfigError, DataError
from memguard.live import recording
from memguard.live.scorer import load
from memguard.report.table import Table
from memguard.training.checkpoints import CONFIG_KEY
from tests.conftest import moving_square, write_video
from tests.end_to_end.conftest import run_command


def run(module: str, *overrides: str, folder: Path) -> "subprocess.CompletedProcess[str]":
    return run_command(module, *overrides, f"hydra.run.dir={folder}", folder=folder)


def flicker(frames: int, *, between: range) -> np.ndarray:
    """The square goes slowly, and for some frames a part of the picture flickers."""
    clip = moving_square(frames, seed=3)
    for number in between:
        clip[number, 30:48, 32:44] = 255 * (number % 2)
    return clip


def rows_of(folder: Path) -> list[dict[str, str]]:
    with (folder / "scores.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def events_of(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "events.json").read_text())


def reports_of(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "events.jsonl").read_text().splitlines()]


def test_videos_that_processes_share_get_the_scores_that_one_gives_them(
    checkpoint: Path, tmp_path: Path
) -> None:
    pytest.importorskip("hydra_plugins.hydra_joblib_launcher")
    videos = [
        write_video(tmp_path / "door" / f"{name}.mp4", flicker(40, between=between))
        for name, between in {"a": range(20, 30), "b": range(30, 35)}.items()
    ]
    common = f"checkpoint={checkpoint}", "guard.scope=video"
    assert run("score", *common, f"video={tmp_path}/door", folder=tmp_path / "one").returncode == 0
    sweep = tmp_path / "several"
    done = run(
        "score", "-m", *common, f"video={videos[0]},{tmp_path}/none.mp4,{videos[1]}",
        "hydra/launcher=joblib", "hydra.launcher.n_jobs=2", f"hydra.sweep.dir={sweep}",
        folder=tmp_path / "unused",
    )  # fmt: skip
    assert done.returncode == 1
    assert "none.mp4: there is no such file" in done.stderr
    assert {path.name for path in sweep.iterdir()} == {"0", "2", "multirun.yaml"}
    for number, name in {0: "a", 2: "b"}.items():
        assert rows_of(sweep / str(number)) == rows_of(tmp_path / "one" / name)


def test_a_video_gets_scores_events_a_timeline_and_an_annotated_copy(
    checkpoint: Path, tmp_path: Path
) -> None:
    video = write_video(tmp_path / "door.mp4", flicker(50, between=range(30, 45)))
    done = run(
        "score", f"checkpoint={checkpoint}", f"video={video}", "annotate=true",
        folder=tmp_path / "found",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "frames/s" in done.stdout
    folder = tmp_path / "found"
    rows = rows_of(folder)
    assert [report["state"] for report in reports_of(folder)] == ["begin", "end"]
    assert [int(row["frame"]) for row in rows] == list(range(4, 50))
    assert float(rows[-1]["seconds"]) == pytest.approx(49 / 25)

    found = events_of(folder)
    assert (found["ended"], found["frames"]) == ("whole", 46)
    (event,) = found["events"]
    assert 30 <= event["start_frame"] <= 33
    assert 44 <= event["end_frame"] <= 48  # whose past has the last that flickers
    assert event["peak_seconds"] == pytest.approx(event["peak_frame"] / 25)
    best = max(rows, key=lambda row: float(row["score"]))
    assert int(best["frame"]) == event["peak_frame"]
    assert float(best["score"]) == pytest.approx(event["peak_score"], rel=1e-6)
    assert event["normal_per_hour"] < 1
    # it holds the middle of what flickers
    assert event["left"] < 44
    assert event["right"] > 32
    assert event["bottom"] > 36
    assert event == reports_of(folder)[-1]
    with (folder / "events.csv").open(newline="") as file:
        (written,) = csv.DictReader(file)
    assert int(written["start_frame"]) == event["start_frame"]

    with av.open(str(folder / "annotated.mp4")) as container:
        stream = container.streams.video[0]
        assert (stream.codec_context.name, stream.pix_fmt) == ("h264", "yuv420p")
        pictures = [frame.to_ndarray(format="rgb24") for frame in container.decode(stream)]
    assert len(pictures) == 46
    assert pictures[0].shape == (48 * 8 + 96, 64 * 8, 3)
    assert (folder / "timeline.png").stat().st_size > 1000


def test_errors_in_ignored_places_make_no_event(checkpoint: Path, tmp_path: Path) -> None:
    video = write_video(tmp_path / "door.mp4", flicker(50, between=range(30, 45)))
    words = f"checkpoint={checkpoint}", f"video={video}"
    corner = "ignored=[[[0.4,0.5],[0.8,0.5],[0.8,1],[0.4,1]]]"  # with what flickers
    recording.score(memguard.compose(words, "score"), tmp_path / "all")
    recording.score(memguard.compose([*words, corner], "score"), tmp_path / "part")
    assert len(events_of(tmp_path / "all")["events"]) == 1
    assert events_of(tmp_path / "part")["events"] == []
    assert [row["psnr"] for row in rows_of(tmp_path / "part")] == [
        row["psnr"] for row in rows_of(tmp_path / "all")
    ]


def test_a_black_picture_is_a_condition_that_holds_anomalies_back(
    checkpoint: Path, tmp_path: Path
) -> None:
    black = np.zeros((100, 48, 64, 3), np.uint8)
    black[70:74] = 255  # far above the level
    film = np.concatenate([moving_square(50, speed=0), black])
    words = [f"checkpoint={checkpoint}", f"video={write_video(tmp_path / 'door.mp4', film)}"]
    recording.score(memguard.compose(words, "score"), tmp_path / "held")
    found = events_of(tmp_path / "held")
    *step, condition = found["events"]  # the step itself comes before the condition is known
    assert all(event["end_frame"] < 60 for event in step)
    assert (condition["kind"], condition["reason"]) == ("condition", "The picture is black.")
    assert 70 <= condition["start_frame"] < 90
    assert found["held_back_frames"] >= 4
    every = memguard.compose([*words, "conditions=false"], "score")
    recording.score(every, tmp_path / "all")
    unheld = events_of(tmp_path / "all")
    assert {event["kind"] for event in unheld["events"]} == {"anomaly"}
    assert 120 <= unheld["events"][-1]["peak_frame"] < 130
    assert unheld["held_back_frames"] == 0


def test_an_event_has_pictures_and_is_notified_without_a_secret_in_any_file(
    checkpoint: Path, tmp_path: Path
) -> None:
    video = write_video(tmp_path / "door.mp4", flicker(50, between=range(30, 45)))
    heard = tmp_path / "heard.jsonl"
    program = [sys.executable, "-c", f"open({str(heard)!r}, 'a').write(input() + chr(10))"]
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        hook = f"http://ann:s3cret@127.0.0.1:{closed.getsockname()[1]}/hook"
    done = run(
        "score", f"checkpoint={checkpoint}", f"video={video}", "events.snapshots=true",
        "events.clip=1", f"notify.webhook={hook}", f"notify.command={json.dumps(program)}",
        folder=tmp_path / "found",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    begin, end = reports_of(tmp_path / "found")
    assert (begin["state"], end["state"]) == ("begin", "end")
    assert list(map(json.loads, heard.read_text().splitlines())) == [begin, end]
    with Image.open(end["snapshot"]) as picture:
        assert picture.size == (64, 48)
    with av.open(end["clip"]) as clip:
        assert len(list(clip.decode(video=0))) > 40
    assert "http://***@127.0.0.1" in done.stdout + done.stderr
    assert "2 notifications have not arrived; they wait in" in done.stdout + done.stderr
    texts = [path.read_bytes() for path in (tmp_path / "found").rglob("*") if path.is_file()]
    assert len(texts) > 8
    assert b"s3cret" not in b"".join(texts) + (done.stdout + done.stderr).encode()


def test_scores_are_those_of_a_test_by_the_causal_patch_score(
    checkpoint: Path, tmp_path: Path
) -> None:
    video = write_video(tmp_path / "set" / "test" / "0.mp4", flicker(60, between=range(30, 45)))
    done = run(
        "evaluate", f"checkpoint={checkpoint}", "dataset=folder", f"dataset.root={tmp_path}/set",
        "scoring=patch", "scoring.causal=true", "trainer.precision=32-true",
        folder=tmp_path / "test",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    scorer = load(checkpoint, trainer={"precision": "32-true"})
    assert scorer.fps == 25  # of the training videos
    scored = list(scorer.watch(VideoStream(video)))
    tested = rows_of(tmp_path / "test")
    errors = torch.tensor([float(row["score"]) for row in tested])
    expected = scorer.alarm.score(errors).tolist()
    assert [one.score for one in scored] == pytest.approx(expected, rel=1e-3, abs=1e-3)
    assert [one.written for one in scored] == [row["written"] == "1" for row in tested]


def test_a_folder_scores_all_that_decodes_and_names_all_that_does_not(
    checkpoint: Path, tmp_path: Path
) -> None:
    videos, found = tmp_path / "videos", tmp_path / "found"
    write_video(videos / "a.mp4", moving_square(20))
    (videos / "b.mp4").write_bytes(b"no video")
    write_video(videos / "short.mp4", moving_square(3))
    write_video(videos / "z.mp4", moving_square(20))
    cut = write_video(videos / "cut.mkv", moving_square(120))
    cut.write_bytes(cut.read_bytes()[: cut.stat().st_size // 2])
    with av.open(str(videos / "empty.mp4"), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.height, stream.width, stream.pix_fmt = 48, 64, "yuv420p"
        container.start_encoding()

    done = run("score", f"checkpoint={checkpoint}", f"video={videos}", folder=found)
    assert done.returncode == 1
    assert "Traceback" not in done.stdout + done.stderr
    for name in ("b.mp4", "cut.mkv", "empty.mp4"):
        assert f"{videos}/{name}: this " in done.stderr
    assert len(rows_of(found / "a")) == len(rows_of(found / "z")) == 16
    assert events_of(found / "z")["ended"] == "whole"
    assert rows_of(found / "short") == []  # nothing in it has a past
    assert events_of(found / "short")["ended"] == "too short"
    assert "short: no frame is scored, as each score needs 5 frames" in done.stdout + done.stderr
    assert re.search(r"short +│ +0 │ +0 │ +– .* too short", done.stdout)
    assert 40 < len(rows_of(found / "cut")) < 80
    events = events_of(found / "cut")
    assert events["frames"] == len(rows_of(found / "cut"))
    assert "is cut off" in events["ended"]
    assert (found / "cut" / "timeline.png").exists()


@contextmanager
def started(checkpoint: Path, video: str, folder: Path) -> Iterator[subprocess.Popen[str]]:
    """Start to score, wait until some rows are on disk, and leave nothing running."""
    process = subprocess.Popen(
        [
            sys.executable, "-m", "memguard.score", f"checkpoint={checkpoint}", f"video={video}",
            f"hydra.run.dir={folder}",
        ],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=folder.parent,
    )  # fmt: skip
    scores, until = folder / "scores.csv", time.monotonic() + 120
    while (
        time.monotonic() < until
        and process.poll() is None
        and (not scores.exists() or scores.read_text().count("\n") < 60)
    ):
        time.sleep(0.05)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_what_was_scored_before_an_interrupt_is_kept(
    how: signal.Signals, checkpoint: Path, tmp_path: Path
) -> None:
    video = write_video(tmp_path / "long.mp4", moving_square(3000))
    with started(checkpoint, str(video), tmp_path / "found") as process:
        os.kill(process.pid, how)
        output, _ = process.communicate(timeout=60)
    assert process.returncode == 130, output
    assert "Traceback" not in output
    rows = rows_of(tmp_path / "found")
    assert [int(row["frame"]) for row in rows] == list(range(4, 4 + len(rows)))
    assert 50 < len(rows) < 2996
    found = events_of(tmp_path / "found")
    assert (found["ended"], found["frames"]) == ("stopped", len(rows))
    assert (tmp_path / "found" / "timeline.png").exists()


def test_a_camera_is_watched_through_a_broken_connection_until_ctrl_c(
    checkpoint: Path, tmp_path: Path
) -> None:
    film = tmp_path / "film.ts"
    with av.open(str(film), "w", format="mpegts") as container:
        stream = container.add_stream("libx264", rate=25, options={"tune": "zerolatency"})
        stream.height, stream.width, stream.pix_fmt = 48, 64, "yuv420p"
        for picture in moving_square(40):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode())
    listening = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        head = b"HTTP/1.0 200 OK\r\nContent-Type: video/mp2t\r\n\r\n"
        whole = film.read_bytes()
        lost = 188 * (9 * len(whole) // 10 // 188)  # some packets near the end
        for content in (whole[:lost] + whole[lost + 6 * 188 :], whole):  # afterwards nobody answers
            connection, _ = listening.accept()
            with connection:
                connection.recv(4096)
                connection.sendall(head)
                size = -(-len(content) // 40)
                for place in range(0, len(content), size):
                    connection.sendall(content[place : place + size])
                    time.sleep(1 / 25)  # as a camera sends
        listening.close()

    server = threading.Thread(target=serve, daemon=True)
    server.start()
    url = f"http://127.0.0.1:{listening.getsockname()[1]}/live.ts"
    with started(checkpoint, url, tmp_path / "found") as process:
        os.kill(process.pid, signal.SIGINT)
        output, _ = process.communicate(timeout=60)
    assert process.returncode == 0, output
    assert "connecting again in 1 s" in output
    events = events_of(tmp_path / "found")
    assert events["ended"] == "stopped"
    outage, *_ = [event for event in events["events"] if event["kind"] == "outage"]
    assert outage["reason"]
    last = outage["start_frame"]
    assert 25 < last < 39
    assert 0 < events["torn_frames"] <= 39 - last  # some are lost altogether
    assert events["dropped_frames"] == 0
    # after the gap the first frames have no past again
    frames = [int(row["frame"]) for row in rows_of(tmp_path / "found")]
    assert frames == [*range(4, last + 1), *range(last + 5, last + 41)][: len(frames)]
    assert len(frames) > 50
    assert 0.5 < outage["end_seconds"] - outage["start_seconds"] < 30


def test_python_gives_a_table(checkpoint: Path, tmp_path: Path) -> None:
    video = write_video(tmp_path / "door.mp4", moving_square(20))
    table = memguard.load(checkpoint).score(video)
    assert isinstance(table, Table)  # whatever is installed
    assert table["frame"] == list(range(4, 20))
    assert len(table["score"]) == 16
    assert [row["frame"] for row in table] == table["frame"]


def test_the_package_is_light_until_it_is_used() -> None:
    code = "import sys, memguard; assert 'torch' not in sys.modules; memguard.load"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False)
    assert done.returncode == 0, done.stderr


def test_a_checkpoint_without_normal_scores_is_refused(checkpoint: Path, tmp_path: Path) -> None:
    saved = torch.load(checkpoint, weights_only=True)
    weights = {k: v for k, v in saved["state_dict"].items() if not k.startswith("alarm.")}
    old = tmp_path / "old.ckpt"
    torch.save({CONFIG_KEY: saved[CONFIG_KEY], "state_dict": weights}, old)
    with pytest.raises(CheckpointError, match="does not know the scores of normal video"):
        memguard.load(old)
    write_video(tmp_path / "set" / "test" / "0.mp4", moving_square(20))
    words = [f"checkpoint={old}", "dataset=folder", f"dataset.root={tmp_path}/set", "logger=none"]
    memguard.evaluate(memguard.compose(words, "evaluate"), tmp_path / "test")


def test_hydras_own_settings_are_shown_resolved(tmp_path: Path) -> None:
    done = run("score", "--cfg", "hydra", "--resolve", folder=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert "dir: runs/score_sweeps/" in done.stdout


def test_a_mistake_is_one_sentence_and_no_traceback(checkpoint: Path, tmp_path: Path) -> None:
    done = run("score", f"checkpoint={checkpoint}", "video=/nowhere.mp4", folder=tmp_path / "found")
    assert done.returncode == 1
    assert "/nowhere.mp4: there is no such file or folder" in done.stderr
    assert "Traceback" not in done.stdout + done.stderr


@pytest.mark.parametrize(
    ("key", "value"),
    [("alarm.false_per_hour", 0), ("alarm.false_per_hour", "few"), ("annotate", 1)],
)
def test_what_cannot_work_is_refused_before_any_work(key: str, value: object) -> None:
    config = memguard.compose(["checkpoint=last.ckpt", "video=door.mp4"], "score")
    validate_by(ScoreSettings, config)
    OmegaConf.update(config, key, value)
    with pytest.raises(ConfigError, match=f"{key}={value} cannot work"):
        validate_by(ScoreSettings, config)


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_permissions_are_to_be_corrected_where_a_source_may_not_be_read(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = tmp_path / "door.mp4"
    source.mkdir() if kind == "folder" else write_video(source, moving_square(5))

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    # Root may read everything.
    monkeypatch.setattr(Path, "iterdir" if kind == "folder" else "open", refuse)
    sentence = r"door\.mp4: this cannot be read \(Permission denied\); correct its permissions"
    with pytest.raises(DataError, match=sentence):
        [
            open_stream()
            for open_stream in recording.streams_of(str(source), tmp_path / "cache").values()
        ]
