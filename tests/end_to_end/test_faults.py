"""Trainings that are stopped, killed or led astray: what they have learned is kept."""

import csv
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

SMALL = [
    "dataset=folder", "model=mnad_tiny", "model.width=4", "memory.dim=32", "memory.size=4",
    "data.frame_size=32", "data.batch_size=1", "trainer.max_epochs=3", "logger=csv",
    "callbacks.pseudo_auroc.windows=2",
]  # fmt: skip
EACH_STEP = "callbacks.checkpoint.every_minutes=0"
PATIENCE = 240.0


def command(scene: Path, folder: Path, *overrides: str) -> list[str]:
    """The words of a training."""
    settings = [*SMALL, f"dataset.root={scene}", f"hydra.run.dir={folder}"]
    return [sys.executable, "-m", "memguard.train", *settings, *overrides]


def start(scene: Path, folder: Path, *overrides: str) -> subprocess.Popen[str]:
    folder.mkdir(exist_ok=True)
    return subprocess.Popen(
        command(scene, folder, *overrides),
        cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip


def finish(running: subprocess.Popen[str]) -> str:
    """Wait for the end, and give what was said in one line."""
    said, _ = running.communicate(timeout=PATIENCE)
    return " ".join(said.split())


def read(path: Path) -> dict[str, Any]:
    return torch.load(path, weights_only=True)


def newest(folder: Path) -> Path:
    return folder / "checkpoints" / "last.ckpt"


def wait_for(running: subprocess.Popen[str], reached: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not reached():
        assert running.poll() is None, finish(running)
        assert time.monotonic() < deadline
        time.sleep(0.01)


def steps_of(folder: Path) -> int:
    """Steps that the newest checkpoint has behind it."""
    return read(newest(folder))["global_step"] if newest(folder).exists() else 0


@pytest.fixture(scope="module")
def whole(shared_scene: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The last checkpoint of a training that nothing befell."""
    folder = tmp_path_factory.mktemp("whole")
    running = start(shared_scene, folder)
    said = finish(running)
    assert running.returncode == 0, said
    return read(newest(folder))


def assert_alike(one: dict[str, Any], other: dict[str, Any]) -> None:
    assert one["global_step"] == other["global_step"]
    assert one["lr_schedulers"] == other["lr_schedulers"]
    assert one["state_dict"].keys() == other["state_dict"].keys()
    for name, value in one["state_dict"].items():
        assert torch.equal(value, other["state_dict"][name]), name


def steps_per_epoch(checkpoint: dict[str, Any]) -> int:
    return int(checkpoint["global_step"]) // 3


def test_killed_in_the_middle_of_an_epoch_it_goes_on_to_the_same_end_bit_for_bit(
    shared_scene: Path, tmp_path: Path, whole: dict[str, Any]
) -> None:
    epoch = steps_per_epoch(whole)
    running = start(shared_scene, tmp_path / "killed", EACH_STEP)
    wait_for(running, lambda: epoch < steps_of(tmp_path / "killed") < 2 * epoch - 8)
    running.kill()
    finish(running)
    steps = steps_of(tmp_path / "killed")
    assert epoch < steps < 2 * epoch
    going_on = start(
        shared_scene, tmp_path / "resumed", f"checkpoint={newest(tmp_path / 'killed')}"
    )
    said = finish(going_on)
    assert going_on.returncode == 0, said
    assert_alike(read(newest(tmp_path / "resumed")), whole)


def test_a_resumed_training_samples_the_windows_of_one_that_was_never_stopped(
    shared_scene: Path, tmp_path: Path
) -> None:
    sampled, folder = "data.windows_per_epoch=20", tmp_path / "whole"
    running = start(shared_scene, folder, sampled, "callbacks=each_epoch")
    said = finish(running)
    assert "20 of 30 windows per epoch" in said, said
    whole = read(newest(folder))
    assert whole["global_step"] == 3 * 20
    killed = start(shared_scene, tmp_path / "killed", sampled, EACH_STEP)
    wait_for(killed, lambda: 20 < steps_of(tmp_path / "killed") < 32)
    killed.kill()
    finish(killed)
    assert 20 < steps_of(tmp_path / "killed") < 40
    middle, end = newest(tmp_path / "killed"), folder / "checkpoints" / "epoch00.ckpt"
    for number, checkpoint in enumerate((middle, end)):
        resumed = tmp_path / str(number)
        said = finish(start(shared_scene, resumed, sampled, f"checkpoint={checkpoint}"))
        assert newest(resumed).exists(), said
        assert_alike(read(newest(resumed)), whole)


def test_a_training_goes_on_under_no_other_schedule(
    shared_scene: Path, tmp_path: Path, whole: dict[str, Any]
) -> None:
    torch.save(whole, tmp_path / "before.ckpt")
    from_there = f"checkpoint={tmp_path}/before.ckpt"
    other = start(
        shared_scene, tmp_path / "run", from_there, "trainer.max_epochs=4", "optimizer.lr=5e-4"
    )
    said = finish(other)
    assert other.returncode == 1
    assert "optimizer.lr=0.001, now 0.0005; trainer.max_epochs=3, now 4." in said
    assert f"weights={tmp_path}/before.ckpt in its place begins a new training" in said
    assert "Traceback" not in said
    assert not newest(tmp_path / "run").exists()


def test_a_finished_training_says_so_and_is_tested(
    shared_scene: Path, tmp_path: Path, whole: dict[str, Any]
) -> None:
    torch.save(whole, tmp_path / "before.ckpt")
    again = start(shared_scene, tmp_path / "run", f"checkpoint={tmp_path}/before.ckpt")
    said = finish(again)
    assert again.returncode == 0, said
    assert f"The training of {tmp_path}/before.ckpt is finished: no step" in said
    assert "Epoch 1 of 3" not in said
    assert "test/auroc" in (tmp_path / "run" / "metrics.json").read_text()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGUSR1])
def test_a_signal_saves_the_present_step_and_says_how_to_go_on(
    shared_scene: Path, tmp_path: Path, whole: dict[str, Any], number: signal.Signals
) -> None:
    epoch = steps_per_epoch(whole)
    log = tmp_path / "curves" / "metrics.csv"
    running = start(shared_scene, tmp_path, "trainer.log_every_n_steps=1")
    wait_for(running, lambda: newest(tmp_path).exists() and log.exists())
    running.send_signal(number)
    said = finish(running)
    assert running.returncode == 128 + number, said
    assert f"Stopped by {number.name}" in said
    assert f"checkpoint={newest(tmp_path)} resumes" in said
    assert "Traceback" not in said
    assert epoch <= steps_of(tmp_path) < 3 * epoch
    assert not list(newest(tmp_path).parent.glob("*.part"))
    if number != signal.SIGTERM:
        return  # the way on is the same for all
    going_on = start(
        shared_scene, tmp_path, "trainer.log_every_n_steps=1", f"checkpoint={newest(tmp_path)}"
    )
    said = finish(going_on)
    assert going_on.returncode == 0, said
    assert_alike(read(newest(tmp_path)), whole)
    with log.open(newline="") as file:
        steps = [int(row["step"]) for row in csv.DictReader(file) if row["train/loss"]]
    assert steps == list(range(whole["global_step"]))


def test_what_is_no_number_stops_the_run_and_is_not_saved(
    shared_scene: Path, tmp_path: Path
) -> None:
    running = start(shared_scene, tmp_path, EACH_STEP, "optimizer.lr=1e30")
    said = finish(running)
    assert running.returncode == 1
    assert re.search(r"no number any more after step \d+, whose windows ended with frame", said)
    assert re.search(r"frame \d+ of \S+/train/[01]\.mp4: look at these frames", said)
    assert f"with checkpoint={newest(tmp_path)} " in said
    assert "Traceback" not in said
    kept = read(newest(tmp_path))["state_dict"]
    assert all(v.isfinite().all() for name, v in kept.items() if name.startswith("autoencoder"))


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of four megabytes, which holds a few checkpoints."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(folder)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("only root may mount a small disk")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def test_a_full_disk_leaves_the_last_good_checkpoint_and_training_goes_on(
    shared_scene: Path, tmp_path: Path, small_disk: Path, whole: dict[str, Any]
) -> None:
    where = f"callbacks.checkpoint.dirpath={small_disk}"
    running = start(shared_scene, tmp_path / "run", where, EACH_STEP)
    wait_for(running, (small_disk / "last.ckpt").exists)
    (small_disk / "filler").write_bytes(bytes(room(small_disk)))
    said = finish(running)
    assert running.returncode == 0, said
    assert f"{small_disk}/last.ckpt could not be written" in said
    assert "the last good one is still" in said
    assert (tmp_path / "run" / "metrics.json").exists()
    kept = read(small_disk / "last.ckpt")
    assert 0 < kept["global_step"] < whole["global_step"]
    assert not list(small_disk.glob("*.part"))


def test_a_training_stopped_beside_a_full_disk_promises_no_checkpoint(
    shared_scene: Path, tmp_path: Path, small_disk: Path
) -> None:
    (small_disk / "filler").write_bytes(bytes(room(small_disk)))
    log = tmp_path / "run" / "curves" / "metrics.csv"
    where = f"callbacks.checkpoint.dirpath={small_disk}"
    running = start(shared_scene, tmp_path / "run", where, "trainer.max_epochs=100")
    wait_for(running, log.exists)
    running.send_signal(signal.SIGTERM)
    said = finish(running)
    assert running.returncode == 128 + signal.SIGTERM, said
    assert f"Nothing of it is saved, as {small_disk}/last.ckpt could not be written" in said
    assert "Nothing is lost" not in said
    assert not list(small_disk.glob("*.ckpt*"))


def room(folder: Path) -> int:
    disk = os.statvfs(folder)
    return disk.f_bavail * disk.f_frsize


def test_where_another_process_is_killed_training_stops_with_a_sentence(
    shared_scene: Path, tmp_path: Path
) -> None:
    running = start(
        shared_scene, tmp_path, EACH_STEP, "trainer=ddp", "trainer.devices=2",
        "trainer.accelerator=cpu", "trainer.max_epochs=400",
    )  # fmt: skip
    wait_for(running, lambda: steps_of(tmp_path) > 2)
    children = subprocess.run(
        ["pgrep", "--parent", str(running.pid), "--full", "memguard.train"],
        capture_output=True, text=True, check=True,
    ).stdout.split()  # fmt: skip
    for child in children:
        os.kill(int(child), signal.SIGKILL)
    said = finish(running)
    assert running.returncode == 1
    assert "Another process of this training has ended" in said
    assert f"checkpoint={newest(tmp_path)} resumes" in said
    assert "Traceback" not in said
    assert steps_of(tmp_path) > 2


def test_without_a_server_of_wandb_the_run_is_kept_on_disk(
    shared_scene: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WANDB_MODE", "online")
    monkeypatch.setenv("WANDB_BASE_URL", "http://127.0.0.1:9")  # where nobody listens
    monkeypatch.setenv("WANDB_API_KEY", "0" * 40)
    running = start(
        shared_scene, tmp_path, "logger=wandb", "logger.wandb.settings.init_timeout=2",
        "trainer.max_epochs=1",
    )  # fmt: skip
    said = finish(running)
    assert running.returncode == 0, said
    assert "W&B cannot be reached" in said
    assert f"wandb sync {tmp_path}/wandb/offline-run-*" in said
    assert list(tmp_path.glob("wandb/offline-run-*/*.wandb"))
    assert (tmp_path / "metrics.json").exists()


def test_where_wandb_breaks_down_in_the_middle_training_goes_on(
    shared_scene: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, whole: dict[str, Any]
) -> None:
    monkeypatch.setenv("WANDB_MODE", "offline")
    running = start(shared_scene, tmp_path, "logger=wandb")
    wait_for(running, newest(tmp_path).exists)
    subprocess.run(["pkill", "-KILL", "--parent", str(running.pid), "wandb-core"], check=True)
    said = finish(running)
    assert running.returncode == 0, said
    assert "W&B broke down" in said
    assert "Traceback" not in said
    assert_alike(read(newest(tmp_path)), whole)
