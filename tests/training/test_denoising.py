"""The training of a denoiser, its checkpoint, and a detector's training with it."""

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import pytorch_lightning as pl
import torch
from omegaconf import DictConfig
from PIL import Image
from torch import Tensor, nn
from torch.utils.data import DataLoader

import memguard
from memguard.config.validation import validate_training
from memguard.data.clips.windows import ClipBatch
from memguard.errors import CheckpointError, ConfigError
from memguard.model.denoiser import ADNet, Denoiser, with_noise
from memguard.training.checkpoints import CONFIG_KEY, read_checkpoint, read_denoiser
from memguard.training.denoising import DenoiserTraining, train_denoiser
from memguard.training.experiment import _detector_to_train
from memguard.training.resume import differences
from memguard.training.settings import plain_settings
from tests.conftest import small_detector

SMALL = ["model=mnad_tiny", "model.width=4", "memory.dim=8", "logger=none", "dataset=ped2"]


def clips(frames: Tensor) -> ClipBatch:
    numbers = torch.arange(len(frames))
    return ClipBatch(frames[:, None], torch.zeros_like(numbers), numbers, -torch.ones_like(numbers))


def trained(
    network: nn.Module, batches: list[ClipBatch], *, steps: int, lr: float, seed: int = 0
) -> DenoiserTraining:
    training = DenoiserTraining(
        network, optimizer=partial(torch.optim.Adam, lr=lr), schedule=None, seed=seed
    )
    trainer = pl.Trainer(
        accelerator="cpu", max_steps=steps, max_epochs=-1, logger=False,
        enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False,
    )  # fmt: skip
    trainer.fit(training, DataLoader(batches, batch_size=None))  # type: ignore[arg-type]
    return training


@pytest.fixture(scope="module")
def people(real_data: Path) -> Tensor:
    """Real frames, uint8 (12, 1, 40, 60)."""
    files = sorted((real_data / "ped2" / "training" / "frames" / "01").glob("*.jpg"))[:48:4]
    pictures = [np.asarray(Image.open(file).convert("L").resize((60, 40))) for file in files]
    return torch.from_numpy(np.stack(pictures))[:, None]


def test_a_few_steps_remove_noise_from_a_real_clip(people: Tensor) -> None:
    torch.manual_seed(0)
    batches = [clips(part) for part in people[:8].split(4)]
    network = trained(ADNet(channels=1, width=8), batches, steps=80, lr=1e-2).denoiser["network"]
    unseen = people[8:].float() / 127.5 - 1
    noisy = with_noise(unseen, torch.full((4,), 40.0), torch.Generator().manual_seed(1))
    with torch.no_grad():
        denoised = network.eval()(noisy)
    error, before = (denoised - unseen).square().mean(), (noisy - unseen).square().mean()
    assert error < 0.95 * before


class Seen(nn.Module):
    """A network that remembers its frames."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(()))
        self.frames: list[Tensor] = []

    def forward(self, frames: Tensor) -> Tensor:
        self.frames.append(frames)
        return self.weight * frames


def test_each_step_has_noise_of_its_own_which_follows_the_seed() -> None:
    batch = clips(torch.full((2, 1, 8, 8), 128, dtype=torch.uint8))

    def noisy(seed: int) -> list[Tensor]:
        network = Seen()
        trained(network, [batch], steps=2, lr=0.0, seed=seed)
        return network.frames

    first, second = noisy(3)
    assert not torch.equal(first, second)
    assert not torch.equal(first[0], first[1])
    again = noisy(3)
    assert torch.equal(again[0], first)
    assert torch.equal(again[1], second)
    assert not torch.equal(noisy(4)[0], first)


def composed(*words: str) -> DictConfig:
    return memguard.compose([*SMALL, *words])


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A grey denoiser of width 3 for frames of 64×64."""
    config = memguard.compose(
        ["dataset=ped2", "denoise.width=3", "data.frame_size=64"], "train_denoiser"
    )
    training = DenoiserTraining(
        ADNet(channels=1, width=3), optimizer=torch.optim.Adam, schedule=None, seed=0
    )
    path = tmp_path_factory.mktemp("denoiser") / "last.ckpt"
    torch.save({CONFIG_KEY: plain_settings(config), "state_dict": training.state_dict()}, path)
    return path


