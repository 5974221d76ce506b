"""What the bars show while a training runs."""

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from rich.progress import Progress

from memguard.report.progress import ProgressBar


def test_a_bar_asks_the_device_for_its_numbers_twice_a_second_at_most(
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
