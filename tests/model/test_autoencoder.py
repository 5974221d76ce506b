"""The published size of the network, and the input of each task's decoder."""

import pytest
import torch

from memguard.model.autoencoder import Autoencoder


def small(*, past: int, skip_connections: bool) -> Autoencoder:
    torch.manual_seed(0)
    return Autoencoder(
        channels=1, width=4, features=32, past=past, skip_connections=skip_connections
    ).eval()


@pytest.mark.parametrize(
    ("past", "skip_connections", "millions"), [(4, True, 15.65), (0, False, 17.20)]
)
def test_the_published_sizes(past: int, skip_connections: bool, millions: float) -> None:
    with torch.device("meta"):
        model = Autoencoder(
            channels=3, width=64, features=512, past=past, skip_connections=skip_connections
        )
    assert sum(p.numel() for p in model.parameters()) / 1e6 == pytest.approx(millions, abs=0.01)


def test_the_network_names_its_features_and_its_stride() -> None:
    model = small(past=4, skip_connections=True)
    features, _ = model.encoder(torch.zeros(1, 4, 48, 64))
    assert features.shape == (1, model.features, 48 // model.stride, 64 // model.stride)


def test_the_query_map_is_an_eighth_and_may_be_negative() -> None:
    features, skips = small(past=4, skip_connections=True).encoder(torch.randn(2, 4, 64, 48))
    assert features.shape == (2, 32, 8, 6)
    assert (features < 0).any()
    assert [tuple(skip.shape[1:]) for skip in skips] == [(4, 64, 48), (8, 32, 24), (16, 16, 12)]


@pytest.mark.parametrize("skip_connections", [True, False])
def test_only_with_skip_connections_the_decoder_sees_the_encoders_maps(
    skip_connections: bool,
) -> None:
    model = small(past=4, skip_connections=skip_connections)
    features, skips = model.encoder(torch.randn(1, 4, 32, 32))
    fused = torch.cat([features, features], dim=1)
    output = model.decoder(fused, skips)
    others = model.decoder(fused, [torch.zeros_like(skip) for skip in skips])
    assert output.shape == (1, 1, 32, 32)
    assert output.abs().max() <= 1
    assert torch.equal(output, others) != skip_connections


def gradients(model: Autoencoder) -> dict[str, torch.Tensor]:
    features, skips = model.encoder(torch.randn(2, 4, 32, 32, dtype=torch.float64))
    model.decoder(torch.cat([features, features], dim=1), skips).square().mean().backward()
    return {k: p.grad for k, p in model.named_parameters() if p.grad is not None}


@pytest.mark.parametrize("skip_connections", [True, False])
def test_the_biases_that_do_not_learn_are_those_without_a_gradient(skip_connections: bool) -> None:
    model = small(past=4, skip_connections=skip_connections).double().train()
    still = {name for name, p in model.named_parameters() if not p.requires_grad}
    found = gradients(model.requires_grad_())
    assert still == {name for name, gradient in found.items() if gradient.abs().max() < 1e-12}
    assert still
    assert all(name.endswith("bias") for name in still)
