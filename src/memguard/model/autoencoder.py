"""The autoencoder around the memory: an encoder from frames to a query map, a decoder back.

Source: Park, Noh, Ham, "Learning Memory-guided Normality for Anomaly Detection", CVPR 2020,
section 3.1 and its supplement.
"""

import torch
from torch import Tensor, nn


def normed(convolution: nn.Conv2d | nn.ConvTranspose2d) -> list[nn.Module]:
    """A convolution, batch norm and ReLU.

    Batch norm takes away whatever a bias adds: its gradient is rounding alone, which on a CPU takes
    a seventh of a step of ``recon`` to sum. So it stays as it was drawn, or as a checkpoint has it.
    """
    convolution.get_parameter("bias").requires_grad_(False)
    return [convolution, nn.BatchNorm2d(convolution.out_channels), nn.ReLU(inplace=True)]


def conv3x3(inputs: int, outputs: int) -> nn.Conv2d:
    """A 3×3 convolution that keeps the picture's size."""
    return nn.Conv2d(inputs, outputs, kernel_size=3, padding=1)


def conv_block(inputs: int, outputs: int) -> nn.Sequential:
    """Two rounds of 3×3 convolution, batch norm and ReLU, the picture's size kept."""
    return nn.Sequential(*normed(conv3x3(inputs, outputs)), *normed(conv3x3(outputs, outputs)))


def up_block(inputs: int, outputs: int) -> nn.Sequential:
    """A transposed 3×3 convolution of stride 2, batch norm and ReLU: twice the picture's size."""
    up = nn.ConvTranspose2d(inputs, outputs, 3, stride=2, padding=1, output_padding=1)
    return nn.Sequential(*normed(up))


class Encoder(nn.Module):
    """Frames to a map of features at an eighth of their size.

    Args:
        inputs: Channels of what goes in: frames × colours.
        width: Channels of the first block; the next two have twice and four times as many.
        features: Channels C of the query map; the same as the memory's ``dim``.
    """

    def __init__(self, inputs: int, width: int, features: int) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(
            [
                conv_block(inputs, width),
                conv_block(width, 2 * width),
                conv_block(2 * width, 4 * width),
            ]
        )
        self.pool = nn.MaxPool2d(2)
        # No norm or activation at the end: queries are directions, and half of them point below 0.
        self.head = nn.Sequential(
            *normed(conv3x3(4 * width, features)), conv3x3(features, features)
        )

    def forward(self, frames: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Encode frames.

        Args:
            frames: (B, inputs, H, W) with values in [−1, 1]; H and W multiples of 8.

        Returns:
            The features (B, C, H/8, W/8), and the maps before each pooling, finest first:
            (B, width, H, W), (B, 2·width, H/2, W/2), (B, 4·width, H/4, W/4).
        """
        skips = []
        x = frames
        for block in self.blocks:
            x = block(x)
            skips.append(x)
            x = self.pool(x)
        return self.head(x), skips


class Decoder(nn.Module):
    """A query map joined with what the memory remembers of it, back to one frame.

    Args:
        outputs: Channels of the frame.
        width: As in :class:`Encoder`.
        features: Channels C of the query map; the decoder takes 2·C.
        skip_connections: Whether the encoder's maps are joined in at each scale (``pred``), or
            the decoder must paint from the memory's side alone (``recon``).
    """

    def __init__(self, outputs: int, width: int, features: int, *, skip_connections: bool) -> None:
        super().__init__()
        self.skip_connections = skip_connections
        self.bottom = conv_block(2 * features, features)
        scales = [4 * width, 2 * width, width]
        # With skips an up-convolution gives way to the encoder's map beside it; without, it keeps
        # its width and the block after it narrows.
        ups = scales if skip_connections else [features, 4 * width, 2 * width]
        joined = [2 * scale for scale in scales] if skip_connections else ups
        self.ups = nn.ModuleList(
            up_block(inputs, outputs)
            for inputs, outputs in zip([features, *scales[:2]], ups, strict=True)
        )
        self.blocks = nn.ModuleList(
            conv_block(inputs, outputs) for inputs, outputs in zip(joined, scales, strict=True)
        )
        self.head = nn.Sequential(conv3x3(width, outputs), nn.Tanh())

    def forward(self, fused: Tensor, skips: list[Tensor]) -> Tensor:
        """Paint a frame.

        Args:
            fused: (B, 2C, H/8, W/8), the queries and what was read for them.
            skips: The encoder's maps, finest first; not looked at without skip connections.

        Returns:
            (B, outputs, H, W) with values in [−1, 1].
        """
        x = self.bottom(fused)
        for up, block, skip in zip(self.ups, self.blocks, reversed(skips), strict=True):
            x = up(x)
            if self.skip_connections:
                x = torch.cat([skip, x], dim=1)
            x = block(x)
        return self.head(x)


class Autoencoder(nn.Module):
    """The encoder and the decoder of one task; the memory stands between them, not in here.

    Args:
        channels: Colours of a frame: 1 (grey) or 3 (RGB).
        width: Channels of the first block; 64 as published.
        features: Channels C of the query map; 512 as published.
        past: Frames that go in; 4 to predict the next one, 0 to reconstruct the frame itself.
        skip_connections: See :class:`Decoder`.

    Example:
        >>> import torch
        >>> model = Autoencoder(channels=1, width=8, features=64, past=4, skip_connections=True)
        >>> features, skips = model.encoder(torch.zeros(2, 4, 32, 32))
        >>> features.shape
        torch.Size([2, 64, 4, 4])
        >>> model.decoder(torch.cat([features, features], dim=1), skips).shape
        torch.Size([2, 1, 32, 32])
    """

    def __init__(
        self, *, channels: int, width: int, features: int, past: int, skip_connections: bool
    ) -> None:
        super().__init__()
        self.encoder = Encoder(max(past, 1) * channels, width, features)
        self.decoder = Decoder(channels, width, features, skip_connections=skip_connections)
