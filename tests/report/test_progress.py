"""What the bars show while a training runs."""

from types import SimpleNamespace
from typing import Any

import pytest
import torch

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
