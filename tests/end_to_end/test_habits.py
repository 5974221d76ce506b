"""The habits of users of Lightning and of its templates, each without a ``+``."""

import json
import logging
import re
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch

import memguard
from memguard.errors import UserError
from tests.end_to_end.conftest import SMALL, run_together

# Whoever debugs must not have to leave W&B out; figures take most of the time.
OWN = [
    *(word for word in SMALL if word != "logger=csv"),
    "data.batch_size=2",
    *("~callbacks.memory", "~callbacks.held_out_clips", "~callbacks.test_figures"),
]  # fmt: skip
STEPS_PER_EPOCH = 10


@pytest.fixture
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("MEMGUARD_CACHE", str(tmp_path / "cache"))
    return tmp_path


def train(scene: Path, folder: Path, *words: str, in_sweep: bool = False) -> dict[str, float]:
    config = memguard.compose([*OWN, f"dataset.root={scene}", *words])
    return memguard.train(config, folder, in_sweep=in_sweep)


def newest(folder: Path) -> dict[str, Any]:
    return torch.load(folder / "checkpoints" / "last.ckpt", weights_only=True)


def test_fast_dev_run_tries_a_batch_and_saves_nothing(shared_scene: Path, work: Path) -> None:
    metrics = train(shared_scene, work / "run", "trainer=cpu", "debug=fast_dev_run")
    assert metrics["test/frames"] == 16
    assert not (work / "run" / "checkpoints").exists()
    assert not (work / "run" / "wandb").exists()


def test_limited_and_overfitting_runs_are_short(shared_scene: Path, work: Path) -> None:
    train(shared_scene, work / "limit", "debug=limit", "trainer.max_epochs=1", "test=false")
    assert newest(work / "limit")["global_step"] == 5 < STEPS_PER_EPOCH
    train(shared_scene, work / "overfit", "debug=overfit")
    assert newest(work / "overfit")["global_step"] == 2 * 3  # SMALL's two epochs, on three batches
    assert not list(work.glob("*/wandb"))


def test_a_profile_says_where_the_time_goes(
    shared_scene: Path, work: Path, caplog: pytest.LogCaptureFixture
) -> None:
    train(shared_scene, work / "run", "debug=profile", "trainer.max_epochs=1", "test=false")
    assert "FIT Profiler Report" in caplog.text
    assert not (work / "run" / "wandb").exists()


