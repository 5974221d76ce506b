"""Commands that several processes run together, started in each of the ways that users have."""

import csv
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from memguard.config.compose import register_resolvers
from memguard.config.metric_names import OF_PLACES
from memguard.training.build import build_benchmark, build_datamodule
from memguard.training.callbacks.batch_norm import batch_norms, gathering
from memguard.training.trained import restore

SMALL = [
    "dataset=folder", "model=mnad_tiny", "model.width=4", "memory.dim=32", "memory.size=4",
    "data.frame_size=32", "data.threads=1", "trainer.max_epochs=2", "logger=csv",
    "trainer.precision=32-true", "guard.scope=video", "trainer=ddp", "callbacks=debug",
    "callbacks.test_each_epoch.enabled=true",
]  # fmt: skip
PYTHON = [sys.executable, "-m"]
TORCHRUN = [*PYTHON, "torch.distributed.run", "--standalone", "--nproc-per-node=2", "-m"]


def start(
    launcher: list[str], module: str, *overrides: str, folder: Path, **variables: str
) -> subprocess.Popen[str]:
    """Start a command in a folder of its own, where it names its run folder itself."""
    folder.mkdir(exist_ok=True)
    return subprocess.Popen(
        [*launcher, f"memguard.{module}", *overrides],
        cwd=folder,
        env=os.environ | {"OMP_NUM_THREADS": "1"} | variables,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def require_success(*processes: subprocess.Popen[str]) -> None:
    output = [process.communicate(timeout=300)[0] for process in processes]
    assert [process.returncode for process in processes] == [0] * len(processes), "\n".join(output)


def run_folder(folder: Path) -> Path:
    """The one run folder that a command made."""
    (found,) = folder.glob("runs/*/*")
    return found


def metrics_of(run: Path) -> dict[str, float]:
    return json.loads((run / "metrics.json").read_text())


def rows_of(run: Path) -> list[dict[str, str]]:
    with (run / "scores.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def require_alike(run: Path, other: Path) -> None:
    """Make sure that two tests found the same, row by row."""
    ours, theirs = (
        {name: value for name, value in metrics_of(folder).items() if name.startswith("test/")}
        for folder in (run, other)
    )
    assert theirs == pytest.approx(ours, abs=1e-6)
    assert set(OF_PLACES) <= set(ours)
    assert 0 < ours["test/frames_written"] < ours["test/frames"] == 32
    for row, same in zip(rows_of(run), rows_of(other), strict=True):
        assert (row.pop("video"), row.pop("frame")) == (same.pop("video"), same.pop("frame"))
        values, others = ([float(value) for value in r.values()] for r in (row, same))
        assert others == pytest.approx(values, abs=1e-6)


def shown_in(run: Path) -> str:
    """The test in a report, without the section on how it was made."""
    page = (run / "report.html").read_text()
    return re.sub(r'<section id="made">.*?</section>|<p><code>.*?</code></p>', "", page, flags=re.S)


@pytest.fixture(scope="module")
def masked_scene(tmp_path_factory: pytest.TempPathFactory, shared_scene: Path) -> Path:
    """The shared scene, with the masks of its fast squares."""
    root = tmp_path_factory.mktemp("masked") / "scene"
    shutil.copytree(shared_scene, root)
    masks = np.zeros((20, 48, 64), bool)
    for number in range(10):
        masks[10 + number, 18:30, 5 * number : 5 * number + 12] = True
    (root / "masks").mkdir()
    for video in ("0", "1"):
        np.savez_compressed(root / "masks" / f"{video}.npz", masks=masks)
    return root


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, masked_scene: Path) -> Path:
    """The folder of a training by two processes that torchrun started."""
    folder = tmp_path_factory.mktemp("torchrun")
    require_success(start(TORCHRUN, "train", *SMALL, f"dataset.root={masked_scene}", folder=folder))
    return run_folder(folder)


def test_torchrun_trains_and_tests_in_one_folder(run: Path) -> None:
    metrics = metrics_of(run)
    assert metrics["test/frames"] == len(rows_of(run)) == 2 * 16
    assert metrics["not_for_selection/auroc"] == pytest.approx(metrics["test/auroc"], abs=1e-6)
    assert (run / "checkpoints" / "last.ckpt").exists()
    log = (run / "train.log").read_text()
    assert log.count("Epoch 1 of 2") == log.count("Batch norm is measured") == 1


def test_slurm_trains_the_same_with_processes_that_start_seconds_apart(
    run: Path, masked_scene: Path, tmp_path: Path
) -> None:
    with socket.socket() as free:
        free.bind(("", 0))
        port = free.getsockname()[1]
    slurm = {
        "JOB_ID": "4711", "JOB_NAME": "train", "STEP_ID": "0", "NTASKS": "2", "NNODES": "1",
        "NTASKS_PER_NODE": "2", "NODEID": "0", "NODELIST": "localhost",
    }  # fmt: skip
    tasks = []
    for rank in "01":
        variables = {f"SLURM_{name}": value for name, value in slurm.items()}
        variables |= {"SLURM_PROCID": rank, "SLURM_LOCALID": rank, "MASTER_PORT": str(port)}
        requested = [*SMALL, f"dataset.root={masked_scene}", "guard.scope=dataset"]
        tasks.append(start(PYTHON, "train", *requested, folder=tmp_path / "slurm", **variables))
        time.sleep(1.5)
    require_success(*tasks)
    again = run_folder(tmp_path / "slurm")
    before, now = (
        torch.load(folder / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"]
        for folder in (run, again)
    )
    assert all(torch.equal(value, now[name]) for name, value in before.items())
    requested = [f"checkpoint={again}/checkpoints/last.ckpt"]  # whose items go from video to video
    require_success(start(PYTHON, "evaluate", *requested, folder=tmp_path / "alone"))
    require_alike(run_folder(tmp_path / "alone"), again)


def test_batch_norm_is_measured_over_the_windows_of_all_processes(run: Path) -> None:
    register_resolvers()
    detector, config = restore(run / "checkpoints" / "last.ckpt")
    (layer, *_) = batch_norms(detector.autoencoder).values()
    names = ("running_mean", "running_var")
    saved_mean, saved_variance = (layer.get_buffer(name).clone() for name in names)
    data = build_datamodule(config, build_benchmark(config))
    data.setup()
    means, variances = [], []
    for rank in range(2):
        data.trainer = SimpleNamespace(  # type: ignore[assignment]
            current_epoch=1, global_rank=rank, world_size=2, overfit_batches=0
        )
        with gathering(detector.autoencoder):
            for batch in data.all_training_windows():
                detector.predict(batch.frames)
        means.append(layer.get_buffer("running_mean").clone())
        variances.append(layer.get_buffer("running_var").clone())
    assert not torch.allclose(*means)
    # Both have equally many windows.
    torch.testing.assert_close(saved_mean, (means[0] + means[1]) / 2)
    between = ((means[0] - means[1]) / 2).square()
    torch.testing.assert_close(saved_variance, (variances[0] + variances[1]) / 2 + between)


def test_three_processes_find_in_two_videos_what_one_finds(run: Path, tmp_path: Path) -> None:
    checkpoint = f"checkpoint={run}/checkpoints/last.ckpt"
    several = ["trainer=ddp", "trainer.devices=3"]
    require_success(
        start(PYTHON, "evaluate", checkpoint, folder=tmp_path / "alone"),
        start(PYTHON, "evaluate", checkpoint, *several, folder=tmp_path / "several"),
    )
    one, other = (run_folder(tmp_path / name) for name in ("alone", "several"))
    require_alike(one, other)
    require_alike(one, run)
    assert shown_in(other) == shown_in(one)
