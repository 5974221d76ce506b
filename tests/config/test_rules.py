"""Values that a setting cannot have: each is one sentence that names the key."""

import math
from typing import Any

import pytest
from hydra import compose, initialize_config_dir
from omegaconf import DictConfig, OmegaConf

from memguard.config import trainer as trainer_options
from memguard.config.compose import config_folder, register_resolvers
from memguard.config.rules import (
    EVALUATION_RULES,
    PREPARE_RULES,
    RULES,
    SCORE_RULES,
    TRAINING_RULES,
    keep_to,
)
from memguard.config.validation import validate_by, validate_training
from memguard.errors import ConfigError

NAN, INF, HUGE = math.nan, math.inf, 10**30
ODD = [{"a": 1}, [1, 2], "nonsense"]

# By hand, and not by the rules themselves: values that no setting of the kind can have.
NOT_FLAGS = [*ODD, 0, 1, 1.0, NAN, "yes"]
NOT_NUMBERS = [*ODD, True, False, NAN, INF, -INF, -1, -0.5, "0.1"]
NOT_WHOLE = [*ODD, True, False, NAN, INF, -2, 1.5, 2.0, "2"]
NOT_COUNTS = [*NOT_WHOLE, HUGE]
NOT_NAMES = [*ODD, True, 0, 1, 1.5, NAN, ""]
NOT_PATHS = [{"a": 1}, [1, 2], True, 0, 1.5, NAN, "", " "]

