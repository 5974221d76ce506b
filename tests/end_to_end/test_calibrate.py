"""Calibrating, as users type it, on small real files."""

import json
from pathlib import Path

import pytest
import torch
from PIL import Image

import memguard
from memguard.errors import CheckpointError
from memguard.live import recording
from memguard.live.cameras.watch import watch
from memguard.live.scorer import load
from tests.conftest import moving_square, write_video
from tests.end_to_end.conftest import run_command, run_modules


def test_a_checkpoint_without_alarm_and_reference_gets_those_of_normal_video(
    checkpoint: Path, tmp_path: Path
) -> None:
    saved = torch.load(checkpoint, weights_only=True)
    learned = {
        n for n in saved["state_dict"] if n.startswith(("alarm.", "standing.", "reference."))
    }
    weights = {k: v for k, v in saved["state_dict"].items() if k not in learned}
    imported, calibrated = tmp_path / "imported.ckpt", tmp_path / "new" / "calibrated.ckpt"
    torch.save(saved | {"state_dict": weights}, imported)
    write_video(tmp_path / "hours" / "day.mp4", moving_square(60, seed=5))
    write_video(tmp_path / "hours" / "night.mp4", moving_square(40, seed=6))
    write_video(tmp_path / "short.mp4", moving_square(8))
    write_video(tmp_path / "cut" / "a.mp4", moving_square(60))
    (tmp_path / "cut" / "b.mp4").write_bytes(b"no video")

    corner = Image.new("L", (64, 48), 255)  # white is ignored
    corner.paste(0, (0, 0, 8, 8))
    corner.save(tmp_path / "corner.png")

    def words(video: str, output: Path) -> list[str]:
        return [f"checkpoint={imported}", f"video={tmp_path}/{video}", f"output={output}"]

    whole, short, cut, refused = run_modules(
        tmp_path,
        ("calibrate", words("hours", calibrated)),
        ("calibrate", words("short.mp4", tmp_path / "short.ckpt")),
        ("calibrate", [*words("cut", tmp_path / "cut.ckpt"), f"ignored={tmp_path}/corner.png"]),
        ("calibrate", words("hours", tmp_path / "short.mp4" / "x.ckpt")),
    )
    assert whole.status == 0, whole.said
    assert "(92 frames, 3 peaks) support no rate" in " ".join(whole.said.split())
    found = torch.load(calibrated, weights_only=True)
    assert found.keys() == saved.keys()
    assert all(torch.equal(found["state_dict"][name], weights[name]) for name in weights)
    assert found["state_dict"].keys() == weights.keys() | learned
    detector = load(calibrated).detector
    assert detector.alarm.sample_counts[0] == 56 + 36
    assert detector.reference.learned
    assert detector.reference.range("brightness")[1] < 100  # of the ground, not of the square
    table = load(calibrated).score(tmp_path / "hours" / "day.mp4")
    assert abs(sorted(table["score"])[28]) < 0.5  # near the median of both

    assert short.status == 1
    assert "video holds 4 frames with a score, and an alarm needs 10" in short.said
    assert not (tmp_path / "short.ckpt").exists()
    assert cut.status == 1
    assert "b.mp4: this " in cut.said
    cut_off = load(tmp_path / "cut.ckpt").alarm
    assert cut_off.sample_counts[0] == 56
    # Few errors of a patch count, and none of the square's.
    assert cut_off.normal_scores.max() < detector.alarm.normal_scores.median() / 2
    assert refused.status == 1
    assert "x.ckpt: this file cannot be written" in refused.said
    assert not any("Traceback" in ended.said for ended in (whole, short, cut, refused))


def test_a_thing_that_comes_and_stays_is_an_event_where_standing_is_true(
    checkpoint: Path, tmp_path: Path
) -> None:
    hours = write_video(tmp_path / "hours.mp4", moving_square(260, speed=7, seed=5), fps=1)
    left_behind = moving_square(180, speed=7, seed=6)
    left_behind[150:, 34:46, 44:60] = 250
    door = write_video(tmp_path / "door.mp4", left_behind, fps=1)
    calibrated = tmp_path / "calibrated.ckpt"
    given = f"checkpoint={checkpoint}", f"video={hours}", f"output={calibrated}"
    done = run_command("calibrate", *given, folder=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "Alarm levels of standing=true" in done.stdout
    assert load(calibrated).detector.standing.sample_counts[0] == 256 - 120

    graph = tmp_path / "door.onnx"
    done = run_command("export", f"checkpoint={calibrated}", f"output={graph}", folder=tmp_path)
    assert done.returncode == 0, done.stderr

    words = [f"checkpoint={calibrated}", f"video={door}"]
    of_graph = [f"checkpoint={graph}", "backend=onnx", f"video={door}", "conditions=false"]
    ended = run_modules(
        tmp_path,
        ("score", [*words, "standing=true", f"hydra.run.dir={tmp_path}/standing"]),
        ("score", [*words, f"hydra.run.dir={tmp_path}/moving"]),
        ("score", [*of_graph, "standing=true", f"hydra.run.dir={tmp_path}/graph"]),
    )
    assert [each.status for each in ended] == [0, 0, 0], ended
    standing, moving, exported = (
        json.loads((tmp_path / name / "events.json").read_text())
        for name in ("standing", "moving", "graph")
    )
    assert "standing" not in {event["kind"] for event in moving["events"]}
    (found,) = [event for event in standing["events"] if event["kind"] == "standing"]
    assert 150 <= found["start_frame"] < 158
    assert found["end_frame"] == 179  # it lasts to the end of the video
    assert found["left"] < 60
    assert found["right"] > 44
    assert found["top"] < 46
    assert found["bottom"] > 34
    assert found["clip"] is None
    (same,) = [event for event in exported["events"] if event["kind"] == "standing"]
    shown = [name for name in found if name.startswith(("start", "end", "peak_s", "left", "top"))]
    assert {name: same[name] for name in shown} == {name: found[name] for name in shown}
    alarm = load(calibrated).alarm
    assert standing["false_per_hour"] == moving["false_per_hour"] == 1
    assert standing["level"] == pytest.approx(alarm.level(0.5, fps=1))
    assert moving["level"] == pytest.approx(alarm.level(1, fps=1))


def test_a_checkpoint_that_is_not_calibrated_for_things_that_stand_is_refused(
    checkpoint: Path, tmp_path: Path
) -> None:
    words = [f"video={write_video(tmp_path / 'door.mp4', moving_square(20))}", "standing=true"]
    with pytest.raises(CheckpointError, match=r"standing=true needs: calibrate it with python -m"):
        recording.score(memguard.compose([*words, f"checkpoint={checkpoint}"], "score"), tmp_path)
    cameras = tmp_path / "cameras.yaml"
    cameras.write_text(f"door: {{source: door.mp4, checkpoint: {checkpoint}, standing: true}}")
    with pytest.raises(CheckpointError, match=r"last\.ckpt .* standing=true needs"):
        watch(memguard.compose([f"cameras={cameras}", f"folder={tmp_path}"], "watch"))
