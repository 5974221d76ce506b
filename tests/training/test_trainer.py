"""The callbacks that every training needs."""

import pytest
from omegaconf import OmegaConf
from pytorch_lightning.callbacks import Timer

from memguard.training.trainer import training_callbacks


@pytest.mark.parametrize("limit", ["00:01:30:00", {"hours": 1, "minutes": 30}])
def test_a_time_limit_is_the_first_callback(limit: str | dict[str, int]) -> None:
    config = OmegaConf.create({"trainer": {"max_time": limit}, "batch_norm": "running"})
    first = next(training_callbacks(config))
    assert isinstance(first, Timer)
    assert first._duration == 5400


def test_without_a_time_limit_there_is_no_timer() -> None:
    config = OmegaConf.create({"trainer": {"max_time": None}, "batch_norm": "running"})
    assert not any(isinstance(callback, Timer) for callback in training_callbacks(config))