WRONG: dict[str, list[Any]] = {
    "memory.size": [*NOT_COUNTS, -1, None],
    "task.name": [*NOT_NAMES, "Pred", None],
    "task.past": [*NOT_COUNTS, -1, None],
    "memory.dim": [*NOT_COUNTS, 0, None],
    "model.width": [*NOT_COUNTS, 0, None],
    "loss.compactness": [*NOT_NUMBERS, None],
    "loss.separateness": [*NOT_NUMBERS, None],
    "loss.margin": [*NOT_NUMBERS, None],
    "guard.threshold": [*NOT_NUMBERS, None],
    "guard.quantile": [*NOT_NUMBERS, 1.01, HUGE, None],
    "guard.scope": [*NOT_NAMES, None],
    "guard.enabled": [*NOT_FLAGS, None],
    "scoring.name": [*NOT_NAMES, None],
    "scoring.weight": [*NOT_NUMBERS, 1.01, HUGE, None],
    "scoring.patch": [*NOT_NUMBERS, 0.2, [0.2], [0.2, 0], [0.2, True], [0.2, NAN], [0.2, 2], None],
    "scoring.smoothing": [*NOT_NUMBERS, HUGE, None],
    "scoring.causal": [*NOT_FLAGS, None],
    "data.frame_size": [*NOT_COUNTS, 0, 100, None],
    "dataset.root": [*NOT_PATHS, None],
    "dataset.labels": NOT_PATHS,
    "dataset.on_error": [*NOT_NAMES, None],
    "dataset.cache": [*NOT_NAMES, None],
    "data.channels": [*NOT_COUNTS, 0, 2, None],
    "data.batch_size": [*NOT_COUNTS, 0, None],
    "data.threads": [*NOT_COUNTS, -1, None],
    "data.stretch": [*NOT_COUNTS, 0],
    "data.holdout": [*NOT_NUMBERS, 1, 1.5, None],
    "optimizer.lr": [*NOT_NUMBERS, 0, None],
    "compile": [*NOT_FLAGS, None],
    "seed": [*NOT_COUNTS, -1, 2**32, None],
    "batch_norm": [*NOT_NAMES, None],
    "test": [*NOT_FLAGS, None],
    "checkpoint": NOT_PATHS,
    "weights": NOT_PATHS,
    "optimized_metric": [*NOT_PATHS, None],
    "paths.cache_dir": [*NOT_PATHS, None],
    "data.seed": [*NOT_COUNTS, -1, None],
    "optimizer.fused": NOT_FLAGS,
    "callbacks.checkpoint.every_minutes": [*NOT_NUMBERS, None],
    "callbacks.pseudo_auroc.windows": [*NOT_COUNTS, 0, None],
    "callbacks.test_each_epoch.enabled": [*NOT_FLAGS, None],
    "callbacks.held_out_clips.clips": [*NOT_COUNTS, 0, None],
    "callbacks.memory.figure_every": [*NOT_WHOLE, 0, None],
    "logger.wandb.settings.init_timeout": [*NOT_NUMBERS, 0, None],
    "logger.wandb.settings.finish_timeout": [*NOT_NUMBERS, 0, None],
    "logger.wandb.mode": [*NOT_NAMES, None],
    "trainer.max_epochs": [*NOT_WHOLE, 0],
    "trainer.max_steps": [*NOT_WHOLE, 0],
    "trainer.fast_dev_run": [*ODD, NAN, -1, 1.5, "2"],
    "trainer.min_epochs": [*NOT_WHOLE, -1],
    "trainer.min_steps": [*NOT_WHOLE, -1],
    "trainer.max_time": [[1, 2], True, 10, NAN, ""],
    "trainer.precision": [*NOT_NAMES, 8, "16-true", "bf16-true", "64-true", 64],
    "trainer.num_nodes": [*NOT_WHOLE, 0],
    "trainer.limit_train_batches": [*NOT_NUMBERS, 1.5],
    "trainer.limit_val_batches": [*NOT_NUMBERS, 1.5],
    "trainer.limit_test_batches": [*NOT_NUMBERS, 1.5],
    "trainer.limit_predict_batches": [*NOT_NUMBERS, 1.5],
    "trainer.overfit_batches": [*NOT_NUMBERS, 1.5],
    "trainer.devices": [True, False, 1025, HUGE],
    "trainer.check_val_every_n_epoch": [*NOT_WHOLE, 0],
    "trainer.num_sanity_val_steps": NOT_WHOLE,
    "trainer.log_every_n_steps": [*NOT_WHOLE, 0],
    "trainer.accumulate_grad_batches": [*NOT_WHOLE, 0],
    "trainer.gradient_clip_val": NOT_NUMBERS,
    "trainer.gradient_clip_algorithm": NOT_NAMES,
    "trainer.reload_dataloaders_every_n_epochs": [*NOT_WHOLE, -1],
    "trainer.enable_checkpointing": NOT_FLAGS,
    "trainer.enable_progress_bar": NOT_FLAGS,
    "trainer.enable_model_summary": NOT_FLAGS,
    "trainer.benchmark": NOT_FLAGS,
    "trainer.inference_mode": NOT_FLAGS,
    "trainer.use_distributed_sampler": NOT_FLAGS,
    "trainer.detect_anomaly": NOT_FLAGS,
    "trainer.sync_batchnorm": NOT_FLAGS,
    "trainer.enable_autolog_hparams": NOT_FLAGS,
}  # fmt: skip

ALL = [*RULES, *TRAINING_RULES, *trainer_options.RULES]
OTHERS = {"evaluate": EVALUATION_RULES, "score": SCORE_RULES, "prepare": PREPARE_RULES}

OF_OTHER_COMMANDS: dict[tuple[str, str], list[Any]] = {
    ("evaluate", "checkpoint"): NOT_PATHS,
    ("evaluate", "baseline"): NOT_NAMES,
    ("evaluate", "optimized_metric"): [*NOT_PATHS, None],
    ("evaluate", "paths.cache_dir"): [*NOT_PATHS, None],
    ("score", "checkpoint"): [*NOT_PATHS, None],
    ("score", "alarm.false_per_hour"): [*NOT_NUMBERS, 0, None],
    ("score", "annotate"): [*NOT_FLAGS, None],
    ("score", "paths.cache_dir"): [*NOT_PATHS, None],
    ("prepare", "dataset.root"): [*NOT_PATHS, None],
    ("prepare", "download"): [*NOT_FLAGS, None],
    ("prepare", "window"): [*NOT_COUNTS, 0, None],
    ("prepare", "paths.cache_dir"): [*NOT_PATHS, None],
}


