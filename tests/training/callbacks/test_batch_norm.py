"""Batch norm's statistics: gathered against torch's own, and measured when a training ends."""

import logging
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from torch import Tensor, distributed, multiprocessing, nn

from memguard.data.clips.datamodule import ClipDataModule
from memguard.data.datasets.folder import folder
from memguard.detection.detector import Detector
from memguard.model.autoencoder import Autoencoder
from memguard.training.callbacks.averaging import AveragedWeights
from memguard.training.callbacks.batch_norm import (
    BATCHES_BETWEEN_FETCHES,
    MeasuredNorm,
    batch_norms,
    gathering,
)
from tests.conftest import small_detector


def batches() -> list[Tensor]:
    """Three of unequal size, the last of them darker and livelier than the others."""
    torch.manual_seed(0)
    kinds = ((4, 1, 0), (2, 1, 1), (3, 5, -3))
    return [scale * torch.randn(count, 2, 3, 3) + shift for count, scale, shift in kinds]


def pass_through(network: nn.Module) -> None:
    for batch in batches():
        network(batch)


def pass_what_does_not_fit(network: nn.Module) -> None:
    """One batch that does, and one that does not."""
    for channels in (2, 3):
        network(torch.ones(1, channels, 3, 3))


def require_statistics(layer: nn.Module, values: Tensor, rtol: float = 1e-5) -> None:
    """Make sure that a layer holds the mean and variance over all (B, C, H, W)."""
    values = values.double()
    for name, expected in (
        ("running_mean", values.mean(dim=(0, 2, 3))),
        ("running_var", values.var(dim=(0, 2, 3), correction=0)),
    ):
        found = layer.get_buffer(name).double()
        torch.testing.assert_close(found, expected, rtol=rtol, atol=1e-6)


def test_all_values_count_alike_and_earlier_statistics_are_forgotten() -> None:
    layer = nn.BatchNorm2d(2)
    layer.get_buffer("running_mean").fill_(7)
    with gathering(nn.Sequential(layer)):
        pass_through(layer)
    require_statistics(layer, torch.cat(batches()))


def test_a_small_spread_far_from_zero_does_not_cancel() -> None:
    layer = nn.BatchNorm2d(1)
    torch.manual_seed(0)
    values = 1000 + 0.1 * torch.randn(120, 1, 2, 2)
    with gathering(layer):
        for batch in values.split(1):
            layer(batch)
    require_statistics(layer, values, rtol=1e-3)  # torch's own of a batch are in 32 bits


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("halves", [False, True])
def test_each_layer_of_a_network_holds_the_statistics_of_all_its_activations(
    layout: torch.memory_format, halves: bool
) -> None:
    torch.manual_seed(1)
    network: nn.Module = Autoencoder(channels=1, width=4, features=8, past=4, skip_connections=True)
    network = network.to(memory_format=layout)  # type: ignore[call-overload]
    assert isinstance(network, Autoencoder)
    came: dict[str, list[Tensor]] = {name: [] for name in batch_norms(network)}
    for name, layer in batch_norms(network).items():
        layer.register_forward_pre_hook(lambda _, given, name=name: came[name].append(given[0]))
    with gathering(network), torch.autocast("cpu", torch.bfloat16, enabled=halves):
        for count, brightness in ((3, 0.2), (1, -1.5), (2, 3.0)):
            frames = torch.randn(count, 4, 16, 16) * brightness + brightness
            features, skips = network.encoder(frames.contiguous(memory_format=layout))
            network.decoder(torch.cat([features, features], dim=1), skips)
    assert {maps[0].dtype for maps in came.values()} == {torch.bfloat16 if halves else torch.float}
    for name, layer in batch_norms(network).items():
        require_statistics(layer, torch.cat(came[name]), rtol=1e-4)


def test_more_batches_than_wait_on_a_device_all_count() -> None:
    layer = nn.BatchNorm2d(1)
    values = torch.arange(4.0 * (2 * BATCHES_BETWEEN_FETCHES + 3)).view(-1, 1, 2, 2)
    with gathering(layer):
        for batch in values.split(1):
            layer(batch)
    require_statistics(layer, values)


def test_where_no_batch_comes_the_statistics_stay() -> None:
    layer = nn.BatchNorm2d(1)
    layer.get_buffer("running_mean").fill_(7)
    with gathering(layer):
        pass
    assert (layer.running_mean, layer.running_var) == (torch.tensor([7.0]), torch.ones(1))


