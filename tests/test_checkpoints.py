"""What a checkpoint holds beside weights, and what a training may begin from."""

from copy import deepcopy
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from hydra import compose, initialize_config_dir
from omegaconf import DictConfig, OmegaConf

from memguard.checkpoints import (
    CONFIG_KEY,
    PROCESSES_KEY,
    RememberConfig,
    read_checkpoint,
    read_weights,
    require_resumable,
)
from memguard.config import config_folder, register_resolvers
from memguard.errors import CheckpointError
from memguard.settings import plain_settings


@cache
def composed() -> DictConfig:
    """The configuration of a training."""
    register_resolvers()
    with initialize_config_dir(config_folder(), version_base="1.3"):
        return compose("train", ["dataset=ped2", "model=mnad_tiny", "model.width=4"])


def changed(key: str, value: object) -> DictConfig:
    config = deepcopy(composed())
    OmegaConf.update(config, key, value)
    return config


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    """A checkpoint that no training can go on from."""
    held = {CONFIG_KEY: plain_settings(composed()), "state_dict": {"memory.items": torch.eye(2)}}
    torch.save(held, tmp_path / "weights.ckpt")
    return tmp_path / "weights.ckpt"


def test_a_checkpoint_remembers_its_settings_and_how_many_processes_trained_it() -> None:
    held: dict[str, Any] = {}
    trainer: Any = SimpleNamespace(world_size=3)
    RememberConfig(composed()).on_save_checkpoint(trainer, trainer, held)
    assert held == {CONFIG_KEY: plain_settings(composed()), PROCESSES_KEY: 3}
    assert held[CONFIG_KEY]["model"]["width"] == 4
    assert held[CONFIG_KEY]["optimizer"]["lr"] == composed().optimizer.lr


def test_weights_alone_begin_a_training_and_continue_none(weights: Path) -> None:
    assert torch.equal(read_weights(weights, composed())["memory.items"], torch.eye(2))
    with pytest.raises(CheckpointError, match="holds weights alone"):
        require_resumable(weights, composed())


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("task.name", "recon"),
        ("model.width", 8),
        ("memory.size", 3),
        ("memory.dim", 99),
        ("data.channels", 3),
    ],
)
def test_weights_of_another_shape_or_task_begin_no_training(
    key: str, value: object, weights: Path
) -> None:
    with pytest.raises(CheckpointError, match=rf"was trained with {key}=.*has {key}={value}"):
        read_weights(weights, changed(key, value))
    assert read_weights(weights, changed("optimizer.lr", 0.5))


def test_a_file_that_may_not_be_read_is_not_called_damaged(
    weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: Path, *args: object, **kwargs: object) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    for reader in (torch, Path):
        with monkeypatch.context() as patched:
            patched.setattr(reader, "load" if reader is torch else "is_file", refuse)
            with pytest.raises(CheckpointError) as error:
                read_checkpoint(weights)
        assert str(weights) in str(error.value)
        assert "cannot be read (Permission denied): correct its permissions" in str(error.value)
        assert "damaged" not in str(error.value)


def test_what_a_file_says_cannot_command_a_terminal(weights: Path) -> None:
    held = torch.load(weights, weights_only=True)
    held[CONFIG_KEY]["data"]["channels"] = "\x1b[2J3"
    held[CONFIG_KEY]["optimizer"]["lr"] = "\x1b[2J5"
    torch.save(held | {"optimizer_states": []}, weights)
    with pytest.raises(CheckpointError, match=r"data\.channels='\\x1b\[2J3', but") as error:
        read_weights(weights, composed())
    assert str(error.value).isprintable()
    with pytest.raises(CheckpointError, match=r"optimizer\.lr='\\x1b\[2J5', now") as error:
        require_resumable(weights, composed())
    assert str(error.value).isprintable()