def test_a_detectors_training_begins_with_the_weights_of_the_denoiser(checkpoint: Path) -> None:
    config = composed("denoise=adnet", "denoise.width=3", f"denoise.weights={checkpoint}")
    validate_training(config)
    detector = _detector_to_train(config)
    weights = torch.load(checkpoint, weights_only=True)["state_dict"]
    assert weights
    held = detector.state_dict()
    assert all(torch.equal(held[name], value) for name, value in weights.items())
    stored = plain_settings(config)["denoise"]
    assert stored == {"_target_": "memguard.model.denoiser.ADNet", "channels": 1, "width": 3}
    # A detector's checkpoint serves as well.
    path = checkpoint.with_name("detector.ckpt")
    torch.save({CONFIG_KEY: plain_settings(config), "state_dict": held}, path)
    assert read_denoiser(path, config).keys() == weights.keys()


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["denoise.width=4"], "was trained with denoise.width=3, but this run has denoise.width=4"),
        (["denoise.width=3", "data.channels=3"], "data.channels=1, but this run has data.channels"),
    ],
)
def test_a_denoiser_of_another_shape_is_refused(
    checkpoint: Path, words: list[str], sentence: str
) -> None:
    config = composed("denoise=adnet", f"denoise.weights={checkpoint}", *words)
    with pytest.raises(CheckpointError, match=rf"^{checkpoint} .*{sentence}") as refusal:
        _detector_to_train(config)
    assert str(refusal.value).endswith("or set denoise.weights to another checkpoint.")
    assert "\n" not in str(refusal.value)


def test_a_missing_file_and_a_detector_without_denoiser_are_refused(tmp_path: Path) -> None:
    missing = tmp_path / "none.ckpt"
    config = composed("denoise=adnet_small", f"denoise.weights={missing}")
    with pytest.raises(CheckpointError, match=rf"no checkpoint {missing}: set denoise\.weights to"):
        _detector_to_train(config)
    plain = {CONFIG_KEY: plain_settings(composed()), "state_dict": small_detector().state_dict()}
    torch.save(plain, missing)
    with pytest.raises(CheckpointError, match=r"trained with denoise\._target_=null, but"):
        _detector_to_train(config)


def test_weights_that_are_no_numbers_are_refused(checkpoint: Path, tmp_path: Path) -> None:
    spoilt = torch.load(checkpoint, weights_only=True)
    spoilt["state_dict"]["denoiser.network.attention.bias"].fill_(torch.nan)
    torch.save(spoilt, tmp_path / "spoilt.ckpt")
    with pytest.raises(CheckpointError, match=r"denoiser\.network\.attention\.bias holds values"):
        read_checkpoint(tmp_path / "spoilt.ckpt", "denoise.weights")


def test_settings_that_cannot_work_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"adnte.*adnet"):
        composed("denoise=adnte")
    with pytest.raises(ConfigError, match=r"^denoise\.weights is not set: add denoise\.weights=…"):
        validate_training(composed("denoise=adnet"))
    nothing = memguard.compose(["dataset=ped2", "denoise=none"], "train_denoiser")
    with pytest.raises(ConfigError, match=r"^denoise=none has no weights to train: choose"):
        train_denoiser(nothing, tmp_path / "run")


def test_a_denoiser_alone_is_no_detector(checkpoint: Path) -> None:
    with pytest.raises(CheckpointError, match=rf"^{checkpoint} holds a denoiser alone: train a"):
        memguard.load(checkpoint)


def test_a_training_resumes_with_the_denoiser_it_began_with_alone() -> None:
    def settings(*words: str) -> dict[str, Any]:
        return plain_settings(composed(*words))

    small = ["denoise=adnet_small", "denoise.weights=a.ckpt"]
    found = differences(settings(), settings(*small))
    assert [key for key, _, _ in found] == ["denoise._target_"]
    moved = settings("denoise=adnet_small", "denoise.weights=b.ckpt")
    assert differences(settings(*small), moved) == []


class Darker(nn.Module):
    """A network whose result shows."""

    def forward(self, frames: Tensor) -> Tensor:
        return frames - 0.25


def test_a_detector_sees_denoised_frames_as_input_and_as_target() -> None:
    plain, denoising = small_detector(), small_detector()
    denoising.denoiser = Denoiser(Darker())
    windows = torch.randint(64, 256, (3, 5, 1, 16, 16), dtype=torch.uint8)
    frames, target = plain.split(windows)
    denoised, aim = denoising.split(windows)
    torch.testing.assert_close(denoised, frames - 0.25)
    torch.testing.assert_close(aim, target - 0.25)
