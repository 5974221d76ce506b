"""Batch norm's statistics: gathered against torch's own, and measured when a training ends."""

import logging
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from torch import Tensor, nn

from memguard.data.datamodule import ClipDataModule
from memguard.data.layouts import folder
from memguard.detector import Detector
from memguard.norm import MeasuredNorm, batch_norms, gathering
from tests.conftest import small_detector


def batches() -> list[Tensor]:
    """Three, the last of them darker and livelier than the others."""
    torch.manual_seed(0)
    return [scale * torch.randn(4, 2, 3, 3) + shift for scale, shift in ((1, 0), (1, 1), (5, -3))]


def of_batches(statistic: str) -> Tensor:
    """A statistic of each batch by itself, (batches, channels)."""
    return torch.stack([getattr(batch, statistic)(dim=(0, 2, 3)) for batch in batches()])


def pass_through(network: nn.Module) -> None:
    for batch in batches():
        network(batch)


def test_all_batches_count_alike_and_what_was_there_is_forgotten() -> None:
    layer = nn.BatchNorm2d(2)
    layer.get_buffer("running_mean").fill_(7)
    with gathering(nn.Sequential(layer)):
        pass_through(layer)
    torch.testing.assert_close(layer.running_mean, of_batches("mean").mean(0))
    torch.testing.assert_close(layer.running_var, of_batches("var").mean(0))


def test_with_a_momentum_they_keep_running_as_in_training() -> None:
    trained, gathered = nn.BatchNorm2d(2), nn.BatchNorm2d(2, momentum=0.5).eval()
    pass_through(trained)
    with gathering(gathered, momentum=0.1):
        pass_through(gathered)
    torch.testing.assert_close(gathered.running_mean, trained.running_mean)
    torch.testing.assert_close(gathered.running_var, trained.running_var)


def test_what_gathers_is_otherwise_as_before_also_where_it_is_broken_off() -> None:
    network = nn.Sequential(nn.Conv2d(2, 2, 1), nn.BatchNorm2d(2).eval())
    weights = [weight.clone() for weight in network.parameters()]
    with pytest.raises(RuntimeError, match="channels"), gathering(network):
        network(torch.ones(1, 3, 3, 3))
    layer = batch_norms(network)["1"]
    assert (layer.momentum, layer.training, network.training) == (0.1, False, True)
    assert all(map(torch.equal, weights, network.parameters()))


def windows(root: Path, cache_dir: Path) -> ClipDataModule:
    """28 windows, in seven batches of one size: the mean over them is that over all windows."""
    return ClipDataModule(
        folder(root), cache_dir=cache_dir, past=4, frame_size=32, channels=1, batch_size=4,
        threads=0, holdout=0.25, seed=0,
    )  # fmt: skip


def trained(data: ClipDataModule, *callbacks: pl.Callback, **options: Any) -> Detector:
    detector = small_detector(threshold="auto").train()
    trainer = pl.Trainer(
        accelerator="cpu", max_epochs=2, logger=False, callbacks=list(callbacks),
        enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False,
        num_sanity_val_steps=0, use_distributed_sampler=False, **options,
    )  # fmt: skip
    trainer.fit(detector, data)
    return detector.eval()


@torch.no_grad()
def first_mean(detector: Detector, data: ClipDataModule, count: int) -> Tensor:
    """What the first layer of batch norm is given on the mean, in so many batches of epoch 1."""
    data.trainer = SimpleNamespace(current_epoch=1, global_rank=0, world_size=1)  # type: ignore[assignment]
    convolution = detector.autoencoder.encoder.get_submodule("blocks.0.0")
    given = [convolution(detector.split(b.frames)[0]) for b in data.all_training_windows()]
    return torch.stack([maps.mean(dim=(0, 2, 3)) for maps in given[:count]]).mean(0)


def running_mean(detector: Detector) -> Tensor:
    return batch_norms(detector.autoencoder)["encoder.blocks.0.1"].get_buffer("running_mean")


@pytest.mark.parametrize(("options", "count"), [({}, 7), ({"limit_train_batches": 2}, 2)])
def test_a_training_ends_by_measuring_what_its_epoch_was_trained_on(
    shared_scene: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture,
    recwarn: pytest.WarningsRecorder, options: dict[str, int], count: int,
) -> None:  # fmt: skip
    data = windows(shared_scene, tmp_path)
    with caplog.at_level(logging.INFO, "memguard.norm"):
        measured = trained(data, MeasuredNorm(), **options)
    told = [record.args for record in caplog.records if record.name == "memguard.norm"]
    assert told == [(count,)]  # once, in the last epoch
    assert not [warning for warning in recwarn if "was ended" in str(warning.message)]
    expected = first_mean(measured, data, count)
    torch.testing.assert_close(running_mean(measured), expected, rtol=1e-4, atol=1e-5)


class Ends(pl.Callback):
    """Ends a training after its first epoch, as EarlyStopping would."""

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        trainer.should_stop = True


def test_a_training_that_is_ended_early_says_that_nothing_was_measured(
    shared_scene: Path, tmp_path: Path
) -> None:
    data = windows(shared_scene, tmp_path)
    with pytest.warns(UserWarning, match="after 1 of 2 epochs.*trainer.max_epochs=1 trains"):
        trained(data, MeasuredNorm(), Ends())


def test_only_statistics_and_what_is_found_by_them_differ_from_a_training_as_published(
    shared_scene: Path, tmp_path: Path
) -> None:
    measured = trained(windows(shared_scene, tmp_path), MeasuredNorm())
    running = trained(windows(shared_scene, tmp_path))
    differing = {
        name
        for name, value in measured.state_dict().items()
        if not torch.equal(value, running.state_dict()[name])
    }
    layers = {f"autoencoder.{name}." for name in batch_norms(measured.autoencoder)}
    of_layers = {name for name in differing if name.startswith(tuple(layers))}
    assert {name.rpartition(".")[0] + "." for name in of_layers} == layers
    assert not any(name.endswith(("weight", "bias")) for name in of_layers)
    found = {"guard.normal_scores"} | {name for name in differing if name.startswith("alarm.")}
    assert differing - of_layers == found
