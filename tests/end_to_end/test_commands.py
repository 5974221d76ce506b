"""Whole commands, as users type them, on small real video files."""

import csv
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from omegaconf import OmegaConf

from memguard.config.compose import default_precision
from memguard.config.metric_names import IN_METRICS_JSON, OF_A_SCORE
from tests.end_to_end.conftest import run_command

# A network that trains in a second; everything else is as users have it.
SMALL = [
    "dataset=folder", "model=mnad_tiny", "model.width=4", "memory.dim=32", "memory.size=4",
    "data.frame_size=32", "data.threads=1", "trainer.max_epochs=2", "logger=csv",
]  # fmt: skip


def memguard(module: str, *overrides: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run a command in a folder of its own, and read what it says."""
    return run_command(module, *overrides, f"hydra.run.dir={folder}", folder=folder)


def train(scene: Path, folder: Path, *overrides: str) -> subprocess.CompletedProcess[str]:
    return memguard("train", *SMALL, f"dataset.root={scene}", *overrides, folder=folder)


def metrics_of(folder: Path) -> dict[str, float]:
    return json.loads((folder / "metrics.json").read_text())


def weights_of(path: Path) -> dict[str, Any]:
    return torch.load(path, weights_only=True)["state_dict"]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, shared_scene: Path) -> Path:
    """The folder of one training run, with the checkpoint of each epoch kept."""
    folder = tmp_path_factory.mktemp("run")
    done = train(
        shared_scene, folder,
        "callbacks.checkpoint.filename='{epoch}'",
        "+callbacks.checkpoint.auto_insert_metric_name=false",
        "+callbacks.checkpoint.save_top_k=-1",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return folder


def test_a_run_leaves_everything_in_its_folder(run: Path) -> None:
    names = {str(path.relative_to(run)) for path in run.rglob("*") if path.is_file()}
    expected = {
        "metrics.json", "scores.csv", "regions.csv", "provenance.json", "report.html",
        "curves/metrics.csv", "train.log", "config.yaml",
        "figures/scores.png", "figures/worst_frames.png", ".hydra/config.yaml",
    }  # fmt: skip
    assert expected <= names
    assert not [name for name in names if "=" in name]


def test_each_metric_of_a_run_is_known_as_an_objective(run: Path) -> None:
    named = metrics_of(run)
    assert len(named) > 20
    assert [n for n in named if n not in IN_METRICS_JSON and not n.startswith(OF_A_SCORE)] == []
    sure = {"train/loss", "val/psnr", "val/pseudo_auroc", "test/auroc", "test/eer"}
    assert sure <= named.keys() & set(IN_METRICS_JSON)


def test_scores_have_a_row_for_each_frame_that_has_a_past(run: Path) -> None:
    with (run / "scores.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == [
        "video", "frame", "psnr", "distance", "regular", "written", "score", "label",
    ]  # fmt: skip
    assert [(row["video"], int(row["frame"])) for row in rows] == [
        (video, frame) for video in ("0", "1") for frame in range(4, 20)
    ]
    assert [int(row["label"]) for row in rows] == ([0] * 6 + [1] * 10) * 2
    metrics = metrics_of(run)
    assert sum(int(row["written"]) for row in rows) == metrics["test/frames_written"]
    below = [float(row["regular"]) < metrics["guard/threshold"] for row in rows]
    assert below == [row["written"] == "1" for row in rows]


def test_the_score_in_the_file_is_the_published_one(run: Path) -> None:
    with (run / "scores.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    for video in ("0", "1"):
        psnr, distance, score = (
            np.array([float(row[name]) for row in rows if row["video"] == video])
            for name in ("psnr", "distance", "score")
        )
        unlike = (psnr.max() - psnr) / np.ptp(psnr)
        far = (distance - distance.min()) / np.ptp(distance)
        assert np.allclose(score, 0.6 * unlike + 0.4 * far, atol=1e-5)


def test_provenance_stands_beside_the_figures(run: Path) -> None:
    provenance = json.loads((run / "provenance.json").read_text())
    assert provenance["seed"] == 0
    assert provenance["command"].startswith("python -m memguard.train")
    assert provenance["minutes"] > 0
    assert 0.1 < provenance["peak_memory_gib"] < 8
    assert provenance["precision"] == default_precision()


def test_the_same_seed_gives_the_same_run_and_another_seed_another(
    run: Path, shared_scene: Path, tmp_path: Path
) -> None:
    assert train(shared_scene, tmp_path / "same").returncode == 0
    assert metrics_of(tmp_path / "same") == metrics_of(run)
    assert train(shared_scene, tmp_path / "other", "seed=1").returncode == 0
    assert metrics_of(tmp_path / "other") != metrics_of(run)


def test_evaluation_gives_the_training_runs_test_exactly(run: Path, tmp_path: Path) -> None:
    done = memguard("evaluate", f"checkpoint={run}/checkpoints/1.ckpt", folder=tmp_path / "again")
    assert done.returncode == 0, done.stderr
    trained = metrics_of(run)
    assert metrics_of(tmp_path / "again") == {
        name: value for name, value in trained.items() if name.startswith(("test/", "guard/"))
    }
    assert (tmp_path / "again" / "scores.csv").read_text() == (run / "scores.csv").read_text()


@pytest.mark.parametrize(
    ("module", "key", "overrides"),
    [
        ("evaluate", "checkpoint", []),
        ("score", "checkpoint", ["video=any.mp4"]),
        ("train", "weights", [*SMALL, "dataset.root=any"]),
        ("train", "checkpoint", [*SMALL, "dataset.root=any"]),
    ],
)
def test_a_checkpoint_that_asks_for_code_is_refused_by_each_command(
    run: Path, tmp_path: Path, module: str, key: str, overrides: list[str]
) -> None:
    checkpoint = torch.load(run / "checkpoints" / "1.ckpt", weights_only=True)
    path = {"_target_": "pathlib.Path", "_args_": [str(tmp_path / "pwned")]}
    checkpoint["memguard_config"]["guard"] = {"_target_": "pathlib.Path.touch", "self": path}
    hostile = tmp_path / "hostile.ckpt"
    torch.save(checkpoint, hostile)
    done = memguard(module, f"{key}={hostile}", *overrides, folder=tmp_path / "out")
    assert done.returncode == 1
    assert f"{hostile}: guard._target_ is pathlib.Path.touch" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "pwned").exists()


def test_the_bars_tell_loss_psnr_and_frames_written_and_a_line_the_supported_rates(
    shared_scene: Path, tmp_path: Path
) -> None:
    done = train(shared_scene, tmp_path / "run", "trainer.max_epochs=1")
    assert done.returncode == 0, done.stderr
    shown = " ".join(done.stdout.split())  # narrow bars wrap
    assert "loss:" in shown
    assert "psnr:" in shown
    written = metrics_of(tmp_path / "run")["test/frames_written"]
    assert f"dB, {written:.0f} memory updates" in shown
    assert "Held out: 2.2e-05 hours of normal video (2 frames" in shown
    assert "support no rate." in shown


def test_evaluation_changes_only_the_requested_settings(run: Path, tmp_path: Path) -> None:
    done = memguard(
        "evaluate", f"checkpoint={run}/checkpoints/1.ckpt", "guard.enabled=false",
        folder=tmp_path / "closed",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert metrics_of(tmp_path / "closed")["test/frames_written"] == 0
    trained, tested = (OmegaConf.load(f / "config.yaml") for f in (run, tmp_path / "closed"))
    assert tested.guard == {**trained.guard, "enabled": False}
    assert all(tested[part] == trained[part] for part in ("model", "memory", "loss", "scoring"))


def test_the_patch_score_is_not_normalised_and_counted_beside_the_published_one(
    run: Path, tmp_path: Path
) -> None:
    done = memguard(
        "evaluate", f"checkpoint={run}/checkpoints/1.ckpt", "scoring=patch", "scoring.causal=true",
        folder=tmp_path / "patch",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    metrics, trained = metrics_of(tmp_path / "patch"), metrics_of(run)
    assert metrics["test/auroc_published"] == trained["test/auroc"]
    with (tmp_path / "patch" / "scores.csv").open(newline="") as file:
        scores = [float(row["score"]) for row in csv.DictReader(file)]
    assert 0 < min(scores) < max(scores) < 1


def test_the_score_with_a_shared_range_is_the_one_counted_beside_the_published(
    run: Path, tmp_path: Path
) -> None:
    done = memguard(
        "evaluate", f"checkpoint={run}/checkpoints/1.ckpt", "scoring=shared_range", folder=tmp_path
    )
    assert done.returncode == 0, done.stderr
    metrics, trained = metrics_of(tmp_path), metrics_of(run)
    assert metrics["test/auroc"] == trained["test/auroc_shared_range"]
    assert metrics["test/auroc_published"] == trained["test/auroc"]
    assert "test/auroc_shared_range" not in metrics


@pytest.mark.parametrize("baseline", ["frame_difference", "previous_frame"])
def test_a_baseline_needs_no_checkpoint(baseline: str, shared_scene: Path, tmp_path: Path) -> None:
    done = memguard(
        "evaluate", f"baseline={baseline}", "dataset=folder", f"dataset.root={shared_scene}",
        folder=tmp_path / "run",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    metrics = metrics_of(tmp_path / "run")
    assert metrics["test/frames"] == 32
    assert 'id="memory"' not in (tmp_path / "run" / "report.html").read_text()
    term = {"frame_difference": "distance", "previous_frame": "psnr"}[baseline]
    assert metrics["test/auroc"] == metrics[f"test/auroc_{term}"] > 0.95


@pytest.mark.parametrize("overrides", [[], ["baseline=previous_frame", "checkpoint=last.ckpt"]])
def test_what_to_test_must_be_clear(overrides: list[str], tmp_path: Path) -> None:
    done = memguard("evaluate", *overrides, "dataset=street", folder=tmp_path / "run")
    assert done.returncode != 0
    sentence = "A test needs exactly one of checkpoint, run and baseline"
    assert [line for line in done.stderr.splitlines() if not line.startswith(sentence)] == []


def test_no_memory_and_a_single_item_are_trained_and_tested(
    shared_scene: Path, tmp_path: Path
) -> None:
    without = [item for item in SMALL if item != "memory.size=4"]
    for name, overrides in (
        ("none", ["memory=none"]),
        ("one", ["memory.size=1", "loss.separateness=0"]),
    ):
        done = memguard(
            "train", *without, f"dataset.root={shared_scene}", *overrides, "trainer.max_epochs=1",
            folder=tmp_path / name,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
    none, one = (metrics_of(tmp_path / name) for name in ("none", "one"))
    none_page, one_page = ((tmp_path / n / "report.html").read_text() for n in ("none", "one"))
    assert 'id="item-0"' in one_page
    assert 'id="memory"' not in none_page
    assert "test/auroc_distance" not in none  # nothing is far from a memory that is not there
    assert one["test/auroc_distance"] != 0.5


def test_scope_video_scores_a_video_alike_whatever_came_before(
    run: Path, shared_scene: Path, tmp_path: Path
) -> None:
    alone = tmp_path / "alone"
    (alone / "test").mkdir(parents=True)
    shutil.copy(shared_scene / "test" / "1.mp4", alone / "test")
    for name, root in (("both", shared_scene), ("one", alone)):
        done = memguard(
            "evaluate", f"checkpoint={run}/checkpoints/1.ckpt", f"dataset.root={root}",
            "guard.scope=video", folder=tmp_path / name,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr

    def rows_of_video_1(name: str) -> list[list[str]]:
        lines = (tmp_path / name / "scores.csv").read_text().splitlines()
        return [line.split(",")[:7] for line in lines if line.startswith("1,")]

    assert rows_of_video_1("both") == rows_of_video_1("one")
    assert len(rows_of_video_1("one")) == 16


def test_a_resumed_run_ends_as_one_that_was_not_interrupted(
    run: Path, shared_scene: Path, tmp_path: Path
) -> None:
    done = train(shared_scene, tmp_path / "resumed", f"checkpoint={run}/checkpoints/0.ckpt")
    assert done.returncode == 0, done.stderr
    whole = weights_of(run / "checkpoints" / "1.ckpt")
    resumed = weights_of(tmp_path / "resumed" / "checkpoints" / "last.ckpt")
    assert whole.keys() == resumed.keys()
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)


def test_a_training_begins_with_the_weights_of_another(
    run: Path, shared_scene: Path, tmp_path: Path
) -> None:
    learned = run / "checkpoints" / "1.ckpt"
    hardly = ("optimizer.lr=1e-9", "trainer.max_epochs=1")
    done = train(shared_scene, tmp_path / "more", f"weights={learned}", *hardly)
    assert done.returncode == 0, done.stderr
    more = tmp_path / "more" / "checkpoints" / "last.ckpt"
    assert torch.load(more, weights_only=True)["epoch"] == 0  # its schedule is its own
    descended_on = "autoencoder.encoder.blocks.0.0.weight"
    assert torch.allclose(weights_of(learned)[descended_on], weights_of(more)[descended_on])


def test_an_interrupt_leaves_no_process_behind(shared_scene: Path, tmp_path: Path) -> None:
    command = [
        sys.executable, "-m", "memguard.train", *SMALL, f"dataset.root={shared_scene}",
        "data.threads=2", "trainer.max_epochs=1000", f"hydra.run.dir={tmp_path}",
    ]  # fmt: skip
    with subprocess.Popen(
        command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        start_new_session=True,
    ) as process:  # fmt: skip
        assert process.stdout
        assert any("Epoch 2 of" in line for line in process.stdout)
        os.killpg(process.pid, signal.SIGINT)  # as a terminal sends it: to all of them
        process.communicate(timeout=60)
    assert process.returncode != 0
    with pytest.raises(ProcessLookupError):  # nobody is left in its group
        os.killpg(process.pid, 0)


def test_training_on_cpu_resolves_a_multirun(shared_scene: Path, tmp_path: Path) -> None:
    done = memguard(
        "train", "-m", *SMALL, f"dataset.root={shared_scene}", "trainer.max_epochs=1",
        "memory.size=3,4", f"hydra.sweep.dir={tmp_path}/sweep", folder=tmp_path,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    jobs = sorted(path.parent.name for path in (tmp_path / "sweep").rglob("metrics.json"))
    assert len(jobs) == 2
    assert not [job for job in jobs if "=" in job]
    assert "memory.size-3" in jobs[0]


def test_wandb_logs_offline_unless_logged_in(
    shared_scene: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.delenv("WANDB_API_KEY", raising=False)
    monkeypatch.delenv("WANDB_MODE", raising=False)
    done = train(shared_scene, tmp_path / "run", "logger=wandb", "trainer.max_epochs=1")
    assert done.returncode == 0, done.stderr
    records = list((tmp_path / "run" / "wandb").glob("offline-run-*/run-*.wandb"))
    assert len(records) == 1
    said = done.stdout + done.stderr
    assert said.count(f"W&B is offline: wandb sync {records[0].parent}") == 1
    assert "wandb:" not in said  # lines of its own
    shown = {path.stem.split("_")[0] for path in (tmp_path / "run").rglob("media/**/*.png")}
    assert shown == {"scores", "worst", "written", "curves", "items", "held"}


def test_the_test_can_be_left_out_or_cut_short(shared_scene: Path, tmp_path: Path) -> None:
    for name, overrides in (
        ("without", ["test=false"]),
        ("limited", ["trainer.limit_test_batches=0"]),
    ):
        done = train(shared_scene, tmp_path / name, *overrides, "trainer.max_steps=2")
        assert done.returncode == 0, done.stderr
        metrics = metrics_of(tmp_path / name)
        assert "val/psnr" in metrics
        assert not [key for key in metrics if key.startswith("test/")]
        assert not (tmp_path / name / "scores.csv").exists()
        assert (tmp_path / name / "report.html").exists()
    done = train(shared_scene, tmp_path / "quick", "trainer.fast_dev_run=true")
    assert done.returncode == 0, done.stderr
    assert metrics_of(tmp_path / "quick")["test/frames"] == 16
    assert "do not compare" in done.stdout


def test_reconstruction_scores_every_frame(shared_scene: Path, tmp_path: Path) -> None:
    done = train(shared_scene, tmp_path / "recon", "task=recon", "trainer.max_epochs=1")
    assert done.returncode == 0, done.stderr
    assert metrics_of(tmp_path / "recon")["test/frames"] == 40


def test_real_avenue_as_released_ends_with_its_masks_labels(
    real_data: Path, tmp_path: Path
) -> None:
    done = train(
        real_data / "avenue", tmp_path / "run", "dataset=avenue", "task=recon",
        "trainer.max_epochs=1",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    metrics = metrics_of(tmp_path / "run")
    assert metrics["test/frames"] == metrics["test/frames_anomalous"] == 36
    assert "test/auroc" not in metrics  # there is nothing to tell apart
    assert "labelled frames are all of one class" in done.stdout
    assert json.loads((tmp_path / "run" / "provenance.json").read_text())["label_set"] == "masks"


def test_unlabelled_videos_are_scored(scene: Path, tmp_path: Path) -> None:
    (scene / "labels.csv").unlink()
    done = train(scene, tmp_path / "run", "trainer.max_epochs=1")
    assert done.returncode == 0, done.stderr
    assert "test/auroc" not in metrics_of(tmp_path / "run")
    assert "folder has no labels: its test videos are scored, but no AUROC" in done.stdout
    assert "There is no AUROC: no frame has a label." in done.stdout
    assert (tmp_path / "run" / "scores.csv").read_text().splitlines()[1].endswith(",")


@pytest.mark.parametrize(
    ("override", "sentence"),
    [
        ("dataset.root=/nowhere/at/all", "/nowhere/at/all: there is no such folder"),
        ("memory.size=1", "memory.size=1 cannot work"),
        ("batch_norm=none", "batch_norm=none cannot work: it must be measured or running."),
        ("checkpoint=/no/last.ckpt", "There is no checkpoint /no/last.ckpt: set checkpoint to"),
        ("weights=/no/last.ckpt", "There is no checkpoint /no/last.ckpt: set weights to"),
    ],
)
def test_a_mistake_is_one_sentence_and_no_traceback(
    shared_scene: Path, tmp_path: Path, override: str, sentence: str
) -> None:
    done = train(shared_scene, tmp_path / "run", override)
    assert done.returncode != 0
    assert sentence in done.stderr
    assert "Traceback" not in done.stdout + done.stderr


@pytest.mark.parametrize(
    ("module", "overrides", "sentence"),
    [
        ("train", ["trainer.accelerator=nothing"], "accelerator=nothing cannot work"),
        ("train", ["trainer.devices=0", "logger=wandb"], "trainer cannot work: .*devices=0"),
        ("train", ["+optimizer.betas=[2,3]"], "optimizer cannot work: Invalid beta parameter"),
        (
            "train",
            ["+callbacks.mine._target_=os.getcwd"],
            "callbacks.mine is not a callback of Lightning",
        ),
        ("train", ["trainer.max_epoch=3"], "did you mean trainer.max_epochs?"),
        ("train", ["trainer.gradient_clip_val=-1"], "gradient_clip_val=-1 cannot work"),
        (
            "train",
            ["logger=wandb", "+logger.wandb.foo=1"],
            "logger.wandb.foo is not known: did you mean",
        ),
        ("train", ["logger=wandb", "logger.wandb.project=5"], "logger.* cannot work: "),
        (
            "train",
            ["logger=tensorboard", "+logger.tensorboard.flush_sec=1"],
            "logger.tensorboard.flush_sec is not known: did you mean .*flush_secs?",
        ),
        ("evaluate", ["checkpoint=/no/last.ckpt"], "There is no checkpoint /no/last.ckpt"),
        ("score", ["checkpoint=/no/last.ckpt", "video=a.mp4"], "There is no checkpoint"),
    ],
)
def test_a_refused_command_is_a_sentence_and_leaves_nothing(
    shared_scene: Path, tmp_path: Path, module: str, overrides: list[str], sentence: str
) -> None:
    dataset = ["dataset=folder", f"dataset.root={shared_scene}", "model=mnad_tiny"]
    words = [*(dataset if module == "train" else []), *overrides]
    offline = os.environ | {"WANDB_MODE": "offline"}
    done = run_command(module, *words, folder=tmp_path, environment=offline)
    assert done.returncode == 1
    assert re.search(sentence, done.stderr), done.stderr
    assert "Traceback" not in done.stdout + done.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_truncated_video_stops_before_training(scene: Path, tmp_path: Path) -> None:
    damaged = scene / "train" / "1.mp4"
    damaged.write_bytes(damaged.read_bytes()[:-2000])
    done = train(scene, tmp_path / "run")
    assert done.returncode != 0
    assert str(damaged) in done.stderr
    assert "Traceback" not in done.stdout + done.stderr
    assert not (tmp_path / "run" / "checkpoints").exists()


@pytest.mark.parametrize(
    ("key", "remedy"),
    [
        ("checkpoint", "or leave checkpoint out"),
        ("weights", "or set weights to another checkpoint"),
    ],
)
@pytest.mark.parametrize("override", ["memory.size=5", "task=recon"])
def test_a_checkpoint_of_another_shape_or_task_is_refused(
    run: Path, shared_scene: Path, tmp_path: Path, key: str, remedy: str, override: str
) -> None:
    checkpoint = run / "checkpoints" / "0.ckpt"
    done = train(shared_scene, tmp_path / "run", f"{key}={checkpoint}", override)
    assert done.returncode != 0
    assert f"{checkpoint} was trained with" in done.stderr
    assert remedy in done.stderr
    assert "Traceback" not in done.stdout + done.stderr


def test_another_programs_checkpoint_is_refused(tmp_path: Path) -> None:
    other = tmp_path / "other.ckpt"
    torch.save({"state_dict": {}}, other)
    done = memguard("evaluate", f"checkpoint={other}", folder=tmp_path)
    assert done.returncode != 0
    assert f"{other} is not a checkpoint of memguard" in done.stderr


def test_skipped_videos_are_counted_beside_the_figures(scene: Path, tmp_path: Path) -> None:
    damaged = scene / "train" / "1.mp4"
    damaged.write_bytes(damaged.read_bytes()[:-2000])
    done = train(scene, tmp_path / "run", "dataset.on_error=skip", "trainer.max_epochs=1")
    assert done.returncode == 0, done.stderr
    metrics = metrics_of(tmp_path / "run")
    assert (metrics["data/skipped_train"], metrics["data/skipped_test"]) == (1, 0)
    assert f"Left out: {damaged}" in (tmp_path / "run" / "train.log").read_text()


def test_preparation_prints_a_table_and_every_problem(scene: Path, tmp_path: Path) -> None:
    command = [
        "prepare",
        "dataset=folder",
        f"dataset.root={scene}",
        f"paths.cache_dir={tmp_path}/c",
    ]
    done = memguard(*command, folder=tmp_path / "whole")
    assert done.returncode == 0, done.stderr
    assert "64×48" in done.stdout
    assert list((tmp_path / "whole").iterdir()) == []
    bad = scene / "train" / "0.mp4", scene / "train" / "1.mp4"
    for path in bad:
        path.write_bytes(path.read_bytes()[:-2000])
    done = memguard(*command, folder=tmp_path / "damaged")
    assert done.returncode != 0
    assert all(str(path) in done.stderr for path in bad)
    assert "64×48" in done.stdout
    assert "Traceback" not in done.stdout + done.stderr


def test_an_unavailable_dataset_is_reported_with_its_page(tmp_path: Path) -> None:
    done = memguard(
        "prepare", "dataset=folder", f"dataset.root={tmp_path}/new", "download=true",
        folder=tmp_path,
    )  # fmt: skip
    assert done.returncode != 0
    assert "dataset=folder cannot be downloaded" in done.stderr