def composed(name: str, *overrides: str) -> DictConfig:
    """What a command works with, apart from what it takes from Hydra as it runs."""
    register_resolvers()
    with initialize_config_dir(config_folder(), version_base="1.3"):
        config = compose(name, list(overrides))
    tree = OmegaConf.to_container(config)
    return OmegaConf.create(without_hydra(tree))


def without_hydra(tree: Any) -> Any:
    if not isinstance(tree, dict):
        return tree
    taken = ("${hydra:", "${memguard.run_name:", "${memguard.sweep_name:", "${memguard.wandb_mode:")
    mine = {k: v for k, v in tree.items() if not str(v).startswith(taken)}
    return {key: without_hydra(value) for key, value in mine.items()}


@pytest.fixture(scope="module")
def training() -> DictConfig:
    config = composed("train", "model=mnad_tiny", "dataset=avenue")
    config.logger.wandb.mode = "offline"
    validate_training(config)
    return config


def test_each_rule_is_tried_below() -> None:
    assert set(WRONG) == {rule.key for rule in ALL}
    assert set(OF_OTHER_COMMANDS) == {
        (n, rule.key) for n, rules in OTHERS.items() for rule in rules
    }


@pytest.mark.parametrize("key", WRONG)
def test_no_impossible_value_passes(key: str, training: DictConfig) -> None:
    rules = [rule for rule in ALL if rule.key == key]
    for value in WRONG[key]:
        config = OmegaConf.masked_copy(training, key.split(".")[0])
        # In place of what is there, and not joined with it.
        OmegaConf.update(config, key, value, merge=False, force_add=True)
        with pytest.raises(ConfigError) as error:
            keep_to(rules, config)
        assert key in str(error.value), value
        assert "\n" not in str(error.value)


@pytest.mark.parametrize(("name", "key"), OF_OTHER_COMMANDS)
def test_nor_does_one_of_the_other_commands(name: str, key: str) -> None:
    rules = OTHERS[name]
    needed = ["checkpoint=last.ckpt", "video=a.mp4"] if name == "score" else []
    whole = composed(name, *needed)
    validate_by(rules, whole)
    for value in OF_OTHER_COMMANDS[name, key]:
        config = OmegaConf.merge(whole)
        OmegaConf.update(config, key, value, merge=False, force_add=True)
        with pytest.raises(ConfigError) as error:
            validate_by(rules, config)  # type: ignore[arg-type]
        assert key in str(error.value), value


@pytest.mark.parametrize(
    ("override", "sentence"),
    [
        ("memory.size=true", "memory.size=true cannot work: it must be a whole number"),
        ("memory.size=1.5", "memory.size=1.5 cannot work: .* at least 2 .*, or 0 .none."),
        ("seed=true", "seed=true cannot work: it must be a whole number of at least 0"),
        ("optimizer.lr=.inf", "optimizer.lr=.inf cannot work: it must be a number above 0"),
        ("optimizer.lr=inf", "optimizer.lr=inf cannot work: it must be a number above 0"),
        ("optimizer.lr=nan", "optimizer.lr=nan cannot work: it must be a number above 0"),
        ("loss.compactness=null", "loss.compactness=null cannot work"),
        ("data.batch_size='${nowhere}'", "data.batch_size cannot work: .*nowhere"),
    ],
)
def test_what_a_command_can_say_is_shown_as_it_said_it(override: str, sentence: str) -> None:
    with pytest.raises(ConfigError, match=sentence):
        validate_training(composed("train", "model=mnad_tiny", override))


def test_a_group_that_a_command_leaves_out_has_no_rules() -> None:
    tiny = "model=mnad_tiny", "logger=none"
    validate_training(composed("train", *tiny, "~callbacks.memory"))
    with pytest.raises(ConfigError, match=r"callbacks\.memory\.figure_every=null cannot work"):
        validate_training(composed("train", *tiny, "~callbacks.memory.figure_every"))
