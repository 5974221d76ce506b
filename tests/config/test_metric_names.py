"""Names of metrics that settings refer to: a wrong one is refused before any work begins."""

import re
from typing import Any

import pytest
from hydra import compose, initialize_config_dir
from omegaconf import DictConfig, OmegaConf

from memguard.config.compose import config_folder, register_resolvers
from memguard.config.metric_names import (
    known_monitors,
    monitors_validated,
    monitors_without_labels,
    require_known_objective,
)
from memguard.errors import ConfigError

STOPS = "pytorch_lightning.callbacks.EarlyStopping"


def composed(*overrides: str, **callback: Any) -> DictConfig:
    register_resolvers()
    with initialize_config_dir(config_folder(), version_base="1.3"):
        config = compose("train", ["model=mnad_tiny", *overrides])
    callbacks = {"early": {"_target_": STOPS, **callback}}
    return OmegaConf.merge(
        OmegaConf.masked_copy(config, ["model", "loss", "optimized_metric"]),
        {"callbacks": callbacks},
    )  # type: ignore[return-value]


@pytest.mark.parametrize("name", ["foo", "val/foo", "test/aurok", "psnr"])
def test_a_metric_that_no_run_has_is_not_optimised(name: str) -> None:
    with pytest.raises(ConfigError, match=rf"^optimized_metric={name} is not known: "):
        require_known_objective(composed(f"optimized_metric={name}"))


def test_a_search_that_prunes_knows_its_metrics_as_well() -> None:
    pruner = {"_target_": "optuna.pruners.MedianPruner"}
    with pytest.raises(ConfigError, match=r"^optimized_metric=test/nope is not known: "):
        require_known_objective(composed("optimized_metric=test/nope", pruner=pruner))


@pytest.mark.parametrize("name", ["val/psnr", "test/auroc", "test/auroc_my_score", "test/eer"])
def test_a_metric_that_a_run_may_have_is_optimised(name: str) -> None:
    require_known_objective(composed(f"optimized_metric={name}"))


def test_a_callback_that_waits_for_an_unknown_metric_is_refused_with_the_nearest() -> None:
    sentence = r"^callbacks\.early\.monitor=val/psnrr is not known: did you mean .*=val/psnr\?$"
    (problem,) = known_monitors.problems(composed(monitor="val/psnrr"))
    assert re.search(sentence, problem.sentence)
    (problem,) = known_monitors.problems(composed(monitor="test/auroc"))  # after the training
    assert problem.sentence.startswith("callbacks.early.monitor=test/auroc is not known")
    for name in ("loss", "train/loss", "val/pseudo_auroc_fast", "memory/dead", None):
        assert list(known_monitors.problems(composed(monitor=name))) == []


def test_each_term_of_the_loss_is_logged() -> None:
    config = composed("loss=ms_ssim", "optimized_metric=train/ms_ssim", monitor="train/ms_ssim")
    require_known_objective(config)
    assert list(known_monitors.problems(config)) == []
    for callback in ("train/gradient_difference", "train/margin"):
        (problem,) = known_monitors.problems(composed("loss=ms_ssim", monitor=callback))
        assert f"monitor={callback} is not known" in problem.sentence


@pytest.mark.parametrize("group", ["model", "callbacks.early"])
def test_classes_of_ones_own_may_log_what_they_like(group: str) -> None:
    config = composed("optimized_metric=mine/figure", monitor="mine/figure")
    OmegaConf.update(config, f"{group}._target_", "mine.Class")
    require_known_objective(config)
    assert list(known_monitors.problems(config)) == []


def test_no_epoch_is_chosen_by_the_labels_of_the_test() -> None:
    (problem,) = monitors_without_labels.problems(composed(monitor="not_for_selection/auroc"))
    assert re.search(
        r"^callbacks\.early\.monitor=not_for_selection/auroc cannot work: .* val/psnr",
        problem.sentence,
    )
    for name in ("val/pseudo_auroc", "train/loss", None):
        assert list(monitors_without_labels.problems(composed(monitor=name))) == []


@pytest.mark.parametrize("absent", ["data.holdout", "trainer.limit_val_batches"])
def test_a_callback_waits_for_no_validation_that_is_not_there(absent: str) -> None:
    config = composed(monitor="val/psnr")
    config.data, config.trainer = {"holdout": 0.05}, {"limit_val_batches": 1}
    assert list(monitors_validated.problems(config)) == []
    OmegaConf.update(config, absent, 0)
    (problem,) = monitors_validated.problems(config)
    assert f"monitor=val/psnr needs held-out normal frames, but {absent}=0" in problem.sentence
    config.callbacks.early.monitor = "train/loss"
    assert list(monitors_validated.problems(config)) == []
