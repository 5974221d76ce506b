"""Averaged weights: by the formula, applied in validation and tests, and saved."""

from pathlib import Path

import pytest
import pytorch_lightning as pl
import torch
from torch import Tensor

from memguard.data.clips.datamodule import ClipDataModule
from memguard.data.datasets.folder import folder
from memguard.detection.detector import Detector
from memguard.errors import CheckpointError
from memguard.training.callbacks.averaging import (
    AVERAGED_KEY,
    AveragedWeights,
    averaged_weights,
    require_same_averaging,
)
from tests.conftest import small_detector

DECAY = 0.75
STEPS = 2  # of an epoch


class Watch(pl.Callback):
    """Keeps the first weights of the encoder after each step and in each validation."""

    def __init__(self) -> None:
        self.taken: list[Tensor] = []
        self.validated: list[Tensor] = []
        self.applied: list[Tensor] = []

    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule, *_: object):
        self.taken.append(first_weights(pl_module))
        with averaged_weights(trainer, pl_module):
            self.applied.append(first_weights(pl_module))

    def on_validation_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.validated.append(first_weights(pl_module))


def first_weights(module: pl.LightningModule) -> Tensor:
    return next(module.parameters()).detach().clone()


def trained(scene: Path, cache_dir: Path, *callbacks: pl.Callback) -> tuple[Detector, pl.Trainer]:
    data = ClipDataModule(
        folder(scene), cache_dir=cache_dir, past=4, frame_size=32, channels=1, batch_size=4,
        threads=0, holdout=0.25, seed=0,
    )  # fmt: skip
    trainer = pl.Trainer(
        accelerator="cpu", max_epochs=2, logger=False, callbacks=list(callbacks),
        enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False,
        num_sanity_val_steps=0, limit_train_batches=STEPS, use_distributed_sampler=False,
    )  # fmt: skip
    detector = small_detector(threshold="auto").train()
    trainer.fit(detector, data)
    return detector, trainer


def averages(weights: list[Tensor]) -> list[Tensor]:
    """The average after each step, by its definition."""
    found = [weights[0]]
    for weight in weights[1:]:
        found.append(DECAY * found[-1] + (1 - DECAY) * weight)
    return found


@pytest.fixture
def plain(shared_scene: Path, tmp_path: Path) -> Detector:
    return trained(shared_scene, tmp_path)[0]


@pytest.mark.parametrize("first", [True, False], ids=["before", "after"])
def test_validations_and_the_end_have_the_average_and_steps_do_without_it(
    shared_scene: Path, tmp_path: Path, plain: Detector, first: bool
) -> None:
    watch, averaging = Watch(), AveragedWeights(decay=DECAY)
    order = (watch, averaging) if first else (averaging, watch)
    detector, _ = trained(shared_scene, tmp_path, *order)
    assert len(watch.taken) == 2 * STEPS
    expected = averages(watch.taken)
    torch.testing.assert_close(watch.applied, expected)
    torch.testing.assert_close(watch.validated, expected[STEPS - 1 :: STEPS])
    torch.testing.assert_close(first_weights(detector), expected[-1])
    # A step begins from the weights and items of the last one.
    assert torch.equal(watch.taken[-1], first_weights(plain))
    assert torch.equal(detector.memory.items, plain.memory.items)
    assert not torch.equal(detector.guard.normal_scores, plain.guard.normal_scores)


def test_a_checkpoint_has_the_average_and_the_last_step(shared_scene: Path, tmp_path: Path) -> None:
    watch, averaging = Watch(), AveragedWeights(decay=DECAY)
    seen: list[dict[str, dict[str, Tensor]]] = []

    class Saves(pl.Callback):
        def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
            trainer.save_checkpoint(tmp_path / "some.ckpt", weights_only=False)
            seen.append(torch.load(tmp_path / "some.ckpt", weights_only=True))

    detector, _ = trained(shared_scene, tmp_path, watch, averaging, Saves())
    name = next(iter(dict(detector.named_parameters())))
    torch.testing.assert_close(seen[-1]["state_dict"][name], averages(watch.taken)[-1])
    assert torch.equal(seen[-1]["current_model_state"][name], watch.taken[-1])
    # The guard and the alarm are calibrated with the average.
    assert seen[-1]["state_dict"].keys() == detector.state_dict().keys()
    for name, value in detector.state_dict().items():
        assert torch.equal(seen[-1]["state_dict"][name], value), name


@pytest.mark.parametrize(
    ("callbacks", "checkpoint", "sentence"),
    [
        ([], {AVERAGED_KEY: {}}, "trained with averaged weights: add callbacks=ema to resume"),
        ([AveragedWeights(0.9)], {}, "without averaged weights: leave callbacks=ema out"),
    ],
)
def test_no_training_resumes_another_kind(
    callbacks: list[pl.Callback], checkpoint: dict[str, object], sentence: str
) -> None:
    trainer = pl.Trainer(accelerator="cpu", callbacks=callbacks, logger=False)
    with pytest.raises(CheckpointError, match=sentence):
        require_same_averaging(trainer, checkpoint)
    require_same_averaging(pl.Trainer(accelerator="cpu", logger=False), {})
