"""The 3×3 convolution of the network, painted the quickest way that there is.

On a CPU that computes in 32 bits, where no gradient is asked for, that is Winograd's algorithm as
NNPACK has it: a third of the multiplications, and a frame of the published size in 0.6 of the time
(``experiments/benchmarks/test_frames.py``). Its results differ by rounding alone.
"""

from functools import cache

import torch
from torch import Tensor, nn

# With smaller maps or fewer channels, more time goes into the transforms than is saved.
SMALLEST_SIDE = 32
FEWEST_CHANNELS = 64


class Conv3x3(nn.Conv2d):
    """A convolution that keeps the picture's size.

    Args:
        inputs: Channels that go in.
        outputs: Channels that come out.

    Example:
        >>> Conv3x3(3, 8)(torch.zeros(1, 3, 32, 32)).shape
        torch.Size([1, 8, 32, 32])
    """

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(inputs, outputs, kernel_size=3, padding=1)

    def forward(self, maps: Tensor) -> Tensor:
        """Convolve: (B, inputs, H, W) to (B, outputs, H, W)."""
        if self.out_channels >= FEWEST_CHANNELS and _winograd_is_quicker(maps):
            return winograd(maps, self.weight, self.bias)
        return super().forward(maps)


def winograd(maps: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """Convolve by Winograd's algorithm, map by map, as NNPACK is quicker with one than with many.

    Args:
        maps: (B, inputs, H, W), 32 bits, on the CPU.
        weight: (outputs, inputs, 3, 3).
        bias: (outputs,).

    Returns:
        (B, outputs, H, W), equal to a convolution with padding 1 but for rounding.
    """
    painted = [
        torch._nnpack_spatial_convolution(one, weight, bias, padding=1) for one in maps.split(1)
    ]
    return painted[0] if len(painted) == 1 else torch.cat(painted)


def _winograd_is_quicker(maps: Tensor) -> bool:
    return (
        maps.device.type == "cpu"
        and maps.dtype == torch.float32
        and not torch.is_grad_enabled()
        and not torch.is_autocast_enabled("cpu")
        and min(maps.shape[-2:]) >= SMALLEST_SIDE
        and has_winograd()
    )


@cache
def has_winograd() -> bool:
    """Whether NNPACK is there, and torch's own convolutions cannot do with AVX-512 what it can."""
    return (
        torch.backends.cpu.get_cpu_capability() == "AVX2" and torch.backends.nnpack.is_available()
    )
