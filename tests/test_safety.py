"""What is saved of a training when not every epoch is to be kept."""

import os
import signal
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from memguard.safety import SafeCheckpoints

STEPS = 4  # of an epoch


class Line(pl.LightningModule):
    """Learns a line."""

    def __init__(self) -> None:
        super().__init__()
        self.line = nn.Linear(1, 1)

    def training_step(self, batch: Tensor, batch_idx: int) -> Tensor:
        return self.line(batch).square().mean()

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.1)


class Signal(pl.Callback):
    """Asks the training to stop, in one of its steps."""

    def __init__(self, step: int) -> None:
        self.step = step

    def on_train_batch_start(self, trainer: pl.Trainer, *_: Any) -> None:
        if trainer.global_step == self.step:
            os.kill(os.getpid(), signal.SIGTERM)


def fit(folder: Path, epochs: int, *callbacks: pl.Callback, max_steps: int = -1) -> None:
    keeper = SafeCheckpoints(
        every_minutes=10, dirpath=folder, filename="{epoch}", save_top_k=-1, save_last=True,
        every_n_epochs=2,
    )  # fmt: skip
    trainer = pl.Trainer(
        accelerator="cpu", max_epochs=epochs, max_steps=max_steps, logger=False,
        callbacks=[*callbacks, keeper], enable_progress_bar=False, enable_model_summary=False,
    )  # fmt: skip
    trainer.fit(Line(), DataLoader(torch.ones(STEPS, 1)))


def steps(folder: Path) -> dict[str, int]:
    """How far each checkpoint is."""
    return {
        path.name: torch.load(path, weights_only=True)["global_step"] for path in folder.iterdir()
    }


def test_the_last_epoch_is_saved_though_it_is_not_one_to_keep(tmp_path: Path) -> None:
    fit(tmp_path, 3)
    assert steps(tmp_path) == {"epoch=1.ckpt": 2 * STEPS, "last.ckpt": 3 * STEPS}


@pytest.mark.parametrize("end", [STEPS - 1, 2 * STEPS, 2 * STEPS + 1])
def test_what_a_training_ends_with_is_saved_wherever_that_is(tmp_path: Path, end: int) -> None:
    fit(tmp_path, 5, max_steps=end)
    assert steps(tmp_path)["last.ckpt"] == end


@pytest.mark.parametrize("step", [STEPS + 1, STEPS - 1, 3 * STEPS - 1])
def test_a_signal_loses_no_step(tmp_path: Path, step: int) -> None:
    with pytest.raises(SystemExit):
        fit(tmp_path, 5, Signal(step))
    assert steps(tmp_path)["last.ckpt"] == step + 1
