"""The callbacks that every training needs."""

from pathlib import Path

import pytest
from omegaconf import OmegaConf
from pytorch_lightning.callbacks import Timer

from memguard.errors import ConfigError
from memguard.training.run_folder import Run
from memguard.training.trainer import build_trainer, training_callbacks


@pytest.mark.parametrize("limit", ["00:01:30:00", {"hours": 1, "minutes": 30}])
def test_a_time_limit_is_the_first_callback(limit: str | dict[str, int]) -> None:
    config = OmegaConf.create({"trainer": {"max_time": limit}, "batch_norm": "running"})
    first = next(training_callbacks(config))
    assert isinstance(first, Timer)
    assert first._duration == 5400


@pytest.mark.parametrize("group", ["callbacks", "logger"])
def test_what_cannot_be_built_is_named_with_its_class_and_the_reason(
    group: str, tmp_path: Path
) -> None:
    mine = {"_target_": "fractions.Fraction", "numerator": 1, "denominator": 0}
    config = OmegaConf.create({"trainer": {}, "callbacks": {}, "logger": {}, group: {"mine": mine}})
    with pytest.raises(ConfigError) as error:
        build_trainer(config, [], Run(tmp_path))
    reason = "Fraction(1, 0) (ZeroDivisionError in fractions.Fraction)"
    assert str(error.value) == f"{group}.mine cannot work: {reason}."


def test_without_a_time_limit_there_is_no_timer() -> None:
    config = OmegaConf.create({"trainer": {"max_time": None}, "batch_norm": "running"})
    assert not any(isinstance(callback, Timer) for callback in training_callbacks(config))
