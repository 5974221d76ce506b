"""Batch norm folded into convolutions: the same outputs, and nothing left to normalise."""

import copy

import pytest
import torch
from torch import nn

from memguard.model.autoencoder import Autoencoder
from memguard.model.denoiser import ADNet
from memguard.model.folding import fold_batch_norm


def trained(network: nn.Module) -> nn.Module:
    """Give each batch norm statistics and weights of its own."""
    torch.manual_seed(1)
    for layer in network.modules():
        if isinstance(layer, nn.BatchNorm2d):
            for values, low, high in (
                (layer.running_mean, -0.5, 0.5), (layer.running_var, 0.3, 3.0),
                (layer.weight, 0.5, 2.0), (layer.bias, -0.5, 0.5),
            ):  # fmt: skip
                assert values is not None
                nn.init.uniform_(values, low, high)
    return network.eval()


def kinds(network: nn.Module) -> set[type[nn.Module]]:
    return {type(layer) for layer in network.modules()}


@pytest.mark.parametrize(("past", "skip_connections"), [(4, True), (0, False)])
@torch.no_grad()
def test_an_autoencoder_gives_the_same_maps_and_frames(past: int, skip_connections: bool) -> None:
    torch.manual_seed(0)
    network = trained(
        Autoencoder(channels=1, width=4, features=32, past=past, skip_connections=skip_connections)
    )
    folded = copy.deepcopy(network)
    fold_batch_norm(folded)
    assert nn.BatchNorm2d not in kinds(folded)
    frames = torch.rand(2, max(past, 1), 24, 40) * 2 - 1
    outputs = []
    for each in (network, folded):
        features, skips = each.encoder(frames)
        outputs.append((features, each.decoder(torch.cat([features, features], 1), skips)))
    for plain, quick in zip(*outputs, strict=True):
        assert plain.std() > 1e-3
        assert torch.allclose(plain, quick, atol=1e-5)


@torch.no_grad()
def test_a_denoiser_gives_the_same_frames() -> None:
    torch.manual_seed(0)
    network = trained(ADNet(channels=3, width=8))
    folded = copy.deepcopy(network)
    fold_batch_norm(folded)
    assert nn.BatchNorm2d not in kinds(folded)
    frames = torch.rand(2, 3, 16, 24)
    assert torch.allclose(network(frames), folded(frames), atol=1e-4)


def test_only_what_follows_a_convolution_directly_is_folded() -> None:
    apart = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.BatchNorm2d(8)).eval()
    fold_batch_norm(apart)
    assert [type(layer) for layer in apart] == [nn.Conv2d, nn.ReLU, nn.BatchNorm2d]
