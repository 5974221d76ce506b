"""Many cameras in one process: real files and servers, faults of one, and a restart."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import yaml

from tests.conftest import moving_square, write_video
from tests.end_to_end.conftest import run_command, run_together
from tests.live.conftest import small_disk as small_disk


def command(cameras: Path, checkpoint: Path) -> list[str]:
    return [
        sys.executable, "-m", "memguard.watch", f"cameras={cameras}", f"checkpoint={checkpoint}",
        f"folder={cameras.parent / 'watch'}",
    ]  # fmt: skip


def reports(folder: Path) -> list[tuple[str, str]]:
    lines = (folder / "events.jsonl").read_text().splitlines()
    return [(report["kind"], report["state"]) for report in map(json.loads, lines)]


def test_cameras_are_watched_apart_and_a_restart_continues_them(
    checkpoint: Path, tmp_path: Path
) -> None:
    odd = np.concatenate([moving_square(30), moving_square(12, speed=9), moving_square(30)])
    write_video(tmp_path / "odd.mp4", odd)
    write_video(tmp_path / "calm.mp4", moving_square(40))
    black = np.zeros_like(moving_square(100))
    write_video(tmp_path / "black.mp4", np.concatenate([moving_square(20), black]))
    (tmp_path / "broken.mp4").write_bytes(b"no video")
    cameras = tmp_path / "cameras.yaml"
    cameras.write_text(
        yaml.safe_dump(
            {
                "door": {
                    "source": str(tmp_path / "odd.mp4"),
                    "alarm": {"false_per_hour": 1e5},
                    "conditions": False,
                },
                "yard": {
                    "source": str(tmp_path / "calm.mp4"),
                    "events": {"shortest": 100},
                    "conditions": False,
                },
                "attic": {"source": str(tmp_path / "black.mp4")},
                "cellar": {"source": str(tmp_path / "broken.mp4")},
            }
        )
    )
    folder = tmp_path / "watch"
    for run in (1, 2):
        os.utime(tmp_path / "odd.mp4", (run, run))  # another recording, should it have ended
        process = subprocess.Popen(
            command(cameras, checkpoint), cwd=tmp_path, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip
        until = time.monotonic() + 120
        while time.monotonic() < until and process.poll() is None:
            begun = (folder / "door" / "events.jsonl").exists()
            if begun and reports(folder / "door").count(("anomaly", "begin")) >= run:
                break
            time.sleep(0.2)
        process.send_signal(signal.SIGTERM)
        said = process.communicate(timeout=60)[0]
        assert process.returncode == 0, said
        assert "Traceback" not in said
    assert reports(folder / "door").count(("anomaly", "begin")) >= 2
    ids = [json.loads(line)["id"] for line in (folder / "door" / "events.jsonl").open()]
    assert [name[-2:] for name in dict.fromkeys(ids)][:2] == ["-1", "-2"]
    assert list((folder / "door" / "events").glob("*.jpg"))
    assert not (folder / "yard" / "events.jsonl").exists()
    assert ("condition", "begin") in reports(folder / "attic")
    assert reports(folder / "cellar")[0] == ("outage", "begin")
    assert "broken.mp4: this video file cannot be opened" in said
    with np.load(folder / "door" / "items.npz") as stored:
        assert stored["items"].shape == (4, 32)
    log = (folder / "watch.log").read_text().splitlines()
    assert sum("Watching 4 cameras; their output is in" in line for line in log) == 2
    assert "Stopped by a signal" in log[-1]


def test_a_recording_that_has_ended_is_watched_again_only_if_it_changes(
    checkpoint: Path, tmp_path: Path
) -> None:
    film, events = tmp_path / "odd.mp4", tmp_path / "watch" / "door" / "events.jsonl"
    write_video(film, np.concatenate([moving_square(30), moving_square(12, speed=9)]))
    (tmp_path / "cameras.yaml").write_text(yaml.safe_dump({"door": {"source": str(film)}}))
    begun = []
    for changed in (1, 1, 2):
        os.utime(film, (changed, changed))
        done = run_command(
            "watch", "cameras=cameras.yaml", f"checkpoint={checkpoint}", "folder=watch",
            "conditions=false", "alarm.false_per_hour=1e5", folder=tmp_path,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        begun.append(reports(events.parent).count(("anomaly", "begin")))
    first, again, after_change = begun
    assert 0 < first == again < after_change
    log = (tmp_path / "watch" / "watch.log").read_text()
    assert log.count("Watching 1 camera; its output is in watch.") == 3
    assert log.count("door: this recording has ended already; it is not watched again.") == 1
    assert log.count("door: the recording has ended.") == 2
    assert "Stopped as all recordings have ended" in log.splitlines()[-1]


def test_beside_a_full_disk_cameras_are_watched_and_lost_lines_are_counted(
    checkpoint: Path, tmp_path: Path, small_disk: Path
) -> None:
    folder, sent = small_disk / "watch", tmp_path / "sent"
    folder.mkdir()
    disk = os.statvfs(small_disk)
    (small_disk / "filler").write_bytes(bytes(disk.f_bavail * disk.f_frsize))
    (tmp_path / "broken.mp4").write_bytes(b"no video")
    (tmp_path / "cameras.yaml").write_text("door: {source: broken.mp4}")
    receiver = [sys.executable, "-c", f"open({str(sent)!r}, 'a').write('x')"]
    process = subprocess.Popen(
        [
            sys.executable, "-m", "memguard.watch", "cameras=cameras.yaml",
            f"checkpoint={checkpoint}", f"folder={folder}", f"notify.command={receiver}",
        ],
        cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    until = time.monotonic() + 120
    while not sent.exists():
        assert process.poll() is None, process.communicate()[0]
        assert time.monotonic() < until
        time.sleep(0.1)
    process.send_signal(signal.SIGTERM)
    said = process.communicate(timeout=60)[0]
    assert process.returncode == 0, said
    assert "Traceback" not in said
    assert f"{folder}: its disk is full; make room on it." in said
    assert "events.jsonl: this file cannot be written, so the last 1 reports of its" in said


def test_a_refused_watch_leaves_no_folder(tmp_path: Path) -> None:
    (tmp_path / "cameras.yaml").write_text("door: {source: a.mp4, checkpoint: none.ckpt}")
    (tmp_path / "file").touch()
    words = f"cameras={tmp_path}/cameras.yaml", "serve=[::1]:0"
    without, file, unserved = run_together(
        tmp_path,
        "watch",
        [words[0], f"folder={tmp_path}/new/out"],
        [*words[:1], f"folder={tmp_path}/file"],
        ["cameras=no", words[1]],
    )
    assert "cameras.yaml: door: There is no checkpoint none.ckpt" in without.said
    assert f"{tmp_path}/file: this is a file, and no folder; set folder to" in file.said
    assert "no: this file of cameras cannot be read" in unserved.said
    assert not (tmp_path / "new").exists()
