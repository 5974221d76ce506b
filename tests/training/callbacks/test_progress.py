"""The bars while a training runs."""

import logging
from types import SimpleNamespace
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from rich.progress import Progress
from torch import Tensor, nn
from torch.utils.data import DataLoader

from memguard.training.callbacks.progress import ProgressBar


def test_a_bar_reads_metrics_from_the_device_twice_a_second_at_most(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = 100.0
    monkeypatch.setattr("time.monotonic", lambda: now)
    bar = ProgressBar()
    trainer: Any = SimpleNamespace(loggers=[], progress_bar_metrics={"loss": torch.tensor(1.0)})
    module: Any = None
    assert bar.get_metrics(trainer, module) == {"loss": 1}
    trainer.progress_bar_metrics = {"loss": torch.tensor(2.0)}
    now += 0.4
    assert bar.get_metrics(trainer, module) == {"loss": 1}
    now += 0.2
    assert bar.get_metrics(trainer, module) == {"loss": 2}


def test_batches_that_go_by_again_move_the_trainings_bar_and_put_it_back() -> None:
    bar = ProgressBar()
    progress: Any = Progress()
    bar.progress = progress
    bar.train_progress_bar_id = progress.add_task("Epoch 1/2", total=3, completed=3)

    def shown() -> tuple[str, float]:
        return bar.train_progress_bar.description, bar.train_progress_bar.completed

    moved = [(batch, *shown()) for batch in bar.once_more("abc", "Batch norm")]
    assert moved == [("a", "Batch norm", 0), ("b", "Batch norm", 1), ("c", "Batch norm", 2)]
    assert shown() == ("Epoch 1/2", 3)
    bar.disable()
    assert [(batch, *shown()) for batch in bar.once_more("a", "Batch norm")] == [
        ("a", "Epoch 1/2", 3)
    ]


class OneWeight(pl.LightningModule):
    """Learns next to nothing, in two batches an epoch."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(1))

    def train_dataloader(self) -> DataLoader[int]:
        return DataLoader([0, 1])  # type: ignore[arg-type]

    def training_step(self, batch: Tensor, batch_idx: int) -> Tensor:
        return self.weight.sum()

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.1)


class Descriptions(pl.Callback):
    """Notes how the training's bar is described at each epoch's end."""

    def __init__(self, bar: ProgressBar) -> None:
        self.bar = bar
        self.seen: list[str] = []

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.seen.append(self.bar.train_progress_bar.description.strip())


@pytest.mark.parametrize(
    ("limit", "bar_says", "log_says"),
    [
        ({"max_epochs": 3}, ["Epoch 1/3", "Epoch 2/3", "Epoch 3/3"],
         ["Epoch 1 of 3:", "Epoch 2 of 3:", "Epoch 3 of 3:"]),
        ({"max_epochs": -1, "max_steps": 4}, ["Epoch 1", "Epoch 2"], ["Epoch 1:", "Epoch 2:"]),
    ],
    ids=["epochs", "steps"],
)  # fmt: skip
@pytest.mark.filterwarnings("ignore")
def test_bar_and_log_count_epochs_alike_from_1_to_their_number(
    limit: dict[str, int], bar_says: list[str], log_says: list[str],
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    bar = ProgressBar()
    descriptions = Descriptions(bar)
    trainer = pl.Trainer(
        logger=False, enable_checkpointing=False, enable_model_summary=False, accelerator="cpu",
        callbacks=[bar, descriptions], **limit,
    )  # type: ignore[arg-type]  # fmt: skip
    with caplog.at_level(logging.INFO, "memguard.training.callbacks.progress"):
        trainer.fit(OneWeight())
    assert descriptions.seen == bar_says
    own = [
        r.message.strip()
        for r in caplog.records
        if r.name == "memguard.training.callbacks.progress"
    ]
    assert own == log_says
