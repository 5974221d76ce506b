"""Windows that the tests of detection share."""

import torch
from torch import Tensor


def videos(*lengths: int) -> list[Tensor]:
    """Windows of videos with random brightness, which have small and large errors by turns."""
    torch.manual_seed(1)
    return [
        torch.randint(0, 256, (length, 5, 1, 16, 16), dtype=torch.uint8)
        .mul(torch.rand(length, 1, 1, 1, 1))
        .byte()
        for length in lengths
    ]
