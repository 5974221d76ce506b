"""The habits of users of Lightning and of its templates, each without a ``+``."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch

import memguard
from memguard.errors import UserError
from tests.end_to_end.conftest import SMALL

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


def train(scene: Path, folder: Path, *words: str) -> dict[str, float]:
    config = memguard.compose([*OWN, f"dataset.root={scene}", *words])
    return memguard.train(config, folder)


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


def test_options_of_the_trainer_need_no_plus(shared_scene: Path, work: Path) -> None:
    words = ("trainer.accumulate_grad_batches=2", "trainer.gradient_clip_val=1", "test=false")
    train(shared_scene, work / "run", *words, "logger=none")
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
