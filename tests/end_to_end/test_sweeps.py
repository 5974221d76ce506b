"""Whole sweeps, as users type them, with jobs that fail and sweeps that are killed."""

import csv
import json
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.end_to_end.conftest import run_command

# A network that trains in a second; everything else is as users have it.
SMALL = [
    "dataset=folder", "model=mnad_tiny", "model.width=4", "memory.dim=32", "data.frame_size=32",
    "data.threads=1", "logger=csv",
]  # fmt: skip


def words_of(scene: Path, sweep: Path, *overrides: str) -> list[str]:
    return ["-m", *overrides, *SMALL, f"dataset.root={scene}", f"hydra.sweep.dir={sweep}"]


def command(scene: Path, sweep: Path, *overrides: str) -> list[str]:
    return [sys.executable, "-m", "memguard.train", *words_of(scene, sweep, *overrides)]


def train(scene: Path, sweep: Path, *overrides: str) -> subprocess.CompletedProcess[str]:
    return run_command("train", *words_of(scene, sweep, *overrides), folder=sweep.parent)


def only(sweep: Path, pattern: str) -> Path:
    (path,) = sweep.glob(pattern)
    return path


def test_a_killed_sweep_goes_on_with_what_is_missing(shared_scene: Path, tmp_path: Path) -> None:
    sweep = tmp_path / "sweep"
    sizes = "sweep=memory_size", "memory.size=1,3,4", "seed=0", "trainer.max_epochs=2"
    with subprocess.Popen(
        command(shared_scene, sweep, *sizes), cwd=tmp_path, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, text=True,
    ) as process:  # fmt: skip
        assert process.stdout
        epochs = (line for line in process.stdout if "Epoch 1 of 2" in line)
        next(epochs)
        next(epochs)  # of the third job: the first fails
        process.send_signal(signal.SIGKILL)
    finished = only(sweep, "memory.size-3_*")
    before = {path: path.stat().st_mtime_ns for path in (finished / "checkpoints").iterdir()}
    assert (finished / "metrics.json").exists()
    assert not (only(sweep, "memory.size-4_*") / "metrics.json").exists()

    done = train(shared_scene, sweep, *sizes)
    assert done.returncode == 1
    assert f"Finished already: {finished}" in done.stdout
    assert before == {path: path.stat().st_mtime_ns for path in before}
    assert "Epoch 1 of 2" in (only(sweep, "memory.size-4_*") / "train.log").read_text()
    assert "1 of 3 jobs did not finish" in done.stderr
    assert "Traceback" not in done.stdout + done.stderr
    with (sweep / "sweep.csv").open(newline="") as file:
        rows = {row["memory.size"]: row for row in csv.DictReader(file)}
    assert {size: row["status"] for size, row in rows.items()} == {
        "1": "failed", "3": "finished", "4": "finished",
    }  # fmt: skip
    reason = "memory.size=1 cannot work with loss.separateness=0.1"
    assert rows["1"]["failure"].startswith(reason)
    assert " ".join(done.stdout.split()).count(reason) == 1
    metrics = json.loads((finished / "metrics.json").read_text())
    assert float(rows["3"]["test/auroc"]) == metrics["test/auroc"]
    assert float(rows["3"]["val/psnr"]) == metrics["val/psnr"]
    assert {path.name for path in (sweep / "figures").iterdir()} == {"curve.png", "ranking.png"}


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_sweep_reports_what_is_finished_and_how_it_goes_on(
    shared_scene: Path, tmp_path: Path, number: signal.Signals
) -> None:
    sweep = tmp_path / "sweep"
    with subprocess.Popen(
        command(shared_scene, sweep, "memory.size=3", "trainer.max_epochs=1,40"), cwd=tmp_path,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    ) as process:  # fmt: skip
        assert process.stdout
        next(line for line in process.stdout if "Epoch 1 of 40" in line)
        process.send_signal(number)
        said = " ".join(process.stdout.read().split())
    assert process.returncode == 128 + number
    assert f"hydra.sweep.dir={sweep} resumes" in said
    assert "checkpoint=" not in said
    assert "Nothing is lost" not in said  # the job itself begins again
    assert "Traceback" not in said
    with (sweep / "sweep.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["status"] for row in rows] == ["finished", "unfinished"]
    assert float(rows[0]["test/auroc"]) > 0
    assert (sweep / "figures" / "ranking.png").exists()


def test_processes_search_together_and_jobs_are_pruned(shared_scene: Path, tmp_path: Path) -> None:
    pytest.importorskip("hydra_plugins.hydra_optuna_sweeper")
    sweep = tmp_path / "sweep"
    search = (
        "sweep=search", "trainer.max_epochs=2", "optimized_metric=val/psnr",
        "callbacks.pruning.pruner.n_startup_trials=0", "callbacks.pruning.pruner.n_warmup_steps=0",
        "callbacks.pruning.pruner._target_=optuna.pruners.MedianPruner",
    )  # fmt: skip
    good = "hydra.sweeper.n_trials=1", "optimizer.lr=interval(0.002,0.003)"
    assert train(shared_scene, sweep, *search, *good).returncode == 0
    # Whenever they validate, later jobs are worse than the good one.
    search += "hydra.sweeper.n_trials=4", "optimizer.lr=interval(1e-8,1e-7)"
    processes = [
        subprocess.Popen(
            command(shared_scene, sweep, *search, *more), cwd=tmp_path, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True,
        )
        for more in ([], ["hydra/launcher=joblib", "hydra.launcher.n_jobs=2"])
    ]  # fmt: skip
    said = [process.communicate(timeout=400)[0] for process in processes]
    assert [process.returncode for process in processes] == [0, 0], said
    with (sweep / "sweep.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    ends = [row["status"] for row in rows]
    assert len(ends) == 4
    assert set(ends) == {"finished", "pruned"}
    (reason,) = {row["failure"][:12] for row in rows if row["status"] == "pruned"}
    assert reason == "val/psnr is "
    found = [json.loads(path.read_text()) for path in sweep.glob("*/metrics.json")]
    best = yaml.safe_load((sweep / "optimization_results.yaml").read_text())["best_value"]
    assert best == max(metrics["val/psnr"] for metrics in found)
    again = train(shared_scene, sweep, *search)
    assert again.returncode == 0
    assert "Launching" not in again.stdout
    assert "Traceback" not in again.stdout + again.stderr + "".join(said)


def test_tests_of_several_settings_are_named_and_reported_as_trainings_are(
    shared_scene: Path, tmp_path: Path
) -> None:
    sweep = tmp_path / "sweep"
    words = [
        "-m", "dataset=folder", f"dataset.root={shared_scene}",
        "baseline=previous_frame,frame_difference", "logger=none", f"hydra.sweep.dir={sweep}",
    ]  # fmt: skip
    done = [run_command("evaluate", *words, folder=tmp_path) for _ in range(2)]
    assert [each.returncode for each in done] == [0, 0], done[0].stderr
    folder = only(sweep, "baseline-previous_frame_*")
    assert done[1].stdout.count("Finished already") == 2
    with (sweep / "sweep.csv").open(newline="") as file:
        rows = {row["baseline"]: row for row in csv.DictReader(file)}
    assert set(rows) == {"previous_frame", "frame_difference"}
    metrics = json.loads((folder / "metrics.json").read_text())
    assert float(rows["previous_frame"]["test/auroc"]) == metrics["test/auroc"]
    assert (sweep / "figures" / "ranking.png").exists()


def test_submitit_runs_the_jobs_of_a_plain_multirun(shared_scene: Path, tmp_path: Path) -> None:
    pytest.importorskip("hydra_plugins.hydra_submitit_launcher")
    sweep = tmp_path / "sweep"
    done = train(
        shared_scene, sweep, "hydra/launcher=submitit_local", "memory.size=3",
        "loss.compactness=0,0.1", "trainer.max_epochs=1",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    with (sweep / "sweep.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["loss.compactness"], row["status"]) for row in rows] == [
        ("0", "finished"), ("0.1", "finished"),
    ]  # fmt: skip
    assert list((sweep / ".submitit").iterdir())


def test_a_machine_without_slurm_is_refused_and_keeps_no_folder(
    shared_scene: Path, tmp_path: Path
) -> None:
    pytest.importorskip("hydra_plugins.hydra_submitit_launcher")
    if shutil.which("srun"):
        pytest.skip("This machine has SLURM.")
    done = train(shared_scene, tmp_path / "sweep", "hydra/launcher=submitit_slurm", "seed=0,1")
    assert done.returncode == 1
    assert done.stderr.startswith("hydra/launcher=submitit_slurm cannot work here")
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "sweep").exists()


def test_ray_runs_the_jobs_of_a_plain_multirun(shared_scene: Path, tmp_path: Path) -> None:
    pytest.importorskip("hydra_plugins.hydra_ray_launcher")
    sweep = tmp_path / "sweep"
    done = train(
        shared_scene, sweep, "hydra/launcher=ray", "memory.size=3", "loss.compactness=0,0.1",
        "trainer.max_epochs=1",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "Ray Launcher is launching 2 jobs" in done.stdout
    with (sweep / "sweep.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["loss.compactness"], row["status"]) for row in rows] == [
        ("0", "finished"), ("0.1", "finished"),
    ]  # fmt: skip
