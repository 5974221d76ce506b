"""A training leaves a whole model, whichever of its limits ends it."""

import logging
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import pytorch_lightning as pl
import torch

from memguard.data.clips.datamodule import ClipDataModule
from memguard.data.datasets.folder import folder
from memguard.detection.detector import Detector
from memguard.training.callbacks.batch_norm import MeasuredNorm
from memguard.training.callbacks.ending import WholeEnd, ends_here, planned_epochs
from memguard.training.callbacks.preemption import SafeCheckpoints
from tests.conftest import small_detector


class Notes(pl.Callback):
    """Notes the step of each validation, and whether the learning rate came down to 0."""

    def __init__(self) -> None:
        self.validated: list[int] = []
        self.rate = 1.0
        self.epochs = 0

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.validated.append(trainer.global_step)

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.rate = trainer.optimizers[0].param_groups[0]["lr"]
        self.epochs = planned_epochs(trainer)


def trained(
    scene: Path, cache: Path, *first: pl.Callback, **options: Any
) -> tuple[Detector, Notes]:
    """Train, in epochs of seven steps."""
    data = ClipDataModule(
        folder(scene), cache_dir=cache, past=4, frame_size=32, channels=1, batch_size=4,
        threads=0, holdout=0.25, seed=0,
    )  # fmt: skip
    detector, notes = small_detector(threshold="auto").train(), Notes()
    saved = SafeCheckpoints(every_minutes=0, dirpath=cache / "checkpoints", filename="last")
    trainer = pl.Trainer(
        accelerator="cpu", logger=False, enable_progress_bar=False, enable_model_summary=False,
        num_sanity_val_steps=0, use_distributed_sampler=False,
        callbacks=[*first, WholeEnd(), MeasuredNorm(), notes, saved], **options,
    )  # fmt: skip
    trainer.fit(detector, data)
    return detector, notes


@pytest.mark.parametrize(
    ("options", "steps", "epochs"),
    [
        ({"max_epochs": 2}, [7, 14], 2),
        ({"max_epochs": 2, "max_steps": 3}, [3], 1),
        ({"max_epochs": -1, "max_steps": 9}, [7, 9], 2),
        ({"max_epochs": 3, "max_steps": 9, "check_val_every_n_epoch": 5}, [9], 2),
        ({"max_epochs": 2, "check_val_every_n_epoch": 5}, [14], 2),
        ({"max_epochs": 1, "val_check_interval": 3}, [3, 6, 7], 1),
        ({"max_epochs": 2, "max_steps": 5, "min_epochs": 2}, [5], 1),
        # An epoch of seven batches has four steps then, the last of them from one batch.
        ({"max_epochs": 3, "max_steps": 5, "accumulate_grad_batches": 2}, [4, 5], 2),
        ({"max_epochs": 3, "limit_train_batches": 2, "max_steps": 4}, [2, 4], 2),
    ],
)
@pytest.mark.filterwarnings("ignore")
def test_its_last_step_is_measured_and_validated_and_saved(
    shared_scene: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture,
    options: dict[str, int], steps: list[int], epochs: int,
) -> None:  # fmt: skip
    with caplog.at_level(logging.INFO, "memguard.training.callbacks.batch_norm"):
        detector, notes = trained(shared_scene, tmp_path, **options)
    assert notes.validated == steps
    assert notes.rate == pytest.approx(0, abs=1e-9)
    assert notes.epochs == epochs
    assert (
        len([r for r in caplog.records if r.name == "memguard.training.callbacks.batch_norm"]) == 1
    )
    assert detector.alarm.calibrated
    saved = torch.load(tmp_path / "checkpoints" / "last.ckpt", weights_only=True)
    assert saved["global_step"] == steps[-1]
    for name, value in detector.state_dict().items():
        assert torch.equal(saved["state_dict"][name], value), name


def test_the_time_limit_leaves_a_whole_model_and_warns_of_its_schedule(
    shared_scene: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    limit = pl.callbacks.Timer(timedelta(microseconds=1))
    with (
        caplog.at_level(logging.INFO, "memguard.training.callbacks.batch_norm"),
        pytest.warns(UserWarning, match=r"after 1 of 21 steps.*trainer\.max_steps=1 trains"),
    ):
        detector, notes = trained(shared_scene, tmp_path, limit, max_epochs=3)
    assert notes.validated == [1]
    assert detector.alarm.calibrated
    assert (
        len([r for r in caplog.records if r.name == "memguard.training.callbacks.batch_norm"]) == 1
    )


def test_epochs_that_end_before_the_requested_steps_say_so(
    shared_scene: Path, tmp_path: Path
) -> None:
    with pytest.warns(
        UserWarning, match=r"max_epochs=1 ends this training after 7 of the 90 steps"
    ):
        trained(shared_scene, tmp_path, max_epochs=1, max_steps=90)


@pytest.mark.parametrize(
    ("options", "ends"),
    [
        ({}, False),
        ({"should_stop": True}, True),
        ({"should_stop": True, "min_epochs": 3}, False),
        ({"should_stop": True, "min_epochs": 2}, True),
        ({"should_stop": True, "min_steps": 14}, False),
        ({"should_stop": True, "min_steps": 13}, True),
        ({"max_steps": 14}, False),
        ({"max_steps": 13}, True),
        ({"max_epochs": 3}, False),
        ({"max_epochs": 3, "is_last_batch": True}, True),
        ({"is_last_batch": True}, False),
    ],
)
def test_a_step_is_the_last_one_where_a_limit_is_reached(
    options: dict[str, Any], ends: bool
) -> None:
    trainer: Any = SimpleNamespace(
        **{
            "global_step": 13, "current_epoch": 2, "max_steps": -1, "max_epochs": 9,
            "min_epochs": None, "min_steps": None, "is_last_batch": False, "should_stop": False,
        }
        | options
    )  # fmt: skip
    assert ends_here(trainer) is ends


@pytest.mark.filterwarnings("error")
def test_as_many_steps_as_the_epochs_have_are_no_reason_for_a_warning() -> None:
    trainer: Any = SimpleNamespace(
        max_epochs=2, max_steps=10, num_training_batches=9, accumulate_grad_batches=2
    )
    WholeEnd().on_train_start(trainer, trainer)
    trainer.max_steps = 11
    with pytest.warns(UserWarning, match="after 10 of the 11 steps"):
        WholeEnd().on_train_start(trainer, trainer)
