"""The trainer's options: those of Lightning work, others are refused with the nearest."""

from functools import partial
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from memguard.config.compose import config_folder, register_resolvers
from memguard.config.schema import EvaluationSettings, TrainingSettings
from memguard.config.trainer import (
    options,
    refused_by,
    require_accelerator,
    switched_off,
)
from memguard.config.validation import validate_by
from memguard.data.clips.datamodule import ClipDataModule
from memguard.data.datasets.folder import folder
from memguard.errors import ConfigError
from memguard.training.callbacks.preemption import SafeCheckpoints
from memguard.training.checkpoints import CONFIG_KEY
from memguard.training.trained import as_trained
from tests.conftest import small_detector


def composed(*overrides: str, name: str = "train") -> Any:
    register_resolvers()
    with initialize_config_dir(config_folder(), version_base="1.3"):
        config = compose(name, list(overrides))
    # These name the run folder, which only a running command has.
    return OmegaConf.masked_copy(config, [k for k in config if k not in ("logger", "callbacks")])


def test_what_lightning_takes_needs_no_plus() -> None:
    for name, command, of in (
        ("train", TrainingSettings, "train=true"),
        ("evaluate", EvaluationSettings, "baseline=previous_frame"),
    ):
        config = composed(
            of,
            "trainer.max_steps=5", "trainer.limit_val_batches=0.5", "trainer.fast_dev_run=true",
            "trainer.max_time=00:00:10:00", "trainer.profiler=null", name=name,
        )  # fmt: skip
        validate_by(command, config)
        made = options(config)
        assert (made["max_steps"], made["limit_val_batches"], made["fast_dev_run"]) == (
            5,
            0.5,
            True,
        )
        assert "profiler" not in made  # null: as Lightning has it
        assert "max_time" not in made  # its callback is made apart
    assert composed("trainer=ddp", "trainer.min_steps=3").trainer.min_steps == 3


@pytest.mark.parametrize(
    ("override", "sentence"),
    [
        ("trainer.max_epoch=3", r"trainer\.max_epoch is not known: did you mean .*\.max_epochs\?"),
        ("trainer.zzz=3", r"trainer\.zzz is not known: it must be one of accelerator, "),
        ("trainer.logger=false", r"trainer\.logger cannot be set: choose with logger=csv"),
        ("trainer.default_root_dir=x", r"trainer\.default_root_dir cannot be set: set hydra\.run"),
    ],
)
def test_what_it_does_not_take_is_refused(override: str, sentence: str) -> None:
    with pytest.raises(ConfigError, match=sentence):
        validate_by(TrainingSettings, composed(override))


def test_an_accelerator_that_is_not_there_is_refused_with_those_that_are(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    here = {"cpu"}
    monkeypatch.setattr("memguard.config.trainer._is_available", lambda kind: kind in here)
    for name in ("gpu", "cuda", "mps", "cuda0"):
        sentence = (
            rf"^trainer\.accelerator={name} cannot work on this machine: set .* auto or cpu\.$"
        )
        with pytest.raises(ConfigError, match=sentence):
            require_accelerator(composed(f"trainer.accelerator={name}"))
    for name in ("auto", "cpu", "null"):
        require_accelerator(composed(f"trainer.accelerator={name}"))
    here.add("mps")
    require_accelerator(composed("trainer.accelerator=gpu"))


def test_bars_and_checkpoints_are_left_out_where_an_option_says_so() -> None:
    saver, other = SafeCheckpoints(every_minutes=1), pl.callbacks.RichProgressBar()
    for name, off in (("enable_checkpointing", saver), ("enable_progress_bar", other)):
        config = composed(f"trainer.{name}=false")
        assert [c for c in (saver, other) if switched_off(c, config)] == [off]
    assert not switched_off(saver, composed("trainer.enable_checkpointing=true"))


def test_what_a_class_says_of_its_settings_names_their_key() -> None:
    sentence = r"^trainer cannot work: .*devices=0.*\.$"
    with pytest.raises(ConfigError, match=sentence), refused_by("trainer"):
        pl.Trainer(accelerator="cpu", devices=0)
    sentence = r"^callbacks cannot work: .*nothing"
    with pytest.raises(ConfigError, match=sentence), refused_by("callbacks"):
        SafeCheckpoints(every_minutes=1, nothing=2)


def test_a_test_is_not_as_short_as_its_training_was() -> None:
    trained = composed("trainer.fast_dev_run=true", "trainer.limit_test_batches=1", "test=false")
    saved = {CONFIG_KEY: OmegaConf.to_container(trained, resolve=True)}
    requested = OmegaConf.create({"trainer": {"limit_test_batches": None, "accelerator": "cpu"}})
    tested = as_trained(None, saved, requested)
    assert not {"fast_dev_run", "limit_test_batches"} & set(tested.trainer)
    assert tested.trainer.accelerator == "cpu"
    assert tested.test


def test_an_evaluation_chooses_its_device_as_a_training_does() -> None:
    settings = OmegaConf.to_container(composed(), resolve=True)
    settings["trainer"] = {"accelerator": "cpu", "precision": "bf16-mixed"}

    def chosen(name: str) -> Any:
        config = composed("baseline=previous_frame", f"trainer={name}", name="evaluate")
        validate_by(EvaluationSettings, config)
        return as_trained(None, {CONFIG_KEY: settings}, config).trainer

    for name in ("cpu", "gpu", "mps"):
        trainer = chosen(name)
        assert (trainer.accelerator, trainer.precision, trainer.devices) == (name, "bf16-mixed", 1)
    several = chosen("ddp")
    assert (several.accelerator, several.devices, several.num_nodes) == ("cpu", "auto", 1)
    assert several.strategy.timeout.hours == 12
    assert not several.sync_batchnorm


class GradientNorm(pl.Callback):
    """Notes the norm of the gradients that the optimiser steps by."""

    def __init__(self) -> None:
        self.seen: list[float] = []

    def on_train_batch_end(self, trainer: pl.Trainer, module: pl.LightningModule, *_: Any) -> None:
        grads = [p.grad.norm() for p in module.parameters() if p.grad is not None]
        self.seen.append(float(torch.stack(grads).norm()))


@pytest.mark.parametrize(
    ("precision", "fused"), [("bf16-mixed", True), ("bf16-mixed", False), ("32-true", True)]
)
def test_gradients_are_clipped_beside_a_fused_optimiser(
    shared_scene: Path, tmp_path: Path, precision: Any, fused: bool
) -> None:
    data = ClipDataModule(
        folder(shared_scene), cache_dir=tmp_path, past=4, frame_size=32, channels=1, batch_size=4,
        threads=0, holdout=0.25, seed=0,
    )  # fmt: skip
    detector, norm = small_detector().train(), GradientNorm()
    detector.make_optimizer = partial(torch.optim.Adam, lr=1e-3, fused=fused)
    trainer = pl.Trainer(
        accelerator="cpu", precision=precision, gradient_clip_val=1e-3, max_steps=3, logger=False,
        enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False,
        num_sanity_val_steps=0, use_distributed_sampler=False, callbacks=[norm],
    )  # fmt: skip
    trainer.fit(detector, data)
    assert norm.seen == pytest.approx([1e-3] * 3, rel=1e-2)
