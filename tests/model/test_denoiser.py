"""The denoiser's network, its noise, and windows that pass through it."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from memguard.model.denoiser import ADNet, Denoiser, with_blind_noise, with_noise


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("channels", [1, 3])
def test_frames_keep_their_shape(channels: int) -> None:
    frames = torch.rand(2, channels, 18, 26)
    assert ADNet(channels=channels, width=4)(frames).shape == frames.shape


def test_the_published_network_has_17_layers_four_of_them_dilated() -> None:
    network = ADNet(channels=1, width=64)
    layers = [part for part in network.modules() if isinstance(part, nn.Conv2d)]
    assert len(layers) == 17
    assert [n for n, each in enumerate(layers, 1) if each.dilation == (2, 2)] == [2, 5, 9, 12]
    # Layers 1, 2 to 15, 16 and 17; the published ones have no bias before batch norm.
    weights = 9 * 64 + 14 * 9 * 64 * 64 + 9 * 64 + 2
    assert sum(each.weight.numel() for each in layers) == weights
    normed = [part for part in network.modules() if isinstance(part, nn.BatchNorm2d)]
    assert [each.num_features for each in normed] == 15 * [64]


def test_the_weighted_noise_is_subtracted() -> None:
    network = ADNet(channels=1, width=2).eval()
    last = network.enhancement[-1]
    assert isinstance(last, nn.Conv2d)
    assert last.bias is not None
    assert network.attention.bias is not None
    with torch.no_grad():
        last.weight.zero_()
        last.bias.fill_(0.5)  # the noise map
        network.attention.weight.copy_(torch.tensor([2.0, 3.0]).view(1, 2, 1, 1))
        network.attention.bias.fill_(-1.0)
        frames = torch.tensor([[[[0.0, 0.8]]]])
        # 0.5 · (2 tanh(x) + 3 tanh(0.5) − 1) is 0.19317… at 0, and 0.85721… at 0.8.
        expected = torch.tensor([[[[-0.193176, 0.8 - 0.857212]]]])
        torch.testing.assert_close(network(frames), expected, atol=1e-5, rtol=0)


def test_a_pixel_sees_as_far_as_twelve_plain_and_four_dilated_layers() -> None:
    network = ADNet(channels=1, width=2).eval()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.fill_(0.25)  # no ReLU hides a pixel
    frames = torch.zeros(1, 1, 1, 81, requires_grad=True)
    network(frames)[0, 0, 0, 40].backward()
    assert frames.grad is not None
    seen = frames.grad.flatten().nonzero().flatten()
    # Twelve layers of 3 reach a pixel further on each side, four dilated ones two.
    assert (int(seen.min()), int(seen.max())) == (40 - 20, 40 + 20)


def test_noise_has_the_strength_of_each_frame_in_grey_levels() -> None:
    grey = torch.zeros(3, 1, 200, 200)
    noisy = with_noise(grey, torch.tensor([0.0, 10.0, 40.0]), seeded(0))
    assert torch.equal(noisy[0], grey[0])
    levels = noisy.std(dim=(1, 2, 3)) * 127.5
    torch.testing.assert_close(levels[1:], torch.tensor([10.0, 40.0]), rtol=0.02, atol=0)
    white = with_noise(torch.ones(1, 1, 50, 50), torch.tensor([40.0]), seeded(0))
    assert white.max() == 1  # a sensor clips
    assert white.min() < 0.8


def test_blind_noise_differs_from_frame_to_frame_and_follows_the_seed() -> None:
    grey = torch.zeros(300, 1, 24, 24)
    noisy = with_blind_noise(grey, seeded(5))
    assert torch.equal(noisy, with_blind_noise(grey, seeded(5)))
    assert not torch.equal(noisy, with_blind_noise(grey, seeded(6)))
    levels = noisy.std(dim=(1, 2, 3)) * 127.5
    assert levels.max() < 60
    # Uniform from 0 to 55
    counts = torch.histc(levels, bins=5, min=0, max=55)
    assert counts.min() > 40, counts


class Halved(nn.Module):
    """A network that counts its frames."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(1)
        self.seen: list[int] = []

    def forward(self, frames: Tensor) -> Tensor:
        self.seen.append(len(frames))
        return frames / 2 + 0.7


def test_windows_are_denoised_frame_by_frame_and_shared_frames_once() -> None:
    network = Halved()
    denoiser = Denoiser(network)
    frames = torch.linspace(-1, 1, 22).view(22, 1, 1, 1).expand(-1, 1, 2, 3)
    windows = frames.unfold(0, 5, 1).movedim(-1, 1)  # 18 windows of 5 frames
    expected = (windows / 2 + 0.7).clamp(max=1)
    assert torch.equal(denoiser.eval()(windows), expected)
    assert network.seen == [16, 6]
    network.seen.clear()
    assert torch.equal(denoiser.train()(windows), expected)
    assert sum(network.seen) == 18 * 5
    with pytest.raises(ValueError, match="windows must have the shape"):
        denoiser(frames)


def test_the_network_stays_as_it_is_while_a_detector_trains() -> None:
    network = ADNet(channels=1, width=2)
    model = nn.Sequential(Denoiser(network), nn.Flatten(2), nn.Linear(64, 1)).train()
    assert not any(part.training for part in network.modules())
    before = {name: value.clone() for name, value in network.state_dict().items()}
    model(torch.rand(2, 3, 1, 8, 8)).sum().backward()
    assert all(each.grad is None for each in network.parameters())
    after: dict[str, Any] = network.state_dict()
    assert all(torch.equal(after[name], value) for name, value in before.items())
