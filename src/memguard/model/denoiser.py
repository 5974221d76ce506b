"""The denoiser before the encoder, and the noise that it learns to remove.

Source: Tian, Xu, Li, Zuo, Fei, Liu, "Attention-guided CNN for image denoising", Neural Networks
124, 2020.
"""

import torch
from torch import Tensor, nn

from memguard.model.autoencoder import conv3x3, with_batch_norm
from memguard.model.shapes import require_shapes

STRONGEST = 55.0  # grey levels of 255, as published for noise of unknown strength
LEVEL = 2 / 255  # a grey level, of values in [−1, 1]

SPARSE_LAYERS, DILATED_LAYERS = 12, (2, 5, 9, 12)
AT_ONCE = 16  # frames, which bounds the memory of a test


def with_noise(
    frames: Tensor, strength: Tensor, generator: torch.Generator | None = None
) -> Tensor:
    """Add the noise of a sensor: Gaussian, and clipped to black and white.

    Args:
        frames: (B, C, H, W), values in [−1, 1].
        strength: (B,), the standard deviation for each frame, grey levels of 255.
        generator: Of the frames' device; None for torch's own.

    Raises:
        ValueError: If an argument has another shape.

    Example:
        >>> grey, strength = torch.zeros(2, 1, 64, 64), torch.tensor([0.0, 25.5])
        >>> noisy = with_noise(grey, strength, torch.Generator().manual_seed(0))
        >>> noisy.std(dim=(1, 2, 3)).mul(10).round().div(10)
        tensor([0.0000, 0.2000])
    """
    require_shapes(frames=(frames, "B C H W"), strength=(strength, "B"))
    noise = torch.randn(frames.shape, generator=generator, device=frames.device)
    return (frames + LEVEL * strength.view(-1, 1, 1, 1) * noise).clamp(-1, 1)


def with_blind_noise(frames: Tensor, generator: torch.Generator | None = None) -> Tensor:
    """Add noise of an unknown strength, for each frame another one from 0 to 55 grey levels.

    Args:
        frames: (B, C, H, W), values in [−1, 1].
        generator: Of the frames' device; None for torch's own.
    """
    strength = STRONGEST * torch.rand(len(frames), generator=generator, device=frames.device)
    return with_noise(frames, strength, generator)


class ADNet(nn.Module):
    """Estimate the noise of frames, and subtract it: 17 layers of convolutions.

    - Sparse block, layers 1 to 12: 3×3, of which layers 2, 5, 9 and 12 are dilated at rate 2.
    - Feature enhancement block, layers 13 to 16: 3×3; the last one gives a noise map, which is
      joined with the frame under a tanh.
    - Attention block, layer 17: 1×1; its output weights the noise map.
    - Reconstruction block: the frame less the weighted noise.

    Batch norm and ReLU follow layers 1 to 15.

    Args:
        channels: Colours of a frame: 1 (grey) or 3 (RGB).
        width: Channels of layers 1 to 15; 64 as published.

    Example:
        >>> network = ADNet(channels=1, width=4)
        >>> network(torch.zeros(2, 1, 20, 30)).shape
        torch.Size([2, 1, 20, 30])
    """

    def __init__(self, *, channels: int, width: int) -> None:
        super().__init__()
        sparse = []
        for layer in range(1, SPARSE_LAYERS + 1):
            convolution = conv3x3(channels if layer == 1 else width, width)
            if layer in DILATED_LAYERS:
                convolution = nn.Conv2d(width, width, kernel_size=3, padding=2, dilation=2)
            sparse += with_batch_norm(convolution)
        self.sparse = nn.Sequential(*sparse)
        enhancement = [part for _ in range(3) for part in with_batch_norm(conv3x3(width, width))]
        self.enhancement = nn.Sequential(*enhancement, conv3x3(width, channels))
        self.attention = nn.Conv2d(2 * channels, channels, kernel_size=1)

    def forward(self, frames: Tensor) -> Tensor:
        """Denoise frames.

        Args:
            frames: (B, channels, H, W), values in [−1, 1].

        Returns:
            The same shape; values may lie outside of [−1, 1].
        """
        noise = self.enhancement(self.sparse(frames))
        weight = self.attention(torch.cat([frames, noise], dim=1).tanh())
        return frames - weight * noise


class Denoiser(nn.Module):
    """Denoise the frames of windows by a trained network, which stays as it is.

    Args:
        network: Takes frames (B, C, H, W) with values in [−1, 1], and returns as many.

    Example:
        >>> denoiser = Denoiser(ADNet(channels=1, width=4))
        >>> denoiser(torch.zeros(2, 5, 1, 16, 16)).shape
        torch.Size([2, 5, 1, 16, 16])
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network.requires_grad_(False).eval()

    def train(self, mode: bool = True) -> "Denoiser":
        """Set the mode, but leave the network and its batch norm in evaluation mode."""
        super().train(mode)
        self.network.eval()
        return self

    @torch.no_grad()
    def forward(self, windows: Tensor) -> Tensor:
        """Denoise windows.

        Args:
            windows: (B, T, C, H, W), values in [−1, 1].

        Returns:
            The same shape, values in [−1, 1].

        Raises:
            ValueError: If the argument has another shape.
        """
        require_shapes(windows=(windows, "B T C H W"))
        frames = windows.flatten(0, 1)
        if torch.compiler.is_exporting():  # a graph does not branch, and has few windows at once
            denoised = self.network(frames).clamp(-1, 1)
        elif self.training:
            denoised = self._denoised(frames)
        else:  # successive windows share all frames but one
            distinct, places = frames.unique(dim=0, return_inverse=True)
            denoised = self._denoised(distinct)[places]
        return denoised.unflatten(0, windows.shape[:2])

    def _denoised(self, frames: Tensor) -> Tensor:
        return torch.cat([self.network(part) for part in frames.split(AT_ONCE)]).clamp(-1, 1)
