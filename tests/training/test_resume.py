"""A training resumes under the settings that it began with, and under no others."""

import warnings
from copy import deepcopy
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from hydra import compose, initialize_config_dir
from omegaconf import DictConfig, OmegaConf

from memguard.config.compose import config_folder, register_resolvers
from memguard.config.validation import validate_training
from memguard.errors import CheckpointError, ConfigError
from memguard.training.checkpoints import (
    CONFIG_KEY,
    PROCESSES_KEY,
    RememberConfig,
    plain_config,
    require_resumable,
)
from memguard.training.resume import differences, is_finished

BEGUN_WITH = ("dataset=ped2", "model=mnad_tiny", "trainer.max_epochs=2", "trainer.precision=32")


def composed(*overrides: str) -> DictConfig:
    """The configuration of a training."""
    register_resolvers()
    with initialize_config_dir(config_folder(), version_base="1.3"):
        return compose("train", [*BEGUN_WITH, "logger=csv", *overrides])


BEGUN = cache(composed)
GROUPS = ("optimizer", "scheduler", "dataset", "task", "logger", "callbacks", "trainer", "scoring")


def changed(*overrides: str) -> DictConfig:
    """The same with a change; without choosing groups again, which takes longer."""
    if any(override.partition("=")[0] in GROUPS for override in overrides):
        return composed(*overrides)
    config = deepcopy(BEGUN())
    OmegaConf.set_struct(config, value=False)
    return config.merge_with_dotlist([o.lstrip("+") for o in overrides]) or config


def counts(steps: Any) -> dict[str, Any]:
    """Give the counts of a checkpoint after 3 steps, and those of its loops."""
    optimizer = {"optimizer": {"step": {"total": {"completed": steps}}}}
    fit = {
        "epoch_progress": {"current": {"completed": 1}},
        "epoch_loop.automatic_optimization.optim_progress": optimizer,
    }
    return {"epoch": 1, "global_step": 3, "loops": {"fit_loop": fit}}


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    """The checkpoint of a training."""
    held = {CONFIG_KEY: plain_config(BEGUN()), "state_dict": {}, "optimizer_states": [{}]} | counts(
        3
    )
    torch.save(held, tmp_path / "last.ckpt")
    return tmp_path / "last.ckpt"


@pytest.mark.parametrize(
    ("override", "before", "now"),
    [
        ("optimizer.lr=5e-4", "0.001", "0.0005"),
        ("+optimizer.weight_decay=0.1", None, None),  # a setting that was not there
        ("optimizer._target_=torch.optim.SGD", "torch.optim.Adam", "torch.optim.SGD"),
        ("optimizer=adamw", None, None),
        ("scheduler=step", None, None),
        ("scheduler=none", None, None),
        ("scheduler.interval=epoch", "step", "epoch"),
        ("trainer.max_epochs=4", "2", "4"),
        ("trainer.max_epochs=1", "2", "1"),
        ("+trainer.max_steps=9", "-1", "9"),
        ("+trainer.limit_train_batches=3", "null", "3"),
        ("+trainer.accumulate_grad_batches=2", "1", "2"),
        ("+trainer.gradient_clip_val=0.5", "null", "0.5"),
        ("trainer.precision=bf16-mixed", "32", "bf16-mixed"),
        ("data.frame_size=128", "64", "128"),
        ("data.channels=3", "1", "3"),
        ("data.batch_size=4", "8", "4"),
        ("data.stretch=1", "32", "1"),
        ("data.windows_per_epoch=100", "null", "100"),
        ("data.holdout=0.1", "0.05", "0.1"),
        ("model.width=8", "16", "8"),
        ("memory.size=5", "10", "5"),
        ("memory.dim=64", "128", "64"),
        ("loss.compactness=0.3", "0.1", "0.3"),
        ("loss.separateness=0.3", "0.1", "0.3"),
        ("loss.margin=0.5", "1.0", "0.5"),
        ("dataset=ped1", None, None),
        ("task=recon", None, None),
        ("seed=7", "0", "7"),
        ("batch_norm=running", "measured", "running"),
    ],
)
def test_settings_that_decide_on_the_result_have_to_stay(
    checkpoint: Path, override: str, before: str | None, now: str | None
) -> None:
    if "weight_decay" in override:
        held = torch.load(checkpoint, weights_only=True)
        held[CONFIG_KEY]["optimizer"]["weight_decay"] = 0.0
        torch.save(held, checkpoint)
        before, now = "0.0", "0.1"
    with pytest.raises(CheckpointError) as refusal:
        require_resumable(checkpoint, changed(override))
    said = str(refusal.value)
    assert said.startswith(f"{checkpoint} was trained with ")
    shapes = ("memory.size", "memory.dim", "model.width", "data.channels", "task")
    fits = not override.startswith(shapes)
    assert (f"weights={checkpoint} in its place begins a new training" in said) == fits
    if before:
        key = override.lstrip("+").partition("=")[0]
        assert f"{key}={before}, now {now}" in said


