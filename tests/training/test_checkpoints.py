"""The content of a checkpoint beside weights, and the checkpoints a training may begin from."""

from copy import deepcopy
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from hydra import compose, initialize_config_dir
from omegaconf import DictConfig, OmegaConf
from pytorch_lightning.demos.boring_classes import BoringModel

from memguard.config.compose import config_folder, register_resolvers
from memguard.errors import CheckpointError
from memguard.training.checkpoints import (
    CONFIG_KEY,
    FPS_KEY,
    PROCESSES_KEY,
    RememberConfig,
    damage_reported,
    read_checkpoint,
    read_weights,
    require_resumable,
)
from memguard.training.settings import plain_settings


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
    """A checkpoint that no training can resume from."""
    held = {CONFIG_KEY: plain_settings(composed()), "state_dict": {"memory.items": torch.eye(2)}}
    torch.save(held, tmp_path / "weights.ckpt")
    return tmp_path / "weights.ckpt"


def test_a_checkpoint_remembers_its_settings_and_how_many_processes_trained_it() -> None:
    held: dict[str, Any] = {}
    trainer: Any = SimpleNamespace(world_size=3, datamodule=SimpleNamespace(fps=12.5))
    RememberConfig(composed()).on_save_checkpoint(trainer, trainer, held)
    settings = plain_settings(composed())
    assert held == {CONFIG_KEY: settings, PROCESSES_KEY: 3, FPS_KEY: 12.5}
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


def test_texts_of_a_file_cannot_command_a_terminal(weights: Path) -> None:
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


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_no_numbers_are_refused_with_their_name(
    weights: Path, value: float
) -> None:
    held = torch.load(weights, weights_only=True)
    held["state_dict"]["alarm.tail"] = torch.full((3,), value)  # until the first validation
    torch.save(held, weights)
    read_checkpoint(weights)
    held["state_dict"]["memory.items"][1, 0] = value
    torch.save(held, weights)
    with pytest.raises(CheckpointError, match=rf"^{weights}: memory.items holds values that are"):
        read_checkpoint(weights)


def test_a_file_that_is_cut_short_is_called_damaged(weights: Path) -> None:
    weights.write_bytes(weights.read_bytes()[:700])
    with pytest.raises(CheckpointError, match="it is damaged or of another program"):
        read_checkpoint(weights)


@pytest.mark.parametrize(
    ("key", "value"),
    [("callbacks", 4), ("loops", [1]), ("optimizer_states", 7), ("pytorch-lightning_version", "a")],
)
def test_states_that_no_training_can_take_over_are_refused_with_the_file(
    key: str, value: object, tmp_path: Path
) -> None:
    def trainer(epochs: int) -> pl.Trainer:
        return pl.Trainer(
            max_epochs=epochs, accelerator="cpu", logger=False, enable_progress_bar=False,
            enable_model_summary=False, default_root_dir=tmp_path, limit_train_batches=1,
        )  # fmt: skip

    def data() -> torch.utils.data.DataLoader[torch.Tensor]:
        return torch.utils.data.DataLoader(torch.ones(2, 32))  # type: ignore[arg-type]

    first, path = trainer(1), tmp_path / "changed.ckpt"
    first.fit(BoringModel(), data())
    first.save_checkpoint(path)
    torch.save(torch.load(path, weights_only=True) | {key: value}, path)
    sentence = rf"^{path}: its training cannot be resumed \(.*damaged or was changed"
    with pytest.raises(CheckpointError, match=sentence), damage_reported(str(path)):
        trainer(2).fit(BoringModel(), data(), ckpt_path=str(path), weights_only=True)


def test_a_fault_of_the_training_itself_is_not_blamed_on_its_checkpoint() -> None:
    with pytest.raises(KeyError), damage_reported("a.ckpt"):
        raise KeyError("x")
