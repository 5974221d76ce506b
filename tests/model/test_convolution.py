"""The 3×3 convolution: the same by every way, and by which way when."""

import pytest
import torch

from memguard.model import convolution
from memguard.model.convolution import Conv3x3, has_winograd, winograd

needs_winograd = pytest.mark.skipif(not has_winograd(), reason="this CPU has a quicker way")


@needs_winograd
@pytest.mark.parametrize("shape", [(1, 3, 32, 32), (3, 12, 40, 33)])
def test_winograd_differs_from_a_convolution_by_rounding(shape: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    maps, layer = torch.randn(shape), torch.nn.Conv2d(shape[1], 7, 3, padding=1)
    with torch.no_grad():
        torch.testing.assert_close(
            winograd(maps, layer.weight, layer.bias), layer(maps), rtol=0, atol=1e-4
        )


@needs_winograd
def test_it_is_taken_where_neither_gradient_nor_bf16_nor_size_is_in_the_way(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    taken = []
    monkeypatch.setattr(
        convolution, "winograd", lambda *given: taken.append(given) or winograd(*given)
    )
    layer, maps = Conv3x3(2, 64), torch.zeros(1, 2, 32, 32)
    layer(maps).sum().backward()
    with torch.no_grad():
        layer(maps[..., :16])
        layer.double()(maps.double())
        layer.float()
        with torch.autocast("cpu", dtype=torch.bfloat16):
            layer(maps)
        Conv3x3(2, 63)(maps)
        assert not taken
        layer(maps)
    assert len(taken) == 1