@pytest.mark.parametrize(
    "broken", [{"loops": None}, {"loops": {}}, counts(2**70), {"epoch": 2}, {"global_step": None}]
)
def test_a_training_that_does_not_say_how_far_it_is_is_not_begun_again(
    checkpoint: Path, broken: dict[str, Any]
) -> None:
    require_resumable(checkpoint, changed())
    torch.save(torch.load(checkpoint, weights_only=True) | broken, checkpoint)
    with pytest.raises(CheckpointError, match=rf"^{checkpoint}: its loops count .* was changed"):
        require_resumable(checkpoint, changed())


def test_a_refusal_names_all_that_differs(checkpoint: Path) -> None:
    with pytest.raises(CheckpointError) as refusal:
        require_resumable(checkpoint, changed("trainer.max_epochs=4", "optimizer.lr=5e-4"))
    said = "optimizer.lr=0.001, now 0.0005; trainer.max_epochs=2, now 4. Its learning rate comes"
    assert said in str(refusal.value)


@pytest.mark.parametrize(
    "overrides",
    [
        [],
        ["dataset.root=elsewhere", "paths.cache_dir=/other", "paths.data_dir=/other"],
        ["logger=none", "callbacks=debug", "callbacks.checkpoint.every_minutes=1"],
        ["data.threads=8", "dataset.cache=ram", "dataset.on_error=skip"],
        ["trainer.accelerator=cpu", "trainer.log_every_n_steps=1", "+trainer.max_time=01:00:00:00"],
        ["trainer=ddp", "trainer.max_epochs=2"],
        ["compile=true", "optimizer.fused=false"],
        ["guard.threshold=0.5", "guard.scope=video", "scoring=patch", "test=false"],
        ["+trainer.accumulate_grad_batches=1", "+trainer.limit_test_batches=2"],
        ["optimized_metric=test/auroc"],
        ["data.frame_size=[64,64]"],  # the same square
    ],
)
def test_settings_that_decide_nothing_may_differ(checkpoint: Path, overrides: list[str]) -> None:
    require_resumable(checkpoint, changed(*overrides))


def test_a_training_of_a_version_without_schedulers_had_a_cosine(checkpoint: Path) -> None:
    held = torch.load(checkpoint, weights_only=True)
    del held[CONFIG_KEY]["scheduler"]
    torch.save(held, checkpoint)
    require_resumable(checkpoint, changed())
    with pytest.raises(
        CheckpointError, match=r"scheduler\._target_=memguard.*cosine, now .*StepLR"
    ):
        require_resumable(checkpoint, changed("scheduler=step"))


def test_an_option_that_a_training_had_may_not_be_left_out() -> None:
    trained = {"trainer": {"gradient_clip_val": 1.0}, "model": {"depth": 3, "extra": None}}
    now: dict[str, Any] = {"trainer": {}, "model": {}}
    found = [("model.depth", 3, "not set"), ("trainer.gradient_clip_val", 1.0, None)]
    assert differences(trained, now) == found