def gather_share(rank: int, folder: str) -> None:
    """Gather one of two unequal shares of the batches."""
    distributed.init_process_group(
        "gloo", init_method=f"file://{folder}/store", rank=rank, world_size=2
    )
    layer = nn.BatchNorm2d(2)
    with gathering(layer):
        for batch in batches()[:1] if rank == 0 else batches()[1:]:
            layer(batch)
    torch.save(layer.state_dict(), f"{folder}/{rank}.pt")
    distributed.destroy_process_group()


def test_two_processes_gather_together_as_one_does_alone(tmp_path: Path) -> None:
    multiprocessing.spawn(gather_share, (str(tmp_path),), nprocs=2)
    for rank in range(2):
        layer = nn.BatchNorm2d(2)
        layer.load_state_dict(torch.load(tmp_path / f"{rank}.pt", weights_only=True))
        require_statistics(layer, torch.cat(batches()))


def test_with_a_momentum_they_keep_running_as_in_training() -> None:
    trained, gathered = nn.BatchNorm2d(2), nn.BatchNorm2d(2, momentum=0.5).eval()
    pass_through(trained)
    with gathering(gathered, momentum=0.1):
        pass_through(gathered)
    torch.testing.assert_close(gathered.running_mean, trained.running_mean)
    torch.testing.assert_close(gathered.running_var, trained.running_var)


def test_gathering_changes_statistics_alone_and_nothing_where_it_is_interrupted() -> None:
    network = nn.Sequential(nn.Conv2d(2, 2, 1), nn.BatchNorm2d(2).eval())
    weights = [weight.clone() for weight in network.parameters()]
    layer = batch_norms(network)["1"]
    layer.get_buffer("running_mean").fill_(7)
    with pytest.raises(RuntimeError, match="channels"), gathering(network):
        pass_what_does_not_fit(network)
    assert torch.equal(layer.get_buffer("running_mean"), torch.full((2,), 7.0))
    assert (layer.momentum, layer.training, network.training) == (0.1, False, True)
    assert not layer._forward_hooks
    assert all(map(torch.equal, weights, network.parameters()))


def windows(root: Path, cache_dir: Path) -> ClipDataModule:
    """28 windows, in seven batches."""
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
def first_activations(detector: Detector, data: ClipDataModule, count: int) -> Tensor:
    """Inputs of the first layer of batch norm, in so many batches of epoch 1."""
    data.trainer = SimpleNamespace(  # type: ignore[assignment]
        current_epoch=1, global_rank=0, world_size=1, overfit_batches=0
    )
    convolution = detector.autoencoder.encoder.get_submodule("blocks.0.0")
    given = [convolution(detector.split(b.frames)[0]) for b in data.all_training_windows()]
    return torch.cat(given[:count])


@pytest.mark.parametrize(("options", "count"), [({}, 7), ({"limit_train_batches": 2}, 2)])
def test_a_training_ends_by_measuring_the_windows_of_its_epoch(
    shared_scene: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture,
    recwarn: pytest.WarningsRecorder, options: dict[str, int], count: int,
) -> None:  # fmt: skip
    data = windows(shared_scene, tmp_path)
    with caplog.at_level(logging.INFO, "memguard.training.callbacks.batch_norm"):
        measured = trained(data, MeasuredNorm(), **options)
    reported = [
        record.args
        for record in caplog.records
        if record.name == "memguard.training.callbacks.batch_norm"
    ]
    assert reported == [(count,)]  # once, in the last epoch
    assert not [warning for warning in recwarn if "was ended" in str(warning.message)]
    layer = batch_norms(measured.autoencoder)["encoder.blocks.0.1"]
    require_statistics(layer, first_activations(measured, data, count), rtol=1e-4)


def test_averaged_weights_are_measured(shared_scene: Path, tmp_path: Path) -> None:
    data = windows(shared_scene, tmp_path)
    measured = trained(data, MeasuredNorm(), AveragedWeights(decay=0.5))
    layer = batch_norms(measured.autoencoder)["encoder.blocks.0.1"]
    require_statistics(layer, first_activations(measured, data, 7), rtol=1e-4)


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


def test_only_statistics_and_their_results_differ_from_a_training_as_published(
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