def test_a_training_begins_with_its_configuration_and_a_line_about_it(
    shared_scene: Path,
    work: Path,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    short = ("trainer.max_steps=1", "trainer.max_epochs=1", "test=false", "logger=none")
    train(shared_scene, work / "run", *short)
    assert re.search(r"Configuration\n.* memory\n.* size: 4\n", capsys.readouterr().out, re.DOTALL)
    (line,) = [m for m in caplog.messages if "windows per epoch" in m]
    assert re.fullmatch(
        r"Autoencoder with 4 items: [\d,]+ parameters, (cpu|.*NVIDIA.*), [\w-]+, "
        r"20 windows per epoch", line,
    )  # fmt: skip
    train(shared_scene, work / "silent", *short, "print_config=false")
    train(shared_scene, work / "job", *short, in_sweep=True)
    assert "Configuration" not in capsys.readouterr().out


def test_options_of_the_trainer_need_no_plus(shared_scene: Path, work: Path) -> None:
    words = ("trainer.accumulate_grad_batches=2", "trainer.gradient_clip_val=1", "test=false")
    train(shared_scene, work / "run", *words, "logger=none", "tags=[wide,second]")
    assert json.loads((work / "run" / "provenance.json").read_text())["tags"] == ["wide", "second"]
    assert newest(work / "run")["global_step"] == 2 * STEPS_PER_EPOCH // 2


@pytest.fixture(scope="module")
def run(shared_scene: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("habits") / "run"
    train(shared_scene, folder, "logger=none")
    return folder


def test_a_checkpoint_is_tested_alone_under_the_settings_of_its_training(
    run: Path, shared_scene: Path, work: Path
) -> None:
    last = run / "checkpoints" / "last.ckpt"
    words = ("train=false", f"checkpoint={last}", "logger=none")
    again = train(shared_scene, work / "again", *words)
    trained = json.loads((run / "metrics.json").read_text())
    assert again == {name: value for name, value in trained.items() if name in again}
    assert again["test/frames"] == 32
    assert not [name for name in again if name.startswith(("train/", "val/"))]
    assert not (work / "again" / "checkpoints").exists()
    patch = train(shared_scene, work / "patch", *words, "scoring=patch", "optimizer.lr=1")
    assert patch["test/auroc_published"] == trained["test/auroc"]
    with pytest.raises(UserError, match=r"last.ckpt was trained with memory.size=4, now 5. Repeat"):
        train(shared_scene, work / "other", *words, "memory.size=5")
    with pytest.raises(UserError, match="holds the results of another run"):
        train(shared_scene, run, *words)


class SetMetric(pl.Callback):
    """Logs a metric of the validation that is best after the first epoch."""

    def on_validation_epoch_end(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        module.log("val/set", 1.0 / (trainer.current_epoch + 1))


SET = (
    f"+callbacks.set._target_={__name__}.SetMetric", "~callbacks.pseudo_auroc", "logger=none",
    "trainer.max_epochs=4",
)  # fmt: skip


def test_the_best_epoch_is_tested_as_a_whole_model(
    shared_scene: Path, work: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    metrics = train(
        shared_scene, work / "run", *SET, "callbacks=[best,early_stopping]",
        "callbacks.checkpoint.monitor=val/set", "callbacks.early_stopping.monitor=val/set",
        "callbacks.early_stopping.patience=2",
    )  # fmt: skip
    # Two epochs were no better.
    assert newest(work / "run")["global_step"] == 3 * STEPS_PER_EPOCH
    assert newest(work / "run")["epoch"] == 2  # saved as it ended
    best = work / "run" / "checkpoints" / "best.ckpt"
    assert torch.load(best, weights_only=True)["epoch"] == 0
    assert "Epoch 1 is tested, the best by val/set (1)" in caplog.messages
    assert sum("Batch norm is measured" in line for line in caplog.messages) == 3
    assert metrics["val/set"] == 1
    words = ("train=false", f"checkpoint={best}", "logger=none")
    alone = train(shared_scene, work / "alone", *words)
    assert alone == {name: value for name, value in metrics.items() if name in alone}


def test_averaged_weights_are_tested_saved_and_resumed(shared_scene: Path, work: Path) -> None:
    words = ("callbacks=[each_epoch,ema]", "callbacks.ema.decay=0.9", "logger=none")
    metrics = train(shared_scene, work / "run", *words)
    checkpoints = work / "run" / "checkpoints"
    alone = ("train=false", "logger=none", f"checkpoint={checkpoints / 'last.ckpt'}")
    again = train(shared_scene, work / "again", *alone)
    assert again == {name: value for name, value in metrics.items() if name in again}
    resumed = f"checkpoint={checkpoints / 'epoch00.ckpt'}"
    assert train(shared_scene, work / "resumed", *words, resumed) == metrics
    with pytest.raises(UserError, match="add callbacks=ema to resume"):
        train(shared_scene, work / "other", "logger=none", resumed)


def test_frames_need_not_be_square(shared_scene: Path, work: Path) -> None:
    words = ("data.frame_size=[24,40]", "logger=none", "loss=ms_ssim", "loss.ms_ssim.scales=1")
    metrics = train(shared_scene, work / "run", *words)
    last = work / "run" / "checkpoints" / "last.ckpt"
    again = train(shared_scene, work / "again", *words, "train=false", f"checkpoint={last}")
    assert again == {name: value for name, value in metrics.items() if name in again}
    table = memguard.load(last).score(shared_scene / "test" / "0.mp4")
    # The square crosses the picture, 48 × 64, in rows 18 to 30, 5 pixels a frame from frame 10 on.
    worst = max((row for row in table if row["frame"] > 12), key=lambda row: row["score"])
    left = (worst["frame"] - 10) * 5 % 52
    assert left - 5 - (worst["right"] - worst["left"]) < worst["left"] < left + 12
    assert 18 - (worst["bottom"] - worst["top"]) < worst["top"] < 30
    # A patch of 0.2 and 0.1 is 5 × 4 pixels of a frame: 10 × 6.4 of the picture.
    for row in table:
        assert row["right"] - row["left"] in (6, 7)
        assert row["bottom"] - row["top"] == 10
        assert max(row["right"] - 64, row["bottom"] - 48) <= 0 <= min(row["left"], row["top"])


def test_a_sweep_over_seeds_prints_no_configuration(shared_scene: Path, work: Path) -> None:
    short = ("trainer.max_steps=1", "trainer.max_epochs=1", "test=false", "logger=none")
    words = ["-m", *OWN, f"dataset.root={shared_scene}", *short, "seed=1,2", "tags=[a,b]"]
    sweep = work / "sweep"
    (ended,) = run_together(work / "work", "train", [*words, f"hydra.sweep.dir={sweep}"])
    assert ended.status == 0, ended.said
    made = [json.loads(file.read_text()) for file in sweep.glob("*/provenance.json")]
    assert sorted((job["seed"], *job["tags"]) for job in made) == [(1, "a", "b"), (2, "a", "b")]
    assert "Configuration" not in ended.said
    assert ended.said.count("windows per epoch") == 2