def test_settings_that_an_older_checkpoint_lacks_refuse_nothing() -> None:
    trained = {"data": {"seed": "${seed}", "past": "???"}, "loss": {"margin": 1}}
    now = {"data": {"seed": 3, "past": 4, "stretch": 1}, "loss": {"margin": 1.0}, "compile": True}
    assert differences(trained, now) == []


def test_a_training_of_a_version_without_samples_took_all_windows() -> None:
    trained, now = {"data": {"stretch": 1}}, {"data": {"stretch": 1, "windows_per_epoch": 9}}
    assert differences(trained, now) == [("data.windows_per_epoch", None, 9)]
    now["data"].pop("windows_per_epoch")
    assert differences(trained, now) == []


def test_a_term_that_was_not_there_was_not_part_of_the_loss() -> None:
    trained: dict[str, Any] = {"loss": {"margin": 1}}
    term = {"_target_": "my_pkg.edges", "weight": 1}
    now = {"loss": {"pixel": 1.0, "margin": 1, "edges": term}}
    assert differences(trained, now) == [("loss.edges._target_", "not set", "my_pkg.edges")]
    trained["loss"]["edges"] = term | {"weight": 2}
    assert differences(trained, now) == [("loss.edges.weight", 2, 1)]
    trained["loss"] |= {"dark": term, "edges": term}
    assert [key for key, _, _ in differences(trained, now)] == [
        "loss.dark._target_",
        "loss.dark.weight",
    ]


def test_a_key_that_begins_like_one_that_decides_nothing_is_compared() -> None:
    assert differences({"data": {"cached": 1}}, {"data": {"cached": 2}}) == [("data.cached", 1, 2)]
    assert differences({"guards": 1}, {"guards": 2}) == [("guards", 1, 2)]


def test_checkpoint_and_weights_exclude_each_other() -> None:
    with pytest.raises(ConfigError, match="checkpoint and weights cannot be set together"):
        validate_training(changed("checkpoint=a.ckpt", "weights=b.ckpt"))


def loaded(processes: int, checkpoint: dict[str, Any], epochs: int = 9, steps: int = -1) -> None:
    trainer: Any = SimpleNamespace(
        callbacks=[],
        ckpt_path="last.ckpt",
        world_size=processes,
        max_epochs=epochs,
        max_steps=steps,
    )
    RememberConfig(OmegaConf.create()).on_load_checkpoint(trainer, trainer, checkpoint)


def taken(epochs: int, steps: int) -> dict[str, Any]:
    """The part of a checkpoint that counts what its training has taken."""
    progress = {"epoch_progress": {"current": {"processed": epochs}}}
    return {"global_step": steps, "loops": {"fit_loop": progress}}


def test_a_training_resumes_with_as_many_processes_as_before() -> None:
    loaded(2, taken(1, 3) | {PROCESSES_KEY: 2})
    loaded(2, taken(1, 3))  # older
    with pytest.raises(CheckpointError, match="trained by 4 processes, but this command runs as 2"):
        loaded(2, taken(1, 3) | {PROCESSES_KEY: 4})


def test_a_finished_training_says_so() -> None:
    assert is_finished(taken(2, 8), max_epochs=2, max_steps=-1)
    assert is_finished(taken(1, 8), max_epochs=-1, max_steps=8)
    assert is_finished(taken(1, 8), max_epochs=9, max_steps=8)
    assert not is_finished(taken(1, 7), max_epochs=2, max_steps=8)
    assert not is_finished(taken(99, 999), max_epochs=-1, max_steps=-1)
    with pytest.warns(UserWarning, match=r"The training of last\.ckpt is finished"):
        loaded(1, taken(2, 8), epochs=2)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        loaded(1, taken(1, 4), epochs=2)
