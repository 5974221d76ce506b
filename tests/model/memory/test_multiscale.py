"""Memories at several scales: each skip is recalled by hand-worked weights, or cut."""

import pytest
import torch

from memguard.model.autoencoder import Autoencoder
from memguard.model.memory.memae import recall
from memguard.model.memory.multiscale import MultiscaleMemory


def made(scales: list[int], sizes: list[int]) -> MultiscaleMemory:
    torch.manual_seed(0)
    return MultiscaleMemory(scales, sizes, dim=8, width=2, shrinkage=1)


def test_each_listed_skip_has_a_memory_of_its_own_and_the_others_are_cut() -> None:
    memory = made([4, 8, 1], [5, 7, 3])
    skips = [torch.randn(2, 2 * stride, 16 // stride, 8 // stride) for stride in (1, 2, 4)]
    fine, middle, coarse = memory.read_skips(skips)
    assert not middle.any()
    assert memory.items.shape == (7, 8)
    for skip, found, stride, size in ((skips[0], fine, 1, 3), (skips[2], coarse, 4, 5)):
        items = memory.skips[str(stride)].items
        assert items.shape == (size, 2 * stride)
        expected = recall(skip, items, shrinkage=1).recalled
        torch.testing.assert_close(found.flatten(2).transpose(1, 2), expected)


def test_the_decoder_sees_no_more_of_the_frames_than_the_weights_of_items() -> None:
    """With one item at each scale, any two frames are decoded alike."""
    memory = made([8, 4], [1, 1])
    memory.shrinkage = memory.skips["4"].shrinkage = 0
    network = Autoencoder(channels=1, width=2, features=8, past=4, skip_connections=True).eval()

    def decoded(frames: torch.Tensor) -> torch.Tensor:
        features, skips = network.encoder(frames)
        return network.decoder(memory(features).fused, memory.read_skips(skips))

    with torch.no_grad():
        first, second = decoded(torch.randn(1, 4, 16, 16)), decoded(torch.randn(1, 4, 16, 16))
    torch.testing.assert_close(first, second)


@pytest.mark.parametrize(
    ("scales", "sizes", "sentence"),
    [
        ([4], [5], r"scales=\[4\] must be 8, and any of"),
        ([8, 3], [5, 5], r"scales=\[8, 3\] must be 8"),
        ([8, 8], [5, 5], r"scales=\[8, 8\] must be 8, .* each once"),
        ([8, 4], [5], r"sizes=\[5\] must have a number for each"),
    ],
)
def test_impossible_values_are_refused(scales: list[int], sizes: list[int], sentence: str) -> None:
    with pytest.raises(ValueError, match=f"^{sentence}"):
        made(scales, sizes)


def test_a_network_with_other_skips_is_refused() -> None:
    with pytest.raises(ValueError, match="strides 1, 2 and 4, but the network has 0"):
        made([8, 4], [5, 5]).read_skips([])
