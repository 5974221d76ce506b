"""A configuration that cannot work is refused in one sentence."""

from typing import Any

import pytest
from omegaconf import DictConfig, OmegaConf

from memguard.config.compose import compose
from memguard.config.schema import EvaluationSettings
from memguard.config.validation import validate, validate_by, validate_training
from memguard.errors import ConfigError


def composed(*overrides: str) -> DictConfig:
    config = compose(overrides)
    # Whether W&B is online takes seconds to find out.
    return OmegaConf.masked_copy(config, [k for k in config if k not in ("logger", "callbacks")])


@pytest.mark.parametrize(
    "overrides", [[], ["checkpoint=a.ckpt", "baseline=previous_frame", "data.threads=-1"]]
)
def test_a_test_is_of_a_checkpoint_or_a_baseline(overrides: list[str]) -> None:
    with pytest.raises(ConfigError) as refused:
        validate_by(EvaluationSettings, compose(overrides, "evaluate"))
    assert "A test needs exactly one of checkpoint, run and baseline" in str(refused.value)
    assert ("data.threads" in str(refused.value)) == bool(overrides)  # all problems at once


@pytest.mark.parametrize(
    ("overrides", "sentence"),
    [
        (["train=false"], "train=false cannot work by itself, .*: add checkpoint=…"),
        (["train=false", "test=false", "checkpoint=a.ckpt"], "train=false cannot .* test=false: "),
    ],
)
def test_a_checkpoint_alone_can_be_tested_alone(overrides: list[str], sentence: str) -> None:
    with pytest.raises(ConfigError, match=f"^{sentence}"):
        validate_training(composed("model=mnad_tiny", *overrides))


@pytest.mark.parametrize(
    ("override", "sentence"),
    [
        ("memory.size=-1", r"memory\.size=-1 cannot work: it must be a whole number of at least 2"),
        (
            "memory.size=1",
            r"memory\.size=1 cannot work with loss\.separateness=0\.1, .* at least 2",
        ),
        ("memory.size=0", r"memory\.size=0 cannot work, .* choose memory=none"),
        ("guard.threshold=-0.1", r"guard\.threshold=-0\.1 cannot work: .* auto or a number"),
        ("guard.threshold=low", r"guard\.threshold=low"),
        ("guard.scope=camera", r"guard\.scope=camera cannot work: it must be dataset or video"),
        ("guard.quantile=1.5", r"guard\.quantile=1\.5"),
        ("loss.compactness=-1", r"loss\.compactness=-1"),
        ("scoring.weight=2", r"scoring\.weight=2"),
        ("scoring.name=best", r"scoring\.name=best .* published, shared_range or patch"),
        ("scoring.patch=[0.2,0]", r"scoring\.patch=\[0\.2, 0\] .* \[height, width\]"),
        ("scoring.patch=0.2", r"scoring\.patch=0\.2 .* \[height, width\]"),
        ("scoring.smoothing=-1", r"scoring\.smoothing=-1"),
        ("data.frame_size=100", r"data\.frame_size=100 .* multiple of 8"),
        ("dataset.on_error=ignore", r"dataset\.on_error=ignore .* must be raise or skip"),
        ("data.channels=2", r"data\.channels=2"),
        ("trainer.max_epochs=0", r"trainer\.max_epochs=0"),
        ("optimizer.lr=0", r"optimizer\.lr=0"),
        ("task.past=-3", r"task\.past=-3 cannot work: .* at least 0"),
        ("task.past=true", r"task\.past=true cannot work"),
        ("trainer.devices=200000", r"trainer\.devices=200000 cannot work: .* at most 1024"),
        ("compile=fast", r"compile=fast cannot work: it must be true or false"),
        ("data.stretch=0", r"data\.stretch=0 cannot work: .* at least 1"),
        ("data.holdout=0", r"guard\.threshold=auto needs held-out normal frames"),
        ("dataset=folder", r"dataset\.root is not set"),
    ],
)
def test_what_cannot_work_is_one_sentence_that_names_the_key(override: str, sentence: str) -> None:
    with pytest.raises(ConfigError, match=sentence) as error:
        validate(composed("model=mnad_small", override))
    assert "\n" not in str(error.value)


def test_the_frame_of_another_network_follows_its_own_stride() -> None:
    validate(composed("model=mnad_small", "data.frame_size=100", "model._target_=my_pkg.Net"))


def test_only_a_schedule_that_needs_an_end_is_refused_without_one() -> None:
    endless = ("trainer.max_epochs=-1", "model=mnad_small")
    validate_training(composed("scheduler=none", *endless))
    validate_training(composed("scheduler=step", *endless))
    with pytest.raises(ConfigError, match=r"max_steps as well, or scheduler=none"):
        validate_training(composed("scheduler=warmup_cosine", *endless))
    steps = "+trainer.max_steps=5"
    validate_training(composed(*endless, steps))
    with pytest.raises(
        ConfigError, match=r"set trainer\.max_epochs to a number, or scheduler=none"
    ):
        validate_training(composed(*endless, steps, "scheduler.interval=epoch"))


@pytest.mark.parametrize(
    ("key", "value", "sentence"),
    [
        ("batch_norm", "frozen", r"batch_norm=frozen cannot work: .* measured or running"),
        ("callbacks.checkpoint.every_minutes", -1, r"every_minutes=-1 .* at least 0"),
        ("trainer.max_epochs", -1, r"max_epochs=-1 cannot work by itself, .* trainer\.max_steps"),
        ("trainer.max_epochs", None, r"max_epochs=null cannot work by itself"),
        ("data.past", 0, r"data\.past=0 cannot work with task\.past=4: set task\.past alone"),
        ("data.past", 4.5, r"data\.past=4\.5 cannot work with task\.past=4"),
        ("model.past", 3, r"model\.past=3 cannot work with task\.past=4"),
        ("trainer.limit_train_batches", 0, r"limit_train_batches=0 trains nothing"),
        ("trainer.limit_val_batches", 0, r"guard\.threshold=auto needs .*limit_val_batches=0"),
    ],
)
def test_a_training_is_refused_what_a_test_of_an_older_one_may_have(
    key: str, value: Any, sentence: str
) -> None:
    config = composed("model=mnad_small")
    validate_training(config)
    OmegaConf.update(config, key, value, force_add=True)
    validate(config)
    with pytest.raises(ConfigError, match=sentence):
        validate_training(config)
