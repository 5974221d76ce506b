"""A term of the loss."""

import torch
from torch import Tensor


def frequency_loss(prediction: Tensor, target: Tensor, power: float = 1.0) -> Tensor:
    """Compare the spectra of frames, which shows blur."""
    spectrum = torch.fft.rfft2(prediction - target, norm="ortho")
    return spectrum.abs().pow(power).mean()
